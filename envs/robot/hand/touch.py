"""Where the gripper is and rests: what tasks judge by, and pay for."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.robot.tabletop import World
from envs.robot.tabletop import gripper as arm

SLOW = 0.15
"""m/s up to which the gripper is at rest: .2 rad/s of a joint, at arm's length."""
ARM = 0.75
"""Metres: a speed of the gripper divided by it stands for the speed of joints."""
RISEN = 0.1
"""Height above which a hand has let go of what lies on the table, metres: the fingers
are then 4 cm above a thing of 5 cm."""
STILL, STILL_TURN = 0.01, 0.05
"""m/s and rad/s up to which a thing lies still."""


def static(world: World) -> Bool[Array, ""]:
    """Whether the gripper is at rest."""
    return arm.speed(world.gripper) <= SLOW


def joint_speed(world: World) -> Float[Array, ""]:
    """What stands for the speed of an arm's joints, rad/s."""
    return arm.speed(world.gripper) / ARM


def apart(one: Float[Array, "*many axes"], other: Float[Array, "*many axes"]) -> Array:
    """How far places are from each other, metres."""
    return jnp.sqrt(((one - other) ** 2).sum(-1))


def distance(world: World, place: Float[Array, "*places axes"]) -> Array:
    """From the gripper to places, metres; in the plane where they have two numbers."""
    tool = world.gripper.position[: place.shape[-1]]
    return apart(place, jnp.broadcast_to(tool, place.shape))


def touched(
    world: World, places: Float[Array, "places 3"], within: float
) -> tuple[Bool[Array, ""], Int[Array, ""]]:
    """Whether the gripper rests at one of these places, and at which."""
    distances = distance(world, places)
    nearest = jnp.argmin(distances).astype(jnp.int32)
    return (distances[nearest] <= within) & static(world), nearest


def let_go(world: World, row: int) -> Bool[Array, ""]:
    """Whether a thing lies still, and the hand has risen from it."""
    moves = (world.velocity[row] ** 2).sum() > STILL**2
    turns = jnp.abs(world.spin[row]) > STILL_TURN
    there = (world.held != row) & ~world.fallen[row]
    return there & ~moves & ~turns & (world.gripper.position[2] >= RISEN)


def reach(world: World, place: Float[Array, "3"]) -> Float[Array, "5"]:
    """The command that brings the gripper to rest at a place."""
    moves = arm.towards(world.gripper, place)
    return jnp.concatenate([moves, jnp.zeros(2, moves.dtype)])


def closeness(distance: Array, scale: float) -> Array:
    """1 at a distance of 0 and falling to 0: 1 - tanh(scale * distance)."""
    return 1.0 - jnp.tanh(scale * distance)


def paid(where: Bool[Array, ""], amount: float | Array) -> Array:
    """An amount where something holds, else 0."""
    return jnp.where(where, amount, 0.0)


def staged(
    done: Int[Array, ""], on: Float[Array, ""], stages: Int[Array, ""] | int
) -> Float[Array, ""]:
    """The share of a task that is done: every stage adds to it.

    Args:
        done: stages that are over.
        on: how far the next one has come, 0 to 1; it counts for 0.8 of the stage, and
            going over for the rest.
        stages: that there are.
    """
    done = done.astype(on.dtype)
    return (done + 0.8 * jnp.clip(on, 0.0, 1.0)) / jnp.asarray(stages, on.dtype)


def approach(world: World, place: Float[Array, "3"], within: float) -> Array:
    """The dense reward of going to a place and resting there, at most 2."""
    away = distance(world, place)
    still = closeness(joint_speed(world), 5.0)
    rests = static(world) & (away <= within)
    return closeness(away, 10.0) + 0.5 * still + paid(rests, 0.5)
