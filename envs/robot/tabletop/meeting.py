"""Who meets whom in a substep: outlines, heights, and what stands on what."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from envs.robot.tabletop import falling
from envs.robot.tabletop.contact import Contact, Outline, between, decided
from envs.robot.tabletop.impulses import Motion
from envs.robot.tabletop.scene import FINGER, FINGERS, Scene, column

TIP = 0.01
"""How far a finger reaches below the tool centre point, metres."""


class Bodies(NamedTuple):
    """What changes from substep to substep: the things that move, and the hand.

    Arrays are movers x batch, those of the hand (`hand_...` and `opening`) 1 x batch.
    """

    x: Float[Array, "*many"]
    y: Float[Array, "*many"]
    z: Float[Array, "*many"]
    yaw: Float[Array, "*many"]
    motion: Motion
    climb: Float[Array, "*many"]
    roll: tuple[Float[Array, "*many"], Float[Array, "*many"]]
    held: Bool[Array, "*many"]
    gone: Bool[Array, "*many"]
    hand_x: Float[Array, "1 *batch"]
    hand_y: Float[Array, "1 *batch"]
    hand_z: Float[Array, "1 *batch"]
    hand_yaw: Float[Array, "1 *batch"]
    opening: Float[Array, "1 *batch"]


class Drive(NamedTuple):
    """What stays during a control step.

    Attributes:
        velocity, spin: of the hand.
        step: seconds of a substep.
        closing: change of the opening in a substep, if nothing is in between.
        load: |a + g| of the gripper.
        there: which things that move are there.
        stays: outlines, lower and upper ends and presence of the things that stay.
    """

    velocity: Float[Array, "3 1 *batch"]
    spin: Float[Array, "1 *batch"]
    step: float
    closing: Float[Array, "1 *batch"]
    load: Float[Array, "1 *batch"]
    there: Bool[Array, "*many"]
    stays: tuple[list[Outline], list[Array], list[Array], list[Array]]


class Meeting(NamedTuple):
    """Things and their partners.

    Attributes:
        contacts: with partners that yield to nothing and with those that move.
        beside: whether both are there and at one height, of the same.
        under: what is below each thing.
        tops: heights of the things that stay.
        away: of a finger's middle from the hand's.
        axis: closing direction, from the second finger to the first.
    """

    contacts: list[Contact]
    beside: list[Bool[Array, "*many"]]
    under: falling.Below
    tops: list[Array]
    away: Float[Array, "1 *batch"]
    axis: tuple[Array, Array]


def met(scene: Scene, drive: Drive, now: Bodies, moves: Array) -> Meeting:
    """Who touches whom, and who is above whom.

    Args:
        scene: what there is.
        drive: what stays during the control step.
        now: everything as it is.
        moves: which things are there and have not stopped falling.
    """
    axis = (-jnp.sin(now.hand_yaw), jnp.cos(now.hand_yaw))
    away = now.opening / 2 + FINGER[1]
    rise = column(scene.of_movers(lambda thing: thing.half[2]), now.x)
    bottom, top = now.z - rise, now.z + rise
    thing = _outlines(scene, now)
    outlines, lows, highs, present = drive.stays
    tip = now.hand_z - TIP
    both = scene.stiff(moves, [moves] * FINGERS, [there & moves for there in present])
    partners = [
        (
            Outline(
                *(
                    scene.stiff(mine, fingers, stays)
                    for mine, fingers, stays in zip(
                        thing,
                        zip(*_fingers(now, axis, away), strict=True),
                        zip(*outlines, strict=True) if outlines else [()] * len(thing),
                        strict=True,
                    )
                )
            ),
            scene.stiff(bottom, [tip] * FINGERS, lows),
            scene.stiff(bottom, [tip + 2 * FINGER[2]] * FINGERS, highs),
            both,
        )
    ]
    if scene.shifts:
        partners.append(
            (
                Outline(*(scene.further(each) for each in thing)),
                scene.further(bottom),
                scene.further(top),
                scene.further(moves) & moves[None],
            )
        )
    contacts, beside, over = [], [], []
    mine = Outline(*(each[None] for each in thing))
    for (partner, low, high, there), discs in zip(partners, scene.discs, strict=True):
        contact = between(mine, partner, column(discs, now.x[None, None]))
        common = jnp.minimum(top[None], high) - jnp.maximum(bottom[None], low)
        contacts.append(contact)
        beside.append(decided(there & (common > falling.LEDGE)))
        overlaps = there & (contact.apart < -falling.LEDGE)
        over.append(
            (
                decided(overlaps & (bottom[None] >= high - falling.LEDGE)),
                decided(overlaps & (low >= top[None] - falling.LEDGE)),
            )
        )
    under = falling.Below(
        table=falling.above_table(now.x, now.y) & (bottom >= -falling.LEDGE),
        stays=list(over[0][0][FINGERS:]),
        partner=list(over[1][0]) if scene.shifts else [],
        reverse=list(over[1][1] & ~over[1][0]) if scene.shifts else [],
    )
    return Meeting(contacts, beside, under, highs, away, axis)


def _outlines(scene: Scene, now: Bodies) -> Outline:
    """Of the things that move."""

    def of(is_box: bool, index: int) -> Array:
        sizes = scene.of_movers(
            lambda thing: thing.half[index] * ((thing.form == "box") == is_box)
        )
        return jnp.broadcast_to(column(sizes, now.x), now.x.shape)

    cos, sin = jnp.cos(now.yaw), jnp.sin(now.yaw)
    return Outline(now.x, now.y, cos, sin, of(True, 0), of(True, 1), of(False, 0))


def _fingers(now: Bodies, axis: tuple[Array, Array], away: Array) -> list[Outline]:
    one = jnp.ones_like(now.hand_x)
    return [
        Outline(
            now.hand_x + side * away * axis[0],
            now.hand_y + side * away * axis[1],
            axis[1],
            -axis[0],
            FINGER[0] * one,
            FINGER[1] * one,
            0 * one,
        )
        for side in (1, -1)
    ]
