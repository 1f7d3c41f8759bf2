"""Mazes and POPGym's labyrinths in plain Python, whether mazelib is installed or not.

POPGym takes its mazes from mazelib. Where that is not installed the stand-in below,
written from its description, takes its place in `sys.modules`.
"""

import collections
import importlib
import importlib.util
import random
import sys
import types
import warnings
from unittest import mock

import numpy as np
import pytest

MOVES = ((0, -1), (0, 1), (-1, 0), (1, 0))  # left, right, up, down


def hunt_and_kill(side, rng):
    """A grid, as mazelib's algorithm carves it, with its limit on draws."""
    size = 2 * side + 1
    grid = np.ones((size, size), np.int8)

    def draw():
        return 2 * rng.randrange(side) + 1, 2 * rng.randrange(side) + 1

    here = draw()
    grid[here] = 0
    for _ in range(size * size):
        while grid[here] == 0:
            around = [(here[0] + 2 * y, here[1] + 2 * x) for y, x in MOVES]
            around = [
                (y, x)
                for y, x in around
                if 0 < y < size and 0 < x < size and grid[y, x]
            ]
            if not around:
                break
            there = rng.choice(around)
            grid[(here[0] + there[0]) // 2, (here[1] + there[1]) // 2] = 0
            grid[there] = 0
            here = there
        here = draw()
    return grid


def generators(seed):
    """Functions from a side to a grid: ours of here, and mazelib's if it is there."""
    rng = random.Random(seed)
    found = [lambda side: hunt_and_kill(side, rng)]
    if importlib.util.find_spec("mazelib") is not None:
        theirs = importlib.import_module("mazelib.generate.HuntAndKill").HuntAndKill
        random.seed(seed)
        found.append(lambda side: np.asarray(theirs(side, side).generate()))
    return found


def complete(grid):
    return not grid[1::2, 1::2].any()


class Maze:
    """What POPGym uses of `mazelib.Maze`."""

    def generate(self):
        self.grid = hunt_and_kill(self.generator.side, random)

    def generate_entrances(self, start_outer):
        assert start_outer
        side, size = random.randrange(4), len(self.grid)
        places = [random.randrange(1, size, 2) for _ in range(2)]
        ends = [0, size - 1] if side % 2 else [size - 1, 0]
        squares = list(zip(ends, places, strict=True))
        if side < 2:
            squares = [square[::-1] for square in squares]
        self.start, self.end = squares


class HuntAndKill:
    def __init__(self, rows, columns):
        assert rows == columns
        self.side = rows


def popgym_labyrinths():
    """POPGym's two modules, with or without mazelib."""
    modules = {}
    if importlib.util.find_spec("mazelib") is None:
        modules = {
            name: types.ModuleType(name)
            for name in ("mazelib", "mazelib.generate", "mazelib.generate.HuntAndKill")
        }
        modules["mazelib"].Maze = Maze
        modules["mazelib.generate.HuntAndKill"].HuntAndKill = HuntAndKill
    names = ["popgym.envs.labyrinth_escape", "popgym.envs.labyrinth_explore"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("popgym")
        with mock.patch.dict(sys.modules, modules):
            return [importlib.import_module(name) for name in names]


def way(grid, start, goals):
    """The actions of a shortest way to the nearest of `goals`, by breadth first."""
    came = {start: None}
    queue = collections.deque([start])
    while queue:
        here = queue.popleft()
        if here in goals:
            actions = []
            while came[here] is not None:
                here, action = came[here]
                actions.append(action)
            return actions[::-1]
        for action, (y, x) in enumerate(MOVES):
            there = here[0] + y, here[1] + x
            inside = min(there) >= 0 and max(there) < len(grid)
            if inside and grid[there] != 1 and there not in came:
                came[there] = here, action
                queue.append(there)
    raise AssertionError("no way")


def cover(grid, start):
    """Actions that visit every square, always going to the nearest one left."""
    left = {tuple(map(int, square)) for square in np.argwhere(grid != 1)} - {start}
    here, actions = start, []
    while left:
        for action in way(grid, here, left):
            here = here[0] + MOVES[action][0], here[1] + MOVES[action][1]
            left.discard(here)
            actions.append(action)
    return actions


def exact_mazes(side):
    """The probability of each maze, as the squares between cells that are free."""
    cells = [(y, x) for y in range(side) for x in range(side)]
    mazes = collections.Counter()
    waiting = {(frozenset([c]), frozenset(), c): 1 / len(cells) for c in cells}
    while waiting:
        after = collections.Counter()
        for (carved, passages, current), chance in waiting.items():
            free = {
                (y, x): [
                    (y + down, x + right)
                    for down, right in MOVES
                    if (y + down, x + right) in cells
                    and (y + down, x + right) not in carved
                ]
                for y, x in carved
            }
            able = [current] if free[current] else [c for c in carved if free[c]]
            for cell in able:
                for there in free[cell]:
                    between = cell[0] + there[0] + 1, cell[1] + there[1] + 1
                    key = carved | {there}, passages | {between}, there
                    after[key] += chance / len(able) / len(free[cell])
            if not able:
                mazes[passages] += chance
        waiting = after
    return mazes


def degrees(grid):
    """Passages out of each cell."""
    walls = np.asarray(grid, int)
    blocked = walls[:-2:2, 1::2] + walls[2::2, 1::2]
    return 4 - (blocked + walls[1::2, :-2:2] + walls[1::2, 2::2])


def is_dead_end(grid, square):
    """Whether there is at most one way on from a square."""
    padded = np.pad(np.asarray(grid) == 1, 1, constant_values=True)
    y, x = square[0] + 1, square[1] + 1
    return sum(padded[y + down, x + right] for down, right in MOVES) >= 3
