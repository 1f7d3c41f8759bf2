"""Checks of settings that agents share: ranges and divisibility, in one sentence."""

import math
from typing import Any

RANGES: dict[str, tuple[float, float]] = {
    "num_envs": (1, math.inf),
    "rollout_length": (1, math.inf),
    "sequence_length": (1, math.inf),
    "num_epochs": (1, math.inf),
    "num_minibatches": (1, math.inf),
    "total_updates": (1, math.inf),
    "encoder_size": (1, math.inf),
    "head_size": (0, math.inf),
    "learning_rate": (0, math.inf),
    "gamma": (0, 1),
    "gae_lambda": (0, 1),
    "entropy_coefficient": (0, math.inf),
    "value_coefficient": (0, math.inf),
}
"""Smallest and largest value of a setting; None is always allowed."""

POSITIVE = ("clip_ratio", "clip_value", "max_gradient_norm")
"""Settings that must be above 0."""


def check_ranges(agent: Any) -> None:
    """Check every setting of `agent` that is listed here.

    Raises:
        ValueError: a value out of range, with the range.
    """
    for name, (low, high) in RANGES.items():
        value = getattr(agent, name, None)
        if value is not None and not low <= value <= high:
            allowed = f"at least {low}" if high == math.inf else f"in {low} to {high}"
            raise ValueError(f"agent.{name} must be {allowed}, not {value}.")
    for name in POSITIVE:
        value = getattr(agent, name, None)
        if value is not None and not value > 0:
            raise ValueError(f"agent.{name} must be above 0, not {value}.")


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
        divisors = [d for d in range(1, total + 1) if total % d == 0]
        nearest = min(divisors, key=lambda d: abs(math.log(d / value)))
        raise ValueError(
            f"agent.{name}={value} does not divide {what}; nearest that does: "
            f"{nearest}."
        )
