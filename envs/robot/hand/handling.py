"""How scripted policies pick a thing up, carry it, set it down and push it.

Each function reads the world and gives the next command: nothing is kept in between.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from envs.robot.hand import button
from envs.robot.hand.touch import apart, distance
from envs.robot.tabletop import World
from envs.robot.tabletop import gripper as arm

CLEAR = 0.05
"""Metres above a thing's middle at which the open fingers pass over it."""
CARRY = 0.12
"""Height at which things are carried, metres."""
_OVER, _DOWN, _TURNED = 0.004, 0.004, 0.05
_BEHIND = 0.03
"""Metres between the fingers and a thing before they push it."""
_PAD = 0.009
"""Half of the closed fingers' thickness, metres."""

Row = int | Int[Array, ""]


def command(
    move: Float[Array, "3"], turn: Array | float = 0.0, fingers: Array | float = 0.0
) -> Float[Array, "5"]:
    """A command of its parts."""
    rest = jnp.stack([jnp.asarray(x, move.dtype) for x in (turn, fingers)])
    return jnp.concatenate([move, rest])


def turning(world: World, yaw: Array, symmetry: float = np.pi / 2) -> Array:
    """The command about the vertical that lines the fingers up with a yaw.

    Args:
        world: as it is.
        yaw: of what is to be gripped or pushed.
        symmetry: turns by which it looks the same, radians.
    """
    left = _turned(world, yaw, symmetry) / arm.CONTROL_STEP
    wanted = left - (1.0 / arm.LAG - 1.0) * world.gripper.spin
    return jnp.clip(wanted / arm.FASTEST_TURN, -1.0, 1.0)


def _turned(world: World, yaw: Array, symmetry: float) -> Array:
    """How far the nearest equal of a yaw is from the hand's."""
    left = yaw - world.gripper.yaw + symmetry / 2
    return jnp.mod(left, symmetry) - symmetry / 2


def pick(world: World, row: Row, symmetry: float = np.pi / 2) -> Float[Array, "5"]:
    """Open, go above a thing, down to its middle, and close.

    Args:
        world: as it is.
        row: of the thing.
        symmetry: turns by which the thing looks the same; 0 where it is round.
    """
    place, tool = world.position[row], world.gripper.position
    away = distance(world, place[:2])
    turned, turn = jnp.zeros_like(away), jnp.zeros_like(away)
    if symmetry:
        turned = _turned(world, world.yaw[row], symmetry)
        turn = turning(world, world.yaw[row], symmetry)
    over = (away <= _OVER) & (jnp.abs(turned) <= _TURNED)
    open_wide = world.gripper.opening >= 0.95 * arm.WIDEST
    # Once the fingers are beside the thing they close whatever is open.
    down = over & (tool[2] - place[2] <= _DOWN)
    across = (tool[2] - place[2] >= CLEAR - 0.02) | (away <= _OVER)
    height = jnp.where(over & (open_wide | down), place[2], place[2] + CLEAR)
    target = jnp.where(across, place[:2], tool[:2])
    move = arm.towards(world.gripper, jnp.stack([target[0], target[1], height]))
    return command(move, turn, jnp.where(down, -1.0, 1.0))


def carry(
    world: World, row: Row, place: Float[Array, "3"], height: float = CARRY
) -> Float[Array, "5"]:
    """Bring the thing that is held to a place: up, across, down. It is not let go.

    Args:
        world: as it is.
        row: of the thing.
        place: where its middle goes.
        height: of its middle on the way.
    """
    there, tool = world.position[row], world.gripper.position
    near = apart(place[:2], there[:2]) <= 2 * _OVER
    high = near | (there[2] >= height - 0.02)
    flat = jnp.where(high, place[:2], there[:2])
    level = jnp.where(near, place[2], height)
    goal = jnp.stack([flat[0], flat[1], level])
    return command(arm.towards(world.gripper, tool + goal - there))


def at(world: World, row: Row, place: Float[Array, "3"], within: float) -> Array:
    """Whether a thing's middle is within so many metres of a place."""
    return apart(world.position[row], place) <= within


def bring(
    world: World,
    row: Row,
    place: Float[Array, "3"],
    within: float = 0.005,
    height: float = CARRY,
    symmetry: float = np.pi / 2,
) -> Float[Array, "5"]:
    """Pick a thing up, carry it to a place and let it go there.

    Args:
        world: as it is.
        row: of the thing.
        place: where its middle goes.
        within: metres from there at which it is let go, the hand being slow.
        height: of its middle on the way.
        symmetry: turns by which the thing looks the same; 0 where it is round.
    """
    holds = world.held == row
    arrived = at(world, row, place, within) & (arm.speed(world.gripper) < 0.05)
    held = jnp.where(arrived, release(world), carry(world, row, place, height))
    return jnp.where(holds, held, pick(world, row, symmetry))


def release(world: World) -> Float[Array, "5"]:
    """Open the fingers where they are."""
    return command(jnp.zeros_like(world.gripper.position), fingers=1.0)


def lift(world: World, height: float = CARRY) -> Float[Array, "5"]:
    """Straight up, with open fingers."""
    tool = world.gripper.position
    return command(arm.towards(world.gripper, tool.at[2].set(height)), fingers=1.0)


def press(world: World, place: Float[Array, "3"]) -> Float[Array, "5"]:
    """Straight up out of what stands here, then to a button and down on it."""
    tool = world.gripper.position
    aside = distance(world, place[:2]) > 0.03
    low = tool[2] < CARRY - 0.02
    goal = button.stroke(tool, place, jnp.zeros((), bool))
    stroke = command(arm.towards(world.gripper, goal))
    return jnp.where(aside & low, lift(world), stroke)


def behind(
    world: World, row: Row, goal: Float[Array, "2"], radius: float
) -> tuple[Float[Array, "2"], Bool[Array, ""]]:
    """Where the closed fingers stand to push a thing towards a goal; are they there?

    Args:
        world: as it is.
        row: of the thing.
        goal: where its middle is to go.
        radius: of the thing, as far as it reaches back.
    """
    there = world.position[row, :2]
    ahead = goal - there
    ahead = ahead / jnp.maximum(jnp.sqrt((ahead**2).sum()), 1e-6)
    offset = world.gripper.position[:2] - there
    along = (offset * ahead).sum()
    aside = offset[1] * ahead[0] - offset[0] * ahead[1]
    stands = (along <= 0) & (along >= -radius - _PAD - 2 * _BEHIND)
    return there - ahead * (radius + _PAD + _BEHIND), stands & (jnp.abs(aside) < 0.012)


def push(
    world: World,
    row: Row,
    goal: Float[Array, "2"],
    radius: float,
    height: float,
    slowly: float = 0.35,
) -> Float[Array, "5"]:
    """Go round behind a thing with closed fingers and push it to a goal.

    What the fingers push sticks to them, so the thing goes where the hand goes, and the
    hand goes straight ahead, neither turning nor making up for being a little aside.

    Args:
        world: as it is.
        row: of the thing.
        goal: where its middle is to go.
        radius: of the thing, as far as it reaches back.
        height: of the fingers while they push.
        slowly: share of full speed at which it is pushed at most. A hand that stops
            loses 10 times its speed per second: above 0.37 of full speed that is more
            than friction takes from the thing, which then slides past the goal.
    """
    tool = world.gripper.position
    start, stands = behind(world, row, goal, radius)
    pushes = stands & (tool[2] <= height + 0.01)
    above = tool[2] >= height + 2 * CLEAR - 0.02
    near = distance(world, start) <= 0.01
    # Up, across, down; then along the line from the thing to its goal.
    flat = jnp.where(above | near, start, tool[:2])
    level = jnp.where(near, height, height + 2 * CLEAR)
    around = jnp.stack([flat[0], flat[1], level])
    ahead = goal - world.position[row, :2]
    left = jnp.maximum(jnp.sqrt((ahead**2).sum()), 1e-6)
    # `towards` limits each axis by itself, which would bend the way to a far goal.
    most = slowly * arm.FASTEST * arm.CONTROL_STEP / arm.LAG
    flat = tool[:2] + ahead * jnp.minimum(1.0, most / left)
    forward = jnp.stack([flat[0], flat[1], jnp.asarray(height, tool.dtype)])
    move = arm.towards(world.gripper, jnp.where(pushes, forward, around))
    turn = turning(world, jnp.arctan2(ahead[1], ahead[0]), np.pi)
    return command(move, jnp.where(pushes, 0.0, turn), -1.0)


def alongside(
    world: World, place: Float[Array, "3"], velocity: Float[Array, "3"]
) -> Float[Array, "3"]:
    """The command along x, y and z that brings the hand to a moving place.

    There it moves as the place does. Where the velocity is not quite right it stays as
    far behind as the place moves in two steps by what the velocity is wrong.

    Args:
        world: as it is.
        place: where it is to be.
        velocity: of that place, m/s.
    """
    hand = world.gripper
    relative = hand._replace(velocity=hand.velocity - velocity)
    # The law of `towards`, for one who moves along; its command may be cut off twice.
    return jnp.clip(velocity / arm.FASTEST + arm.towards(relative, place), -1.0, 1.0)


def catch(
    world: World,
    row: Row,
    velocity: Float[Array, "3"],
    within: float,
    clear: float = CLEAR,
    grip: float = 0.0,
) -> Float[Array, "5"]:
    """Close the fingers on a thing that moves: above it, along with it, down, closed.

    Args:
        world: as it is.
        row: of the thing.
        velocity: of the thing, m/s, as well as it is known.
        within: metres beside its middle at which the open fingers fit over it.
        clear: metres above its middle at which the fingers pass over it.
        grip: metres above its middle at which they close.
    """
    place, tool = world.position[row], world.gripper.position
    beside = distance(world, place[:2]) <= within
    above = tool[2] - place[2]
    low = above <= (clear + grip) / 2
    height = place[2] + jnp.where(beside | low, grip, clear)
    move = alongside(world, place.at[2].set(height), velocity)
    closes = beside & (above <= grip + 2 * _DOWN)
    return command(move, fingers=jnp.where(closes, -1.0, 1.0))
