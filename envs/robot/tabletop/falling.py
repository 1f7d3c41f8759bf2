"""Heights: things stand on the highest surface below them, or fall.

Upright things do not tip: what overlaps a surface by more than a millimetre stands on
it. What stands on another thing rides along and is slowed relative to it; that it
weighs on what is below is left out.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool

from envs.robot.tabletop.contact import once
from envs.robot.tabletop.scene import Scene, column
from envs.robot.tabletop.things import GRAVITY

EDGE_X = (-0.7245, 0.4845)
EDGE_Y = (-1.209, 1.209)
"""Where the table ends, metres."""
LEDGE = 0.001
"""What overlaps by less in the plane does not carry, and by less in height does not
push."""
DEEPEST = -1.0
"""Where falling ends."""
BOUNCES = 0.1
"""m/s: what lands more slowly does not bounce."""
STACKED = 2
"""How many things high a stack may be to be right at once in every substep."""


class Below(NamedTuple):
    """What a thing could stand on.

    Attributes:
        table: whether it is above the table.
        stays: whether it is above each thing that stays.
        partner: whether it is above each partner that moves; partners x movers.
        reverse: whether each of these is above it.
    """

    table: Bool[Array, "*many"]
    stays: list[Array]
    partner: list[Array]
    reverse: list[Array]


def level(
    scene: Scene,
    under: Below,
    top: Array,
    fixed_top: list[Array],
    ride: tuple[Array, ...],
) -> tuple[Array, ...]:
    """The highest surface below each thing, and what is read off what it belongs to.

    Args:
        scene: what there is.
        under: see `below`.
        top: heights of the things.
        fixed_top: of the things that stay, each by thing that moves.
        ride: numbers of the things, such as their velocities.

    Returns:
        The height, -inf for none, and each of `ride` of what is there, 0 of what stays.
    """
    highest = jnp.where(under.table, 0.0, -jnp.inf).astype(top.dtype)
    riding = [jnp.zeros_like(top) for _ in ride]
    for over, top_of in zip(under.stays, fixed_top, strict=True):
        candidate = jnp.where(over, top_of, -jnp.inf)
        higher = candidate > highest
        highest = jnp.where(higher, candidate, highest)
        riding = [jnp.where(higher, 0.0, now) for now in riding]
    for number, shift in enumerate(scene.shifts):
        for above, way in (
            (under.partner[number], -shift),
            (jnp.roll(under.reverse[number], shift, 0), shift),
        ):
            candidate = jnp.where(above, jnp.roll(top, way, 0), -jnp.inf)
            higher = candidate > highest
            highest = jnp.where(higher, candidate, highest)
            riding = [
                jnp.where(higher, jnp.roll(theirs, way, 0), now)
                for theirs, now in zip(ride, riding, strict=True)
            ]
    return once(highest), *map(once, riding)


def landed(
    scene: Scene,
    under: Below,
    fixed_top: list[Array],
    place: tuple[Array, Array],
    z: Array,
    climb: Array,
    held: Array,
) -> tuple[Array, Array, Array]:
    """Heights and climbs after what fell too far was put on what is below it.

    What is held is lifted in the fingers by what is below it.

    Returns:
        The heights, the climbs, and what has left the table.
    """
    rise = column(scene.of_movers(lambda thing: thing.half[2]), z)
    bounce = column(scene.of_movers(lambda thing: thing.restitution), z)
    x, y = place
    under = under._replace(table=under.table & above_table(x, y))
    now = z
    for _ in range(STACKED if scene.shifts else 1):
        surface, *_ = level(scene, under, now + rise, fixed_top, ())
        now = once(jnp.maximum(z, surface + rise))
    lands = (now > z) & ~held
    hit = jnp.sqrt(jnp.maximum(climb * climb - 2 * GRAVITY * (now - z), 0.0))
    back = jnp.where((climb < 0) & (hit > BOUNCES), bounce * hit, 0.0)
    beyond = ~above_table(x, y) & (surface == -jnp.inf)
    sunk = now - rise < -LEDGE
    return now, jnp.where(lands, back, climb), beyond | sunk


def above_table(x: Array, y: Array) -> Array:
    """Whether a place is within the edges of the table."""
    in_x = (x >= EDGE_X[0]) & (x <= EDGE_X[1])
    return in_x & (y >= EDGE_Y[0]) & (y <= EDGE_Y[1])
