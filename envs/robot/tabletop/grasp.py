"""Holding: two fingers press on opposite faces, and friction carries.

The fingers close until they meet a thing, and no further: their pads give way by up to
`GIVE`, and press with `STIFFNESS` times what they give. A thing of mass m is held while

    m |a + g| <= 2 mu F,

F being the pressing force of each finger, mu the thing's grip and a the acceleration of
the gripper in this control step, and while the line between the two places of contact
is within the friction cones of both (Nguyen 1988). What is held moves with the hand as
one body with it; what slips falls, and may be caught again.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.contact import Contact, decided, once
from envs.robot.tabletop.scene import Scene, column

STIFFNESS = 1e4
"""N/m, of a pair of pads."""
GIVE = 0.001
"""How far a pair of pads gives way, metres; then each presses with 10 N."""
FACING = 0.9
"""Least cosine between a finger's push and the closing direction in a grasp."""


class Grasp(NamedTuple):
    """What the fingers do in a substep.

    Attributes:
        held: which thing they hold.
        shift: how far it moves along the closing direction to stand in the middle.
        opening: of the gripper, afterwards.
    """

    held: Bool[Array, "*many"]
    shift: Float[Array, "*many"]
    opening: Float[Array, "1 *batch"]


def grasped(
    scene: Scene,
    contact: Contact,
    reaches: Array,
    was: Array,
    axis: tuple[Array, Array],
    opening: tuple[Array, Array],
    load: Array,
) -> Grasp:
    """What the fingers hold, and how far they are open.

    Args:
        scene: what there is.
        contact: of the things, its first two rows with the fingers.
        reaches: whether a finger and a thing are at one height; fingers x movers.
        was: which thing was held.
        axis: closing direction, from the second finger to the first.
        opening: as it is, and as it will be if nothing is in between.
        load: |a + g| of the gripper, m/s^2.
    """
    along = contact.normal_x[:2] * axis[0][None]
    along += contact.normal_y[:2] * axis[1][None]
    faces = contact.points[0].faces[:2]
    meets = reaches & faces & (contact.apart[:2] > -GIVE)
    first, second = contact.apart[0], contact.apart[1]
    width = opening[0] - first - second
    pressed = width - opening[1]
    between = meets[0] & meets[1] & (-along[0] > FACING) & (along[1] > FACING)
    pinched = decided(between & (pressed > 0))
    stop = jnp.where(pinched, width - GIVE, -jnp.inf).max(0, keepdims=True)
    closed = jnp.minimum(jnp.maximum(opening[1], stop), arm.WIDEST)
    # The places of contact lie opposite each other, but for the cone of friction.
    aside = _place(contact, 0) + _place(contact, 1)
    grip = column(scene.of_movers(lambda thing: thing.grip), first)
    opposite = jnp.abs(aside) <= grip * width
    force = STIFFNESS * jnp.clip(pressed, 0.0, GIVE)
    mass = column(scene.of_movers(lambda thing: thing.mass), first)
    carries = decided(pinched & opposite & (mass * load <= 2 * grip * force))
    number = column(np.arange(len(scene.moving)), first)
    lowest = jnp.where(carries, number, jnp.inf).min(0, keepdims=True)
    kept = carries & was
    held = jnp.where(kept.any(0, keepdims=True), kept, carries & (number == lowest))
    held = decided(held)
    return Grasp(held, jnp.where(held, once(first - second) / 2, 0.0), once(closed))


def _place(contact: Contact, row: int) -> Array:
    """Where a finger presses, left of its push: the nearer end, or the middle."""
    ends = [-point.lever[row] for point in contact.points]
    if len(ends) == 1:
        return ends[0]
    first, second = (point.gap[row] for point in contact.points)
    lean = jnp.clip((first - second) / 4e-4, -0.5, 0.5)
    return ends[0] * (0.5 - lean) + ends[1] * (0.5 + lean)
