"""What players of the Memory & Planning Game return, with and without a map."""

import functools

import numpy as np

from envs.base import Return, computed, unknown

_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))  # each a quarter turn from the one before
_KNOWN = {(4, 100): 28.940782024006364}
"""`explore` of the default; a slow test computes it."""


def recall(size: int, length: int) -> Return:
    """The Bayes-optimal player, where it can be computed."""
    if size > 4:
        return unknown(
            "the sets of places visited, on which the best way to explore depends, are "
            "too many from size 5 on"
        )
    value = _KNOWN.get((size, length))
    return computed(
        explore(size, length) if value is None else value,
        "Bayes-optimal exploration: dynamic programming over places visited and goals",
    )


@functools.cache
def explore(size: int, length: int) -> float:
    """The best return of who knows the rules but no name of a place.

    What such a player knows is which places, counted from where it stands, it has
    visited, and where the goal is if it has been there. A goal that is not known is
    at any place not visited with the same probability.

    Sets of places are numbers, of which the lowest bit, the place where the player
    stands, is always set and left out. `value` has a row for each place of the goal,
    and a last one for a goal that is not known.
    """
    places = size**2
    place = np.arange(places)
    sets = 2 * np.arange(2 ** (places - 1)) + 1
    visited = (sets >> place[:, None]) & 1
    unvisited = places - visited.sum(0)
    moves = []
    for x, y in _STEPS:
        to = (place // size - x) % size * size + (place % size - y) % size
        target = x % size * size + y % size
        after = ((visited | (place == target)[:, None]) << to[:, None]).sum(0) >> 1
        moves.append((after, to, visited[target] == 0))
    found = 1 / np.maximum(unvisited, 1)
    value = np.zeros((places + 1, len(sets)))
    for _ in range(length):
        collect = (value[1:-1] * visited[1:]).sum(0) + unvisited * value[-1]
        best = np.zeros_like(value)
        best[0] = 1 + collect / (places - 1)
        for after, to, fresh in moves:
            moved = value[:, after]
            best[:-1] = np.maximum(best[:-1], moved[to])
            chance = np.where(fresh, found, 0)
            unsure = chance * moved[0] + (1 - chance) * moved[-1]
            best[-1] = np.maximum(best[-1], unsure)
        value = best
    return float(value[-1, 0])


def shortest_ways(size: int, length: int) -> float:
    """Return of who knows the map: the next goal does not depend on the way here."""
    along = np.minimum(np.arange(size), size - np.arange(size))
    needed = (along[:, None] + along[None]).ravel()[1:] + 1  # steps, collecting too
    total = np.zeros(length + 1)
    for left in range(1, length + 1):
        in_time = needed[needed <= left]
        total[left] = (1 + total[left - in_time]).sum() / len(needed)
    return float(total[length])


def at_random(size: int, length: int) -> float:
    """Expected return of random actions, by following the way to the goal in time."""
    way, total = _somewhere_else(size), 0.0
    for _ in range(length):
        paid = way[0, 0] / 5
        total += paid
        moved = sum(np.roll(way, step, (0, 1)) for step in _STEPS)
        way = (moved + way) / 5 + paid * _somewhere_else(size)
        way[0, 0] -= paid
    return float(total)


def straight_on(size: int, length: int, turn: float = 0.7) -> float:
    """Return of going on in the same direction, turning either way now and then.

    It takes the position, the goal and the previous action, and collects at the goal;
    after that, any direction.
    """
    fresh = _somewhere_else(size) / 4
    way, total = np.stack([fresh] * 4), 0.0  # by the direction that is next
    for _ in range(length):
        paid = way[:, 0, 0].sum()
        total += paid
        way[:, 0, 0] = 0
        moved = np.stack(
            [np.roll(way[i], (-x, -y), (0, 1)) for i, (x, y) in enumerate(_STEPS)]
        )
        turned = np.roll(moved, 1, 0) + np.roll(moved, -1, 0)
        way = (1 - turn) * moved + turn / 2 * turned + paid * fresh
    return float(total)


def _somewhere_else(size: int) -> np.ndarray:
    """Probabilities of the way from here to any other place."""
    way = np.full((size, size), 1 / (size**2 - 1))
    way[0, 0] = 0
    return way
