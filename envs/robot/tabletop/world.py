"""What changes on a table: the gripper and the things, as arrays.

Lengths in metres, angles in radians, time in seconds. x points away from the robot, y
to its left, z up; the table is z = 0.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


class Gripper(NamedTuple):
    """Two fingers that point down.

    Attributes:
        position: the middle between the finger tips, the tool centre point.
        yaw: about the vertical; at 0 the fingers open along y.
        opening: between the fingers.
        velocity: of the position.
        spin: of the yaw.
        opening_speed: of the opening, positive while it opens.
    """

    position: Float[Array, "3"]
    yaw: Float[Array, ""]
    opening: Float[Array, ""]
    velocity: Float[Array, "3"]
    spin: Float[Array, ""]
    opening_speed: Float[Array, ""]


class World(NamedTuple):
    """The gripper, and rows of each thing of the table.

    Attributes:
        gripper: see `Gripper`.
        position: its middle.
        yaw: about the vertical.
        velocity: of its middle.
        spin: of its yaw.
        roll: of a ball, about x and y, radians per second.
        present: whether it is there at all; what is not there touches nothing.
        held: the number of the thing between the fingers, -1 for none.
        fallen: whether it has left the table since the episode began.
    """

    gripper: Gripper
    position: Float[Array, "things 3"]
    yaw: Float[Array, " things"]
    velocity: Float[Array, "things 3"]
    spin: Float[Array, " things"]
    roll: Float[Array, "things 2"]
    present: Bool[Array, " things"]
    held: Int[Array, ""]
    fallen: Bool[Array, " things"]


def at_rest(
    gripper: Gripper,
    position: Float[Array, "things 3"],
    yaw: Float[Array, " things"],
    present: Bool[Array, " things"],
) -> World:
    """Everything where it is put, nothing moving, nothing held."""
    still = jnp.zeros_like(position)
    return World(
        gripper=gripper,
        position=position,
        yaw=yaw,
        velocity=still,
        spin=jnp.zeros_like(yaw),
        roll=still[:, :2],
        present=present,
        held=jnp.full((), -1, jnp.int32),
        fallen=jnp.zeros_like(present),
    )
