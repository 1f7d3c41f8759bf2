"""Sequences of Numpad, and what players return who know one or must find it."""

import functools
from collections.abc import Callable

import numpy as np

from envs.base import Return, computed, unknown

_MOST_SEQUENCES = 200


@functools.cache
def rolls(size: int) -> np.ndarray:
    """Where the ball comes to lie: `[pad, action]`."""
    pad = np.arange(size**2)
    row, column = pad // size, pad % size
    to = [
        np.clip(row + down, 0, size - 1) * size + np.clip(column + right, 0, size - 1)
        for down, right in ((-1, 0), (0, 1), (1, 0), (0, -1))
    ]
    return np.stack(to, axis=1)


@functools.cache
def sequences(size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """All sequences, `[number, length]`, and their probabilities.

    The first pad is any, each further one any free neighbour; a sequence that cannot
    go on is drawn again.
    """
    table = rolls(size)
    found = [((pad,), 1.0) for pad in range(size**2)]
    for _ in range(length - 1):
        longer = []
        for path, weight in found:
            free = sorted(set(table[path[-1]].tolist()) - set(path))
            longer += [((*path, pad), weight / len(free)) for pad in free]
        found = longer
    weights = np.array([weight for _, weight in found])
    return np.array([path for path, _ in found]), weights / weights.sum()


@functools.cache
def _known(size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Following state and reward, `[state, action]`, for all sequences.

    States are numbers of (sequence, pad, lit, best).
    """
    paths, _ = sequences(size, length)
    shape = (len(paths), size**2, length, length)
    path, pad, lit, best = (x[..., None] for x in np.indices(shape))
    to = rolls(size)[pad[..., 0]]
    lit = np.where(to == paths[path, lit], lit, 0)
    hit = to == paths[path, lit]
    pays = hit & (lit >= best)
    lit = lit + hit
    best = np.where(pays, lit, best)
    complete = best == length
    lit, best = np.where(complete, 0, lit), np.where(complete, 0, best)
    # Lit all without being paid cannot happen: the last one always pays.
    lit = np.minimum(lit, length - 1)
    path = np.broadcast_to(path, to.shape)
    after = np.ravel_multi_index((path, to, lit, best), shape)
    return after.reshape(-1, 4), pays.reshape(-1, 4).astype(float)


def _play(
    size: int, length: int, steps: int, choose: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Value of every state of `_known`; `choose` maps `[actions, states]` to one."""
    after, pays = (np.ascontiguousarray(x.T) for x in _known(size, length))
    value = np.zeros(after.shape[1])
    for _ in range(steps):
        value = choose(pays + value[after])
    return value


def _from_the_start(size: int, length: int, value: np.ndarray) -> float:
    _, weights = sequences(size, length)
    starts = value.reshape(len(weights), size**2, -1)[:, :, 0].mean(1)
    return float(weights @ starts)


@functools.cache
def at_random(size: int, length: int, steps: int) -> float:
    """Expected return of random actions."""
    value = _play(size, length, steps, lambda actions: actions.mean(0))
    return _from_the_start(size, length, value)


@functools.cache
def trying(size: int, length: int, steps: int) -> float:
    """Expected return of rolling, at random, to a neighbour that is not lit."""
    paths, _ = sequences(size, length)
    shape = (len(paths), size**2, length, length)
    path, pad, lit = (x.reshape(-1, 1) for x in np.indices(shape)[:3])
    to = rolls(size)[pad[:, 0]]
    allowed = to != pad
    for i in range(length):
        allowed &= (to != paths[path, i]) | (i >= lit)
    allowed[~allowed.any(1)] = True
    chances = (allowed / allowed.sum(1, keepdims=True)).T
    value = _play(size, length, steps, lambda actions: (chances * actions).sum(0))
    return _from_the_start(size, length, value)


@functools.cache
def knowing(size: int, length: int, steps: int) -> float:
    """The best return of who knows the sequence."""
    value = _play(size, length, steps, lambda actions: actions.max(0))
    return _from_the_start(size, length, value)


def recall(size: int, length: int, steps: int) -> Return:
    """The Bayes-optimal player, where it can be computed."""
    count = len(sequences(size, length)[0])
    if count > _MOST_SEQUENCES:
        return unknown(
            f"{count} sequences: what can be known of them takes too many states"
        )
    return computed(
        finding(size, length, steps),
        "Bayes-optimal search: dynamic programming over what can be known",
    )


# What can be known while the sequence has not been completed: its first pads, which
# have been lit; the pads that turned out not to be the next one; the ball's pad and
# how many pads are lit now. As many have been paid for as are known.
Knowledge = tuple[tuple[int, ...], frozenset[int], int, int]


@functools.cache
def finding(size: int, length: int, steps: int) -> float:
    """The best return of who knows the rules only."""
    after, pays = _known(size, length)
    hits, misses, chances = _searching(size, length, first=len(after))
    value = np.zeros(len(after) + len(hits))
    new = np.array([[pay for _, pay in row] for row in hits])
    to = np.array([[state for state, _ in row] for row in hits])
    miss, chance = np.array(misses), np.array(chances)
    for _ in range(steps):
        searching = chance * (new + value[to]) + (1 - chance) * value[miss]
        value = np.concatenate(
            [(pays + value[: len(after)][after]).max(1), searching.max(1)]
        )
    # The first states are those of the start, by the ball's pad.
    return float(value[len(after) : len(after) + size**2].mean())


def _searching(size: int, length: int, first: int) -> tuple[list, list, list]:
    """For every state of knowledge and action: hit, miss, and the hit's chance.

    A hit is (state, reward). States are numbered from `first` on, below are those of
    `_known`, where a completed search goes on.
    """
    table, (paths, weights) = rolls(size), sequences(size, length)
    share: dict[tuple[int, ...], float] = {}
    for path, weight in zip(map(tuple, paths.tolist()), weights, strict=True):
        for n in range(length + 1):
            share[path[:n]] = share.get(path[:n], 0.0) + weight
    complete = {path: i for i, path in enumerate(map(tuple, paths.tolist()))}
    start: list[Knowledge] = [((), frozenset(), pad, 0) for pad in range(size**2)]
    number = {state: first + i for i, state in enumerate(start)}
    queue, hits, misses, chances = start, [], [], []

    def name(state: Knowledge) -> int:
        known, _, pad, _ = state
        if len(known) == length:
            shape = (len(paths), size**2, length, length)
            return int(np.ravel_multi_index((complete[known], pad, 0, 0), shape))
        if state not in number:
            number[state] = first + len(number)
            queue.append(state)
        return number[state]

    for known, wrong, pad, lit in queue:  # grows meanwhile
        open_ = sum(share.get((*known, c), 0.0) for c in set(range(size**2)) - wrong)
        row_hit, row_miss, row_chance = [], [], []
        for to in table[pad].tolist():
            chance, more = 0.0, wrong
            if lit < len(known):
                lights = lit + 1 if to == known[lit] else int(to == known[0])
            else:
                lights = int(bool(known) and to == known[0])
                if to not in wrong and (*known, to) in share:
                    chance = share[*known, to] / open_
                    more = wrong | {to}
            hit = ((*known, to), frozenset(), to, lit + 1)
            miss = (known, more, to, lights)
            sure = chance > 1 - 1e-9
            row_hit.append((name(hit), 1.0) if chance else (0, 0.0))
            row_miss.append(0 if sure else name(miss))
            row_chance.append(1.0 if sure else chance)
        hits.append(row_hit)
        misses.append(row_miss)
        chances.append(row_chance)
    return hits, misses, chances
