"""What the cards of the three-phase tasks say: apples, chance, and what is known.

The phases do not touch each other's boards, so an episode returns the sum of what the
apples and the last phase pay.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from envs.base import Return, computed, exact, unknown
from envs.three_phases import rooms

LONGEST_COMPUTED = 10_000
"""Longest phase in which chance is followed, for a second or two."""
_ALL_TREES = 22
_LAP = 22  # steps of a walk around rows 1 to 4, with an apple at every second one


class Apples(NamedTuple):
    """The second phase: its steps, how many apples, when they are back, what they pay.

    `pay` is what one pays on average.
    """

    steps: int
    count: int
    respawn: int
    pay: float


def most_apples(apples: Apples) -> int | None:
    """The most that anyone can eat, None where that is not known.

    Trees are an even number of steps apart, and so is the nearest one from the start,
    so nobody eats more than one apple in two steps. With apples on all trees a walk
    around rows 1 to 4 does; they are back when it comes by again, 22 steps later. The
    walls in view tell where on that walk one is: it needs no memory.
    """
    if apples.count == 0 or apples.steps < 2:
        return 0
    in_time = 1 <= apples.respawn <= _LAP - 2 or apples.steps <= _LAP
    return apples.steps // 2 if apples.count == _ALL_TREES and in_time else None


def best(apples: Apples, last_phase: float, note: str) -> Return:
    """What the best of some kind of policies returns.

    Args:
        apples: the second phase.
        last_phase: what the last phase pays it.
        note: how it gets that.
    """
    if apples.pay == 0:
        return exact(last_phase, note)
    most = most_apples(apples)
    if most is not None:
        return exact(apples.pay * most + last_phase, f"{most} apples; {note}")
    return unknown(
        f"{note}: {last_phase:g}, plus {apples.pay:g} for each of at most "
        f"{apples.steps // 2} apples; the best round through apples that are few, "
        "scattered and back after a while is a travelling salesman's problem"
    )


def floor(
    apples: Apples, other_steps: tuple[int, int], last_phase: Callable[[], float]
) -> Return:
    """What uniformly random actions return, unless computing it takes too long.

    Args:
        apples: the second phase.
        other_steps: of the first and the last phase.
        last_phase: what random actions get in the last phase.
    """
    if max(apples.steps, *other_steps) > LONGEST_COMPUTED:
        return unknown("to follow random actions takes time quadratic in the steps")
    eaten = apples.count / _ALL_TREES * random_apples(apples.steps, apples.respawn)
    total = float(apples.pay * eaten + last_phase())
    return computed(total, "random actions, followed in time")


def random_moves(room: rooms.Room) -> np.ndarray:
    """Chances `[square, square]` of a uniformly random step, squares row by row."""
    blocked = rooms.walls(room)
    chances = np.zeros((blocked.size, blocked.size))
    for square in range(blocked.size):
        row, column = divmod(square, rooms.COLUMNS)
        for down, right in rooms.MOVES.T.tolist():
            to = row + down, column + right
            inside = 0 <= to[0] < rooms.ROWS and 0 <= to[1] < rooms.COLUMNS
            free = inside and not blocked[to]
            chances[square, _square(to) if free else square] += 1 / 4
    return chances


def _square(place: np.ndarray | tuple[int, int]) -> int:
    return int(place[0]) * rooms.COLUMNS + int(place[1])


def first_visits(
    moves: np.ndarray, start: np.ndarray, target: int, steps: int
) -> np.ndarray:
    """Chances `[steps + 1]` to come to a square for the first time after n steps.

    A walk that starts there comes there when it returns, at the earliest.
    """
    chances, onto = np.zeros(steps + 1), moves[:, target]
    elsewhere = moves.copy()
    elsewhere[:, target] = 0
    for time in range(1, steps + 1):
        chances[time] = start @ onto
        start = start @ elsewhere
    return chances


@functools.cache
def random_apples(steps: int, respawn: int) -> float:
    """Apples that uniformly random steps eat where all trees bear, on average.

    Tree by tree: the apple is eaten at the first visit, and then at the first visit
    after it is back, counted from where the walk is by then.
    """
    moves = random_moves(rooms.ORCHARD)
    squares = np.eye(len(moves))
    start = squares[_square(rooms.places(rooms.ORCHARD, "s")[0])]
    waiting = np.linalg.matrix_power(moves, respawn + 1)
    total = 0.0
    for tree in map(_square, rooms.places(rooms.ORCHARD, "a")):
        eaten = first_visits(moves, start, tree, steps)
        if 0 < respawn < steps:
            again = first_visits(moves, waiting[tree], tree, steps - respawn - 1)
            again = np.concatenate([np.zeros(respawn + 1), again])
            for time in range(1, steps + 1):
                eaten[time] += eaten[:time] @ again[time:0:-1]
        total += eaten.sum()
    return float(total)


@functools.cache
def random_reach(room: rooms.Room, targets: str, steps: int) -> float:
    """Chance that random steps come to a target: to any of them, or to a random one.

    Each of several targets that are marked with one letter is as likely to be the one;
    targets with different letters are all there. So are the starts.
    """
    starts = rooms.places(room, "s")
    start = np.zeros(rooms.ROWS * rooms.COLUMNS)
    start[[_square(place) for place in starts]] = 1 / len(starts)
    options = [[_square(place)] for place in rooms.places(room, targets[0])]
    if len(targets) > 1:
        options = [[_square(rooms.places(room, mark)[0]) for mark in targets]]
    open_room = tuple(line.replace("d", " ") for line in room)
    moves, total = random_moves(open_room), 0.0
    for squares in options:
        away, chances = moves.copy(), start
        away[:, squares] = 0
        for _ in range(steps):
            chances = chances @ away
        total += 1 - chances.sum()
    return total / len(options)
