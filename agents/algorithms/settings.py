"""Checks of settings that agents share: ranges and divisibility, in one sentence."""

import math
from numbers import Integral, Real
from typing import Any

from envs.base import Environment
from memory_models.base import MemoryModel

RANGES: dict[str, tuple[float, float]] = {
    "num_envs": (1, math.inf),
    "rollout_length": (1, math.inf),
    "sequence_length": (1, math.inf),
    "num_epochs": (1, math.inf),
    "num_minibatches": (1, math.inf),
    "total_updates": (1, math.inf),
    "encoder_size": (1, math.inf),
    "head_size": (0, math.inf),
    "memory_learning_rate": (0, math.inf),
    "gamma": (0, 1),
    "gae_lambda": (0, 1),
    "q_lambda": (0, 1),
    "entropy_coefficient": (0, math.inf),
    "value_coefficient": (0, math.inf),
    "reconstruction_weight": (0, math.inf),
    "replay_size": (1, math.inf),
    "learning_starts": (0, math.inf),
    "gradient_steps": (1, math.inf),
    "batch_size": (1, math.inf),
    "burn_in": (0, math.inf),
    "replay_period": (1, math.inf),
    "n_step": (1, math.inf),
    "target_period": (1, math.inf),
    "target_rate": (0, 1),
    "temperature": (0, math.inf),
    "entropy_first": (0, 1),
    "entropy_last": (0, 1),
    "priority_exponent": (0, math.inf),
    "priority_correction": (0, math.inf),
    "priority_peak": (0, 1),
    "exploration_share": (0, 1),
    "exploration_last": (0, 1),
}
"""Smallest and largest value of a setting; None is always allowed."""

POSITIVE = (
    *("learning_rate", "clip_ratio", "clip_value", "max_gradient_norm"),
    "adam_epsilon",
)
"""Settings that must be above 0."""


WHOLE = (
    *("num_envs", "rollout_length", "sequence_length", "num_epochs"),
    *("num_minibatches", "total_updates", "encoder_size", "head_size"),
    *("replay_size", "learning_starts", "gradient_steps", "batch_size", "burn_in"),
    *("replay_period", "n_step", "target_period"),
)
"""Settings that are whole numbers."""


def check_ranges(agent: Any) -> None:
    """Check task, memory, and every setting of `agent` that is listed here.

    Raises:
        ValueError: a value of another kind or out of range, with what is allowed.
    """
    check_parts(agent.env, agent.memory)
    for name, (low, high) in RANGES.items():
        value = getattr(agent, name, None)
        _check_number(name, value)
        if value is not None and not low <= value <= high:
            allowed = f"at least {low}" if high == math.inf else f"in {low} to {high}"
            raise ValueError(f"agent.{name} must be {allowed}, not {value}.")
    for name in POSITIVE:
        value = getattr(agent, name, None)
        _check_number(name, value)
        if value is not None and not value > 0:
            raise ValueError(f"agent.{name} must be above 0, not {value}.")


def _check_number(name: str, value: Any) -> None:
    kind, wanted = (Integral, "whole ") if name in WHOLE else (Real, "")
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, kind) or math.isnan(value):
        raise ValueError(f"agent.{name} must be a {wanted}number, not {value!r}.")


def check_parts(env: Any, memory: Any) -> None:
    """Check that an agent gets a task and a builder of a memory.

    Raises:
        ValueError: it gets something else, with what makes one.
    """
    if not isinstance(env, Environment):
        raise ValueError(
            f"an agent's env must be an envs.Environment, such as "
            f"envs.make('TMaze-v0'), not {env!r}."
        )
    if isinstance(memory, MemoryModel) or not callable(memory):
        built = isinstance(memory, MemoryModel)
        given = f"a built {type(memory).__name__}" if built else repr(memory)
        raise ValueError(
            "an agent's memory must be a builder, such as "
            f"memory_models.builder('gru', output_size=128), not {given}."
        )


def check_hidden(agent: Any) -> None:
    """Check that a critic meant to see hidden variables has some to see.

    Raises:
        ValueError: the task tells none.
    """
    if agent.critic_sees_hidden and agent.env.hidden is None:
        raise ValueError(
            "agent.critic_sees_hidden=true needs a task that tells its hidden "
            f"variables, but {type(agent.env).__name__} defines no hidden(state); "
            "leave it false or add the method."
        )


def check_sequences(agent: Any, sequence_length: int) -> None:
    """Check that rollouts cut into sequences, and those into minibatches.

    Args:
        agent: with the settings of rollouts and minibatches.
        sequence_length: steps per sequence.

    Raises:
        ValueError: something does not divide, with the nearest value that does.
    """
    check_divides(
        "sequence_length",
        sequence_length,
        agent.rollout_length,
        f"agent.rollout_length={agent.rollout_length}, so the rollout cannot be cut "
        "into whole sequences",
    )
    each = agent.rollout_length // sequence_length
    check_divides(
        "num_minibatches",
        agent.num_minibatches,
        agent.num_envs * each,
        f"the {agent.num_envs * each} sequences of a rollout ({agent.num_envs} "
        f"environments x {each} sequences each)",
    )


def check_replay(agent: Any) -> None:
    """Check that rollouts and windows fit into a replay.

    Args:
        agent: with the settings of a replay.

    Raises:
        ValueError: something does not, with what does.
    """
    if agent.replay_period is not None:
        check_divides(
            "replay_period",
            agent.replay_period,
            agent.rollout_length,
            f"agent.rollout_length={agent.rollout_length}, so that windows would be "
            "half overwritten",
        )
    need = agent.sequence_length + (agent.burn_in or 0) + 1
    if agent.burn_in is None:
        need += agent.sequence_length  # the most that it is chosen to be
    rollouts = -(-need // agent.rollout_length) + 1
    least = rollouts * agent.rollout_length * agent.num_envs
    if agent.replay_size < least:
        raise ValueError(
            f"agent.replay_size={agent.replay_size} is too small for windows of "
            f"{agent.sequence_length} steps in each of {agent.num_envs} environments; "
            f"use at least {least}."
        )


def check_divides(name: str, value: int, total: int, what: str) -> None:
    """Check that `agent.<name>` divides a total.

    Args:
        name: of the setting.
        value: its value.
        total: what it must divide.
        what: the total in words.

    Raises:
        ValueError: it does not, with the nearest value that does.
    """
    if total % value:
        nearest = min(divisors(total), key=lambda d: abs(math.log(d / value)))
        raise ValueError(
            f"agent.{name}={value} does not divide {what}; nearest that does: "
            f"{nearest}."
        )


def divisors(total: int) -> list[int]:
    """Divisors of a positive number, without trying every number up to it.

    Prime factors above a million are left joined, so that any number takes well under
    a second; of a number with two of those, divisors are missing.
    """
    found, rest, factor = [1], total, 2
    while factor <= min(math.isqrt(rest), 1_000_000):
        power = [1]
        while rest % factor == 0:
            rest //= factor
            power.append(power[-1] * factor)
        if len(power) > 1:
            found = [d * p for d in found for p in power]
        factor += 1
    return sorted({d * p for d in found for p in (1, rest)})
