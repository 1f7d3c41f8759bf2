"""What a step of a robot task pays."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs.robot.episodes.episode import Outcome, RobotState
from envs.robot.hand.touch import joint_speed

MODES = ("sparse", "dense", "normalized_dense")
WHOLE = 0.3
"""What dense rewards pay for all of a task's way, as a share of what a success at the
first step would pay."""


def of_step(
    task: Any, before: RobotState, after: RobotState, outcome: Outcome
) -> Array:
    """The reward of a step, by the task's `reward_mode`.

    Args:
        task: a `RobotTask`.
        before: its state before the step.
        after: its state after it.
        outcome: what the step has led to.
    """
    if task.reward_mode == "sparse":
        return outcome.success
    gain = _gain(task, before, after)
    speed = joint_speed(after.world)
    shaped = (outcome.shaped if gain is None else gain) - outcome.fine
    shaped -= rough(after.action, before.action, speed, task._smoothness)
    left = (task.max_steps - before.time).astype(shaped.dtype)
    ended = jnp.where(outcome.success, task._value * left, task._price)
    reward = jnp.where(outcome.success | outcome.failure, ended, shaped)
    return reward / (1.0 if task.reward_mode == "dense" else task._value)


def _gain(task: Any, before: RobotState, after: RobotState) -> Array | None:
    """What the way pays in place of `Outcome.shaped`, where the task tells it."""
    if not task.committed:
        return None
    was = task._progress(before.task, before.world)
    done = task._progress(after.task, after.world)
    if was is None or done is None:
        return None
    return WHOLE * task.max_steps * task._value * (done - was)


def rough(
    action: Float[Array, "5"],
    before: Float[Array, "5"],
    speed: Float[Array, ""],
    costs: tuple[float, float, float],
) -> Float[Array, ""]:
    """What dense rewards take for actions, their changes and speed.

    Args:
        action: of this step.
        before: of the last one.
        speed: of the joints, see `joint_speed`.
        costs: at most, of each.
    """
    first, second, third = costs
    return (
        first * jnp.tanh(2 * jnp.linalg.norm(action))
        + second * jnp.tanh(5 * jnp.linalg.norm(action - before))
        + third * jnp.tanh(2 * speed)
    )
