"""Aggregates over seeds and tasks, against loops in plain Python."""

import random

import numpy as np
import pytest

from analysis.compare import statistics as s

RNG = np.random.default_rng(3)
TASKS = [RNG.random(5), RNG.random(7) * 2 - 0.5]


def slow_interval(samples, statistic):
    """Percentiles of a statistic of seeds drawn anew within every task, by loops."""
    draw = random.Random(1)
    found = []
    for _ in range(4000):
        drawn = [[draw.choice(list(task)) for _ in task] for task in samples]
        found.append(statistic(drawn))
    return np.percentile(found, [2.5, 97.5])


def slow_iqm(tasks):
    flat = sorted(x for task in tasks for x in task)
    cut = int(len(flat) * 0.25)
    middle = flat[cut : len(flat) - cut]
    return sum(middle) / len(middle)


def test_interquartile_mean():
    found = s.interquartile_mean(TASKS)
    assert found.value == pytest.approx(slow_iqm(TASKS)) and found.seeds == 5
    low, high = slow_interval(TASKS, slow_iqm)
    assert found.lower == pytest.approx(low, abs=0.03)
    assert found.upper == pytest.approx(high, abs=0.03)
    assert found.is_interval


def test_gap_counts_better_than_recall_as_recall():
    assert s.optimality_gap([np.array([0.5, 3.0])]).value == pytest.approx(0.25)


def test_mean_of_kinds():
    kinds = [[TASKS[0], TASKS[1]], [TASKS[1] + 1]]

    def slow(drawn):
        first, second, third = (sum(x) / len(x) for x in drawn)
        return ((first + second) / 2 + third) / 2

    samples = [*kinds[0], *kinds[1]]
    found = s.mean_of_kinds(kinds)
    assert found.value == pytest.approx(slow(samples)) and found.seeds == 5
    low, high = slow_interval(samples, slow)
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=0.04)
    assert s.mean_of_tasks(samples).value == pytest.approx(
        sum(x.mean() for x in samples) / 3
    )


def slow_improvement(ours, theirs):
    shares = []
    for mine, other in zip(ours, theirs, strict=True):
        wins = sum((x > y) + 0.5 * (x == y) for x in mine for y in other)
        shares.append(wins / (len(mine) * len(other)))
    return sum(shares) / len(shares)


def test_probability_of_improvement():
    ours = [np.array([1.0, 2, 2, 3, 5]), np.array([0.0, 1, 1, 1, 2])]
    theirs = [np.array([2.0, 2, 2, 2, 1, 0]), np.array([1.0, 1, 1, 1, 1])]
    found = s.probability_of_improvement(ours, theirs)
    assert found.value == pytest.approx(slow_improvement(ours, theirs))
    low, high = slow_interval(
        [*ours, *theirs], lambda drawn: slow_improvement(drawn[:2], drawn[2:])
    )
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=0.04)
    other = s.probability_of_improvement(theirs, ours)
    assert other.value == pytest.approx(1 - found.value)


def test_performance_profile():
    thresholds = np.array([0.0, 0.3, 0.9])
    value, low, high = s.performance_profile(TASKS, thresholds)
    flat = [x for task in TASKS for x in task]
    expected = [sum(x > t for x in flat) / len(flat) for t in thresholds]
    np.testing.assert_allclose(value, expected)
    assert (low <= value).all() and (value <= high).all() and (low < high).any()


def test_few_seeds_have_a_range_and_no_interval():
    few = s.mean_over_seeds(np.array([1.0, 2.0, 6.0]))
    assert few == (3.0, 1.0, 6.0, 3) and not few.is_interval
    many = s.mean_over_seeds(np.array([1.0, 2.0, 6.0, 1.0, 2.0]))
    assert many.is_interval and 1.0 < many.lower < 2.4 < many.upper < 6.0
    low, high = slow_interval([[1.0, 2, 6, 1, 2]], lambda x: sum(x[0]) / 5)
    assert (many.lower, many.upper) == pytest.approx((low, high), abs=0.15)
    assert not s.interquartile_mean([np.ones(4), np.ones(9)]).is_interval


def test_equal_seeds_are_no_fault():
    assert s.mean_over_seeds(np.ones(5)) == (1.0, 1.0, 1.0, 5)
    assert s.interquartile_mean([np.ones(5)])[:3] == (1.0, 1.0, 1.0)


def test_first_reaching():
    assert s.first_reaching(np.array([0.1, 0.9, 0.2, 1.0]), 0.9) == 1
    assert s.first_reaching(np.array([0.1, 0.2]), 0.9) is None
