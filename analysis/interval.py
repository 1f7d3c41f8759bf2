"""Numbers with their 95 % intervals: over episodes of one seed, or over seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from agents.running.output.results import t_95

Z95 = 1.959964
"""Standard deviations of a normal distribution to either end of its 95 %."""
SHARES = (0.0, 1.0)
"""What a share cannot be below and above."""


class Interval(NamedTuple):
    """A number and the ends of its 95 % interval."""

    value: float
    lower: float
    upper: float


def over_episodes(values: Float[np.ndarray, " episodes"]) -> Interval:
    """The mean of one value per episode (normal approximation)."""
    mean = float(values.mean())
    spread = values.std(ddof=1) if len(values) > 1 else math.inf
    half = float(Z95 * spread / math.sqrt(len(values)))
    return Interval(mean, mean - half, mean + half)


def of_share(hits: int, trials: int) -> Interval | None:
    """A share of independent trials with Wilson's interval (1927); None of none.

    Unlike the normal approximation it has a width where all trials end alike.
    """
    if not trials:
        return None
    ends = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    return Interval(hits / trials, float(ends.low), float(ends.high))


def widened(found: Interval, trials: int) -> Interval:
    """A share, with an interval that is no narrower than Wilson's of so many trials.

    Seeds that agree, and episodes that all end alike, leave no width between them: what
    is not known of a share then is what its trials leave open.
    """
    own = of_share(round(found.value * trials), trials)
    if own is None:
        return found
    return Interval(
        found.value, min(found.lower, own.lower), max(found.upper, own.upper)
    )


def of_episodes(measure: str, values: Float[np.ndarray, " episodes"]) -> Interval:
    """The mean of a measure: with Wilson's interval if it is success, else normal."""
    share = None
    if measure == "success":
        share = of_share(int(values.sum()), len(values))
    return over_episodes(values) if share is None else share


def limits_of(measure: str) -> tuple[float, float]:
    """What the mean of a measure cannot be below and above."""
    return SHARES if measure == "success" else (-math.inf, math.inf)


def of_ratio(
    above: Float[np.ndarray, " episodes"],
    below: Float[np.ndarray, " episodes"],
    *,
    draws: int = 1000,
) -> Interval:
    """`sum(above) / sum(below)`, with the bootstrap over episodes.

    Episodes are drawn with replacement, whole (Efron 1979; percentiles), because steps
    of one episode are not independent.
    """
    count = len(above)
    rng = np.random.default_rng(0)
    weights = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    ratios = (weights @ above) / np.maximum(weights @ below, 1e-12)
    lower, upper = np.quantile(ratios, (0.025, 0.975))
    value = above.sum() / max(below.sum(), 1e-12)
    return Interval(float(value), float(lower), float(upper))


def over_seeds(
    parts: Sequence[Interval],
    low: float = -math.inf,
    high: float = math.inf,
    trials: int = 0,
) -> Interval:
    """The mean over seeds with Student's interval; of one seed that seed's own.

    Args:
        parts: one per seed.
        low: what the number cannot be below.
        high: what it cannot be above.
        trials: of all seeds together, where it is a share of so many; its interval is
            then no narrower than Wilson's of these.
    """
    if len(parts) == 1:
        return parts[0]
    values = np.array([part.value for part in parts])
    mean = float(values.mean())
    half = float(t_95(len(parts) - 1) * values.std(ddof=1) / math.sqrt(len(parts)))
    found = Interval(mean, max(mean - half, low), min(mean + half, high))
    return widened(found, trials)
