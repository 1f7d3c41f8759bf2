"""Intervals and aggregates over seeds and tasks.

After Agarwal et al., 'Deep Reinforcement Learning at the Edge of the Statistical
Precipice' (NeurIPS 2021): interquartile means, performance profiles and probabilities
of improvement, with intervals by a bootstrap that draws seeds within each task. The
arithmetic is SciPy's.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

RESAMPLES = 2_000
"""Of every bootstrap."""

MINIMUM_SEEDS = 5
"""Fewest seeds with which an interval is given; with fewer there is only a range."""


class Estimate(NamedTuple):
    """A mean and what lies around it.

    Attributes:
        value: the mean, or another statistic.
        lower, upper: of the 95 % bootstrap interval, or the least and the most of all
            seeds where there are fewer than `MINIMUM_SEEDS`.
        seeds: on which it rests.
    """

    value: float
    lower: float
    upper: float
    seeds: int

    @property
    def is_interval(self) -> bool:
        """Whether the bounds are an interval, not only a range."""
        return self.seeds >= MINIMUM_SEEDS


def mean_over_seeds(values: np.ndarray) -> Estimate:
    """Mean of one number per seed, `[seeds]`."""
    values = np.asarray(values, np.float64)
    lower, upper = band(values[:, None])
    return Estimate(float(values.mean()), float(lower[0]), float(upper[0]), len(values))


def band(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Around the mean over seeds of `[seeds, points]`: lower and upper, `[points]`.

    The 95 % bootstrap interval from `MINIMUM_SEEDS` on, the range with fewer.
    """
    if len(values) < MINIMUM_SEEDS:
        return values.min(0), values.max(0)
    low, high = _bootstrap((values,), lambda x, axis: np.mean(x, axis=axis))
    return low, high


def interquartile_mean(tasks: Sequence[np.ndarray]) -> Estimate:
    """Mean of the middle half of all scores, of every seed of every task.

    Args:
        tasks: normalised scores, `[seeds]` of each task.
    """

    def statistic(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        return stats.trim_mean(np.concatenate(samples, axis=axis), 0.25, axis=axis)

    return _over_tasks(tasks, statistic)


def mean_of_tasks(tasks: Sequence[np.ndarray]) -> Estimate:
    """Mean over tasks of their seeds' mean, `[seeds]` each."""
    return mean_of_kinds([[task] for task in tasks])


def mean_of_kinds(kinds: Sequence[Sequence[np.ndarray]]) -> Estimate:
    """Mean over kinds of the mean over their tasks.

    Args:
        kinds: of each its tasks, `[seeds]` each.
    """
    counts = [len(tasks) for tasks in kinds]
    weights = [1 / (len(kinds) * n) for n in counts for _ in range(n)]

    def statistic(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        pairs = zip(weights, samples, strict=True)
        return sum((w * x.mean(axis=axis) for w, x in pairs), np.zeros(()))

    return _over_tasks([task for tasks in kinds for task in tasks], statistic)


def optimality_gap(tasks: Sequence[np.ndarray]) -> Estimate:
    """How far scores stay below 1, on average; better than 1 counts as 1."""

    def statistic(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        return 1 - np.minimum(np.concatenate(samples, axis=axis), 1).mean(axis=axis)

    return _over_tasks(tasks, statistic)


def performance_profile(
    tasks: Sequence[np.ndarray], thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Share of all scores above each threshold, and its bounds, `[thresholds]` each.

    Args:
        tasks: normalised scores, `[seeds]` of each task.
        thresholds: `[thresholds]`.
    """
    samples = [(np.asarray(x)[:, None] > thresholds).astype(float) for x in tasks]

    def statistic(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        return np.concatenate(drawn, axis=axis).mean(axis=axis)

    value = statistic(*samples, axis=0)
    if min(map(len, tasks)) < MINIMUM_SEEDS:
        return value, value, value
    low, high = _bootstrap(samples, statistic)
    return value, low, high


def probability_of_improvement(
    ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]
) -> Estimate:
    """How probably a seed of ours scores more than one of theirs, mean over tasks.

    Equal scores count half, as in the Mann-Whitney statistic.

    Args:
        ours: scores, `[seeds]` of each task.
        theirs: of the same tasks.
    """
    count = len(ours)

    def statistic(*samples: np.ndarray, axis: int = -1) -> np.ndarray:
        means = []
        for mine, other in zip(samples[:count], samples[count:], strict=True):
            mine, other = (np.moveaxis(x, axis, -1) for x in (mine, other))
            difference = mine[..., :, None] - other[..., None, :]
            means.append(((np.sign(difference) + 1) / 2).mean((-1, -2)))
        return np.mean(means, axis=0)

    return _over_tasks([*ours, *theirs], statistic)


def first_reaching(values: np.ndarray, threshold: float) -> int | None:
    """Index of the first of `[points]` that is at least the threshold; None if none."""
    reached = np.flatnonzero(values >= threshold)
    return int(reached[0]) if len(reached) else None


def _over_tasks(
    tasks: Sequence[np.ndarray], statistic: Callable[..., np.ndarray]
) -> Estimate:
    samples = [np.asarray(task, np.float64) for task in tasks]
    value = float(statistic(*samples, axis=-1))
    fewest = min(map(len, samples))
    if fewest < MINIMUM_SEEDS:
        return Estimate(value, value, value, fewest)
    low, high = _bootstrap(samples, statistic)
    return Estimate(value, float(low), float(high), fewest)


def _bootstrap(
    samples: Sequence[np.ndarray], statistic: Callable[..., np.ndarray]
) -> tuple[Any, Any]:
    """Bounds of the 95 % percentile interval; seeds, the first axis, are drawn anew."""
    found = stats.bootstrap(
        tuple(samples),
        statistic,
        axis=0,
        n_resamples=RESAMPLES,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return found.low, found.high
