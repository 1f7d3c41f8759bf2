"""The half-life of a memory: how far back a cue may lie until half of its gain is lost.

The gain is where a score lies between the card's two lines, (score - memoryless) /
(recall - memoryless): 1 for a perfect memory, 0 for none. A seed below the memoryless
line has kept nothing, and counts as 0.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from agents.evaluate import MARGIN
from analysis.interval import Z95, Interval

REPEATS = 2_000
"""Resamples of the bootstrap."""


class HalfLife(NamedTuple):
    """A half-life, or why there is none.

    Attributes:
        interval: in steps, infinite where half was never lost; None where there is no
            half-life.
        last: the longest horizon that was played.
        reason: why there is none; empty where there is one.
        between: the horizons that were played next to it; None without.
    """

    interval: Interval | None
    last: int
    reason: str = ""
    between: tuple[int, int] | None = None

    def __str__(self) -> str:
        """Such as `57 steps (95 % interval 48 to 70; a line between 40 and 80)`."""
        if self.interval is None:
            return self.reason
        value, lower, upper = (
            f"beyond {self.last:,}" if math.isinf(steps) else _whole(steps)
            for steps in self.interval
        )
        told = f"{value} steps (95 % interval {lower} to {upper}"
        if self.between is None:
            return f"{told})"
        return f"{told}; a line between {self.between[0]:,} and {self.between[1]:,})"


def _whole(steps: float) -> str:
    return f"{steps:,.0f}" if steps >= 100 else f"{steps:.3g}"


def crossings(
    horizons: Float[np.ndarray, " points"], kept: Float[np.ndarray, "curves points"]
) -> Float[np.ndarray, " curves"]:
    """Where each curve first falls to half of its first value.

    Between two horizons a curve is a straight line over the logarithm of the horizon.

    Args:
        horizons: ascending, from the training horizon on.
        kept: share of memory's gain that was kept there.

    Returns:
        Steps; infinite where a curve never falls so far, nan where it starts at 0 or
        below.
    """
    half = kept[:, :1] / 2
    low = kept <= half
    after = np.argmax(low, axis=1)
    rows, before = np.arange(len(kept)), np.maximum(after - 1, 0)
    high, low_value = kept[rows, before], kept[rows, after]
    drop = np.where(high > low_value, high - low_value, 1.0)
    part = (high - half[:, 0]) / drop
    logs = np.log(horizons)
    found = np.exp(logs[before] + part * (logs[after] - logs[before]))
    found = np.clip(found, horizons[before], horizons[after])  # exp(log(10)) > 10
    found = np.where(low.any(axis=1), found, np.inf)
    return np.where(kept[:, 0] > 0, found, np.nan)


def half_life(
    horizons: Sequence[int],
    means: Float[np.ndarray, "points seeds"],
    errors: Float[np.ndarray, "points seeds"],
    lines: Float[np.ndarray, "points 2"],
    repeats: int = REPEATS,
) -> HalfLife:
    """The half-life over all seeds, with a bootstrap over seeds and episodes.

    Every resample draws the seeds anew, with replacement, and the mean of each seed's
    episodes from a normal distribution around it, whose deviation is its standard
    error. One seed stands for itself: the interval is then over its episodes alone.

    Args:
        horizons: ascending, from the training horizon on.
        means: score of every seed.
        errors: their standard errors over episodes.
        lines: memoryless and recall of every horizon, from the card.
        repeats: number of resamples.
    """
    random = np.random.default_rng(0)
    points, seeds = means.shape
    drawn = random.integers(seeds, size=(repeats, seeds))
    noise = random.standard_normal((repeats, points, seeds))
    rows = np.arange(points)[None, :, None]
    chosen = means[rows, drawn[:, None]] + noise * errors[rows, drawn[:, None]]
    resampled = np.maximum(gain(chosen, lines), 0).mean(axis=2)
    whole = np.maximum(gain(means[None], lines), 0).mean(axis=2)
    last = int(horizons[-1])
    lower = np.quantile(resampled[:, 0], 0.025)
    if not lower > MARGIN:
        share = f"{whole[0, 0]:.2f} of memory's gain, at the least {lower:.2f}"
        return HalfLife(None, last, f"none: nothing was retained in training ({share})")
    steps = np.asarray(horizons, np.float64)
    value = float(crossings(steps, whole)[0])
    found = crossings(steps, resampled)
    found = np.where(np.isnan(found), steps[0], found)
    ends = np.quantile(found, (0.025, 0.975), method="nearest")
    interval = Interval(value, float(ends[0]), float(ends[1]))
    if math.isinf(value):
        return HalfLife(interval, last)
    after = int(np.searchsorted(steps, value))
    played = (int(horizons[after - 1]), int(horizons[after]))
    return HalfLife(interval, last, between=played)


def gain(
    scores: Shaped[np.ndarray, "curves points seeds"],
    lines: Float[np.ndarray, "points 2"],
) -> Float[np.ndarray, "curves points seeds"]:
    """Scores as shares of what memory can add: 0 is memoryless, 1 is recall."""
    memoryless, recall = lines[:, :1], lines[:, 1:]
    return (scores - memoryless) / (recall - memoryless)


def standard_errors(
    lower: Shaped[np.ndarray, "*any"], upper: Shaped[np.ndarray, "*any"]
) -> Shaped[np.ndarray, "*any"]:
    """Of means whose 95 % intervals (normal approximation) these are."""
    return (upper - lower) / (2 * Z95)
