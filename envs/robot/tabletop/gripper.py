"""How the gripper moves: commanded speeds, a lag, limits.

It follows its commands whatever it meets (it is strong, and everything here is light),
so this file is its whole law, in simulation of any kind: a physics engine is told to
track the same path.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from envs.robot.tabletop.world import Gripper

CONTROL_STEP = 0.05
"""Seconds between actions: 20 Hz."""
LAG = 0.5
"""Share of the difference to the commanded speed that one control step makes up."""
FASTEST = 0.8
"""m/s along each axis, at full command."""
ACCELERATION = 10.0
"""m/s^2 along each axis, at most."""
FASTEST_TURN = 2.0
"""rad/s at full command."""
TURN_ACCELERATION = 25.0
"""rad/s^2 at most."""
WIDEST = 0.08
"""Widest opening, metres."""
FINGER_SPEED = 0.4
"""m/s by which the opening grows at full command: twice the speed of a finger."""
LOWEST = np.array([-0.5, -0.6, 0.01])
HIGHEST = np.array([0.45, 0.6, 0.5])
"""The box that the tool centre point stays in."""


def advance(gripper: Gripper, command: Float[Array, "5"]) -> Gripper:
    """The gripper one control step later.

    Its speeds hold throughout the step: it moves in straight lines from where it was.

    Args:
        gripper: as it is.
        command: speeds along x, y, z, about the vertical, and of the opening, each from
            -1 to 1 (what is outside is clipped) in units of the fastest. 0 is rest;
            the opening grows with a positive command.
    """
    command = jnp.clip(command, -1.0, 1.0).astype(gripper.position.dtype)
    velocity = _follow(gripper.velocity, FASTEST * command[:3], ACCELERATION)
    moved = gripper.position + CONTROL_STEP * velocity
    # Of the same type: `clip` is compiled, and kept for all calls that look alike.
    lowest, highest = LOWEST.astype(moved.dtype), HIGHEST.astype(moved.dtype)
    position = jnp.clip(moved, lowest, highest)
    spin = _follow(gripper.spin, FASTEST_TURN * command[3], TURN_ACCELERATION)
    wanted = gripper.opening + CONTROL_STEP * FINGER_SPEED * command[4]
    opening = jnp.clip(wanted, 0.0, WIDEST)
    return Gripper(
        position=position,
        yaw=_wrapped(gripper.yaw + CONTROL_STEP * spin),
        opening=opening,
        velocity=(position - gripper.position) / CONTROL_STEP,
        spin=spin,
        opening_speed=(opening - gripper.opening) / CONTROL_STEP,
    )


def _follow(speed: Array, wanted: Array, limit: float) -> Array:
    most = limit * CONTROL_STEP
    return speed + jnp.clip(LAG * (wanted - speed), -most, most)


def _wrapped(angle: Array) -> Array:
    """The same angle from -pi to pi."""
    return jnp.mod(angle + jnp.pi, 2 * jnp.pi) - jnp.pi


def speed(gripper: Gripper) -> Float[Array, ""]:
    """How fast the tool centre point moves, m/s."""
    return jnp.sqrt((gripper.velocity**2).sum())


def resting(position: Float[Array, "3"], opening: float = WIDEST) -> Gripper:
    """A gripper at rest, with its fingers along y."""
    zero = jnp.zeros((), position.dtype)
    return Gripper(
        position=position,
        yaw=zero,
        opening=jnp.full((), opening, position.dtype),
        velocity=jnp.zeros_like(position),
        spin=zero,
        opening_speed=zero,
    )


def towards(gripper: Gripper, target: Float[Array, "3"]) -> Float[Array, "3"]:
    """Commands along x, y and z that bring the gripper to rest at `target`.

    After a step at speed v, and rest commanded from then on, the lag carries it
    (1 / LAG - 1) v CONTROL_STEP further. So ask for the speed after which it would end
    at the target.
    """
    left = (target - gripper.position) / CONTROL_STEP
    wanted = left - (1.0 / LAG - 1.0) * gripper.velocity
    return jnp.clip(wanted / FASTEST, -1.0, 1.0)
