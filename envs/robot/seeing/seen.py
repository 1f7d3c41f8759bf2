"""What a policy sees of the table, as vectors."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.robot.tabletop import Gripper, World
from envs.robot.tabletop.gripper import WIDEST

GRIPPER = (
    *("x", "y", "z", "vx", "vy", "vz"),
    *("sin yaw", "cos yaw", "spin", "opening"),
)
"""What each number of `gripper` is: metres, metres per second, radians per second; the
opening from 0, closed, to 1."""
THING = ("visible", "x", "y", "z", "vx", "vy", "sin yaw", "cos yaw")
"""What the first numbers of a row of `things` are; colours and shapes follow, one-hot.
Rows of what is not visible are 0 throughout."""
COLOURS = (
    *("red", "lime", "blue", "yellow", "magenta"),
    *("cyan", "maroon", "orange", "teal"),
)
SHAPES = (
    *("cube", "ball", "cylinder", "cross", "torus"),
    *("star", "pyramid", "T", "crescent"),
)


class Appearance(NamedTuple):
    """In what the things of a task can differ.

    Attributes:
        colours: names of all that occur; none if things are told apart otherwise.
        shapes: names of all that occur; none if they are all alike.
    """

    colours: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()


class Looks(NamedTuple):
    """What the things look like now.

    Attributes:
        visible: what is there and not covered.
        colour, shape: indices into the names of `Appearance`, where it has any.
        order: which thing stands in each row of `things`, None for each in its own: of
            things that look alike, a row must not tell which one it is.
    """

    visible: Bool[Array, " things"]
    colour: Int[Array, " things"] | None = None
    shape: Int[Array, " things"] | None = None
    order: Int[Array, " things"] | None = None


def width(appearance: Appearance) -> int:
    """Numbers in a row of `things`."""
    return len(THING) + len(appearance.colours) + len(appearance.shapes)


def proprioception(gripper: Gripper) -> Float[Array, "10"]:
    """What the robot knows of itself; see `GRIPPER`."""
    turned = jnp.stack(
        [
            *(jnp.sin(gripper.yaw), jnp.cos(gripper.yaw), gripper.spin),
            gripper.opening / WIDEST,
        ]
    )
    told = jnp.concatenate([gripper.position, gripper.velocity, turned])
    return told.astype(jnp.float32)


def table(
    world: World, looks: Looks, appearance: Appearance
) -> Float[Array, "things numbers"]:
    """A row for each thing; see `THING`."""
    place = [looks.visible[:, None].astype(world.position.dtype), world.position]
    motion = [world.velocity[:, :2], _turned(world.yaw)]
    columns = [*place, *motion]
    for names, index in (
        (appearance.colours, looks.colour),
        (appearance.shapes, looks.shape),
    ):
        if names:
            columns.append(jax.nn.one_hot(index, len(names), dtype=jnp.float32))
    rows = jnp.concatenate([x.astype(jnp.float32) for x in columns], axis=1)
    rows = jnp.where(looks.visible[:, None], rows, jnp.zeros_like(rows))
    return rows if looks.order is None else rows[looks.order]


def _turned(yaw: Float[Array, " things"]) -> Float[Array, "things 2"]:
    return jnp.stack([jnp.sin(yaw), jnp.cos(yaw)], axis=1)
