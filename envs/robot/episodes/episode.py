"""What a task says of an episode: what is put where, and what it has come to."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.robot.tabletop import World


class Placement(NamedTuple):
    """What a script does to the things: those of `which` are put somewhere.

    Attributes:
        which: those that are put; the others stay where physics has them.
        position, yaw: where.
        present: for all things, whether they are there.
        home: whether the gripper is put at its home, open, at rest and empty, so that
            where it was keeps nothing; None for never.
        velocity: of those that are put; None for at rest.
    """

    which: Bool[Array, " things"]
    position: Float[Array, "things 3"]
    yaw: Float[Array, " things"]
    present: Bool[Array, " things"]
    home: Bool[Array, ""] | None = None
    velocity: Float[Array, "things 3"] | None = None


def left_alone(world: World, present: Bool[Array, " things"]) -> Placement:
    """Nothing is put anywhere; only what is there may change."""
    return Placement(jnp.zeros_like(present), world.position, world.yaw, present)


class Outcome(NamedTuple):
    """What a step has led to.

    Attributes:
        success: the task is solved.
        failure: a choice was made that cannot be undone, and it is wrong.
        shaped: the dense reward of a step with neither, in the task's own units; what
            the way pays takes its place where the task tells it (`_progress`).
        fine: what dense rewards take for a mistake that ends nothing.
    """

    success: Bool[Array, ""]
    failure: Bool[Array, ""]
    shaped: Float[Array, ""]
    fine: Float[Array, ""] | float = 0.0


class RobotState(NamedTuple):
    """Everything of an episode.

    Attributes:
        time: steps taken.
        world: the gripper and the things.
        action: the last one, after freezing.
        task: what was drawn, and what has been achieved.
    """

    time: Int[Array, ""]
    world: World
    action: Float[Array, "5"]
    task: Any
