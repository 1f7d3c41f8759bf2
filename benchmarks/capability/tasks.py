"""The tasks of the capability table: sequences in one vocabulary, made with numpy."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

TIME = 130
"""Steps of a sequence; a longer episode takes a multiple of it."""
SYMBOLS = 16
BLANK, QUERY, VALUES, VOCABULARY = SYMBOLS, SYMBOLS + 1, SYMBOLS + 2, 2 * SYMBOLS + 2


class Episodes(NamedTuple):
    """Two symbols a step, and the class asked for at each; -1 where none is."""

    tokens: Int[np.ndarray, "count length two"]
    targets: Int[np.ndarray, "count length"]


def alone(tokens: Int[np.ndarray, "count length"]) -> np.ndarray:
    """Steps with one symbol."""
    return np.stack([tokens, np.full_like(tokens, BLANK)], axis=-1)


def permutations(random: np.random.Generator, count: int, size: int) -> np.ndarray:
    """`[count, size]`, each row in an order of its own."""
    return random.permuted(np.tile(np.arange(size), (count, 1)), axis=1)


def repeat_first(random: np.random.Generator, count: int, lag: int) -> Episodes:
    """Which symbol came first, asked at every step up to `lag` steps later.

    The first one is marked, as agents' inputs mark the start of an episode; the others
    are noise.
    """
    tokens = random.integers(0, SYMBOLS, (count, lag + 1))
    targets = np.repeat(tokens[:, :1], lag + 1, axis=1)
    targets[:, 0] = -1
    steps = alone(tokens)
    steps[:, 0, 1] = QUERY
    return Episodes(steps, targets)


def repeat_previous(
    random: np.random.Generator, count: int, lag: int, length: int
) -> Episodes:
    """Which symbol came `lag` steps ago, at every step."""
    tokens = random.integers(0, SYMBOLS, (count, length))
    targets = np.full_like(tokens, -1)
    targets[:, lag:] = tokens[:, :-lag]
    return Episodes(alone(tokens), targets)


def associative_recall(random: np.random.Generator, count: int, pairs: int) -> Episodes:
    """Pairs of key and value, then the keys in another order: the value of each.

    Both of a pair come in one step, so that a model is tested for its memory and not
    for seeing two neighbouring steps at once.
    """
    keys = permutations(random, count, SYMBOLS)[:, :pairs]
    values = random.integers(0, SYMBOLS, (count, pairs))
    order = permutations(random, count, pairs)
    asked = np.take_along_axis(keys, order, axis=1)
    first = np.concatenate([keys, asked], axis=1)
    second = np.concatenate([values + VALUES, np.full_like(asked, QUERY)], axis=1)
    nothing = np.full_like(values, -1)
    answers = np.take_along_axis(values, order, axis=1)
    targets = np.concatenate([nothing, answers], axis=1)
    return Episodes(np.stack([first, second], axis=-1), targets)


def running_sum(
    random: np.random.Generator, count: int, modulus: int, length: int
) -> Episodes:
    """The sum so far, modulo `modulus`; parity is that of bits."""
    tokens = random.integers(0, modulus, (count, length))
    return Episodes(alone(tokens), np.cumsum(tokens, axis=1) % modulus)


def selective_copy(
    random: np.random.Generator, count: int, items: int, room: int
) -> Episodes:
    """Symbols strewn over blanks, to be given in order afterwards."""
    places = np.sort(permutations(random, count, room)[:, :items], axis=1)
    symbols = random.integers(0, SYMBOLS, (count, items))
    strewn = np.full((count, room), BLANK)
    np.put_along_axis(strewn, places, symbols, axis=1)
    tokens = np.concatenate([strewn, np.full_like(symbols, QUERY)], axis=1)
    targets = np.concatenate([np.full_like(strewn, -1), symbols], axis=1)
    return Episodes(alone(tokens), targets)


Task = Callable[[np.random.Generator, int], Episodes]

TRAINED: dict[str, Task] = {
    "first 64": functools.partial(repeat_first, lag=64),
    "previous 4": functools.partial(repeat_previous, lag=4, length=TIME),
    "previous 16": functools.partial(repeat_previous, lag=16, length=TIME),
    "previous 64": functools.partial(repeat_previous, lag=64, length=TIME),
    "recall 4": functools.partial(associative_recall, pairs=4),
    "recall 16": functools.partial(associative_recall, pairs=16),
    "parity": functools.partial(running_sum, modulus=2, length=32),
    "sum mod 5": functools.partial(running_sum, modulus=5, length=32),
    "selective copy": functools.partial(selective_copy, items=8, room=57),
}
LAGS = {"first 8": 8, "first 64": 64, "first 512": 512}
"""What was trained on 'first 64' is tested at each of these, at that lag alone."""
TASKS = (*LAGS, *list(TRAINED)[1:])


class Sequences(NamedTuple):
    """Episodes one after the other, blanks where none fits.

    Attributes:
        tokens: `[..., time, two]`, of numpy, or in a compiled program.
        targets: `[..., time]`.
        starts: `[..., time]`, booleans.
    """

    tokens: Any
    targets: Any
    starts: Any


def packed(task: Task, random: np.random.Generator, *batch: int) -> Sequences:
    """Sequences of whole episodes, a multiple of `TIME` steps long."""
    length = task(random, 1).targets.shape[1]
    count = max(1, TIME // length)
    time_steps = -(-length * count // TIME) * TIME
    tokens, targets = task(random, math.prod(batch) * count)
    tokens = tokens.reshape(*batch, count * length, 2)
    targets = targets.reshape(*batch, count * length)
    rest = [(0, 0)] * len(batch) + [(0, time_steps - count * length)]
    tokens = np.pad(tokens, [*rest, (0, 0)], constant_values=BLANK)
    targets = np.pad(targets, rest, constant_values=-1)
    step = np.arange(time_steps)
    begins = (step % length == 0) & (step < count * length)
    return Sequences(
        tokens.astype(np.int8),
        targets.astype(np.int8),
        np.broadcast_to(begins, targets.shape),
    )
