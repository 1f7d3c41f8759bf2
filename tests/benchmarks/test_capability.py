"""The tasks of the capability table, answered by hand from their symbols alone."""

import functools
import itertools

import numpy as np
import pytest

import memory_models
from benchmarks.capability.tasks import (
    BLANK,
    QUERY,
    TASKS,
    TIME,
    TRAINED,
    VALUES,
    packed,
    repeat_first,
)
from benchmarks.capability.theory import THEORY


def first(steps):
    assert [b == QUERY for _, b in steps] == [True] + [False] * (len(steps) - 1)
    return [-1] + [steps[0][0]] * (len(steps) - 1)


def previous(lag):
    return lambda steps: [
        steps[t - lag][0] if t >= lag else -1 for t in range(len(steps))
    ]


def recall(steps):
    book = {a: b - VALUES for a, b in steps if b >= VALUES}
    return [book[a] if b == QUERY else -1 for a, b in steps]


def sums(modulus):
    return lambda steps: [
        sum(a for a, _ in steps[: t + 1]) % modulus for t in range(len(steps))
    ]


def copy(steps):
    seen = iter([a for a, _ in steps if a < BLANK])
    return [next(seen) if a == QUERY else -1 for a, _ in steps]


BY_HAND = {
    "first 64": first,
    "previous 4": previous(4),
    "previous 16": previous(16),
    "previous 64": previous(64),
    "recall 4": recall,
    "recall 16": recall,
    "parity": sums(2),
    "sum mod 5": sums(5),
    "selective copy": copy,
}


@pytest.mark.parametrize("name", TRAINED)
def test_answers_are_those_found_by_hand(name):
    data = packed(TRAINED[name], np.random.default_rng(0), 3)
    assert data.tokens.shape == (3, TIME, 2) and (data.targets >= 0).any()
    for tokens, targets, starts in zip(*data, strict=True):
        bounds = [*np.flatnonzero(starts), TIME]
        assert bounds[0] == 0
        for begin, end in itertools.pairwise(bounds):
            steps = tokens[begin:end].tolist()
            while steps[-1] == [BLANK, BLANK]:  # the rest after the last episode
                steps.pop()
            expected = BY_HAND[name](steps)
            np.testing.assert_array_equal(targets[begin : begin + len(steps)], expected)
            assert (targets[begin + len(steps) : end] == -1).all()


def test_theory_speaks_of_tasks_and_memories_that_exist():
    names = set(memory_models.names())
    assert set(THEORY) == names
    assert {task for says in THEORY.values() for task in says} <= set(TASKS)


def test_long_episodes_are_cut_into_calls():
    lag = functools.partial(repeat_first, lag=512)
    data = packed(lag, np.random.default_rng(0), 2)
    assert data.targets.shape == (2, 4 * TIME) and data.starts.sum() == 2
