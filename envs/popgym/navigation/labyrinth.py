"""What the two labyrinths share: the maze, the window and moving in it."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, Int8, PRNGKeyArray, UInt8

from envs import draw
from envs.base import (
    Card,
    Environment,
    Transition,
    float_dtype,
    simulated,
    unknown,
)
from envs.popgym.common import PAPER, check_steps
from envs.popgym.navigation import hunt_and_kill
from envs.popgym.navigation.hunt_and_kill import FREE, OBSTACLE

START, GOAL, HIDDEN = 2, 3, 4  # squares; the last one in maps only
LEFT, RIGHT, UP, DOWN, NO_ACTION = range(5)
MOVES = np.array([[0, 0, -1, 1], [-1, 1, 0, 0]], np.int32)  # rows, columns
VISITED = 8  # flag of a square
MAZES, PLAYED_STEPS = 2**14, 1024  # that the cards' returns were simulated with

Grid = Int8[Array, "squares squares"]
Square = tuple[Int[Array, ""], Int[Array, ""]]
"""Row and column."""


class LabyrinthState(NamedTuple):
    """The maze and where the agent is.

    Attributes:
        grid: a byte for each square: what it is, plus 8 where the agent has been.
        plan: what the oracle follows.
        row, column: the agent's square.
        unvisited: free squares where it has not been.
        time: steps taken.
        last: the last action, 4 before the first.
    """

    grid: Int8[Array, "squares squares"]
    plan: Any
    row: Int[Array, ""]
    column: Int[Array, ""]
    unvisited: Int[Array, ""]
    time: Int[Array, ""]
    last: Int[Array, ""]


def square_of(byte: Int8[Array, "*shape"]) -> Int8[Array, "*shape"]:
    """What is there, whether visited or not."""
    return byte & jnp.int8(VISITED - 1)


@dataclasses.dataclass(frozen=True)
class Labyrinth(Environment):
    """A maze seen through a window of 3 by 3 squares; see its two subclasses.

    Attributes:
        size: rows and columns of the maze, its last wall not counted: even, and two
            for each cell.
        steps: one more than the longest episode.
    """

    size: int = 10
    steps: int = 1024

    def __post_init__(self) -> None:
        most = 2 * hunt_and_kill.MOST_CELLS
        if self.size % 2 or not 6 <= self.size <= most:
            raise ValueError(
                f"{type(self).__name__} needs an even size from 6 to {most}: each cell "
                f"takes two squares, one of them for its wall; not {self.size}."
            )
        # Episodes are one step shorter.
        check_steps(type(self).__name__, self.steps, least=3)

    @property
    def _side(self) -> int:
        """Cells of a side."""
        return self.size // 2

    @property
    def _free(self) -> int:
        """Free squares: all cells, and one between the two ends of each edge."""
        return 2 * self._side**2 - 1

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, "10"], LabyrinthState]:
        """Carve a maze and open it on opposite sides."""
        carve_key, side_key, place_key = jax.random.split(key, 3)
        edges = hunt_and_kill.carve(carve_key, self._side)
        grid = hunt_and_kill.grid_of(*edges, self._side)
        # The side of the start, as the action that leads out there.
        side = jax.random.randint(side_key, (), 0, 4, jnp.int32)
        places = jax.random.randint(place_key, (2,), 0, self._side, jnp.int32)
        places = 2 * places + 1
        start = self._border(side, places[0])
        goal = self._border(side ^ 1, places[1])
        grid = grid.at[start].set(START | VISITED)
        grid, plan = self._prepare(edges, grid, start, goal)
        zero = jnp.zeros((), jnp.int32)
        state = LabyrinthState(
            grid, plan, *start, zero + self._free, zero, zero + NO_ACTION
        )
        return self._observe(state), state

    @abc.abstractmethod
    def _prepare(
        self, edges: hunt_and_kill.Edges, grid: Grid, start: Square, goal: Square
    ) -> tuple[Grid, Any]:
        """Put the goal into the grid, where there is one, and plan for the oracle."""

    def _border(self, side: Int[Array, ""], place: Int[Array, ""]) -> Square:
        far = side % 2 * self.size
        across = side <= RIGHT
        return jnp.where(across, place, far), jnp.where(across, far, place)

    def _cell(
        self, square: tuple[Int[Array, "*shape"], Int[Array, "*shape"]]
    ) -> Int[Array, "*shape"]:
        """The number of the cell at a square, or of the nearest one inside."""
        row, column = (jnp.clip((x - 1) // 2, 0, self._side - 1) for x in square)
        return row * self._side + column

    def step(
        self, key: PRNGKeyArray, state: LabyrinthState, action: Int[Array, ""]
    ) -> Transition:
        """Move, unless a wall is in the way, and pay."""
        del key
        action = action.astype(jnp.int32)
        up_down, left_right = jnp.asarray(MOVES)[:, action]
        row = jnp.clip(state.row + up_down, 0, self.size)
        column = jnp.clip(state.column + left_right, 0, self.size)
        square = state.grid[row, column]
        blocked = square == OBSTACLE
        row = jnp.where(blocked, state.row, row)
        column = jnp.where(blocked, state.column, column)
        new = square == FREE  # and not visited
        index = jnp.arange(self.size + 1, dtype=jnp.int32)
        here = (index == row)[:, None] & (index == column)[None, :]
        after = LabyrinthState(
            grid=jnp.where(here, state.grid | jnp.int8(VISITED), state.grid),
            plan=state.plan,
            row=row,
            column=column,
            unvisited=state.unvisited - new.astype(jnp.int32),
            time=state.time + 1,
            last=action,
        )
        terminated = self._over(square, after)
        reward = self._reward(new, terminated).astype(float_dtype())
        truncated = after.time >= self.steps - 1
        info = {"success": terminated}
        return self._observe(after), after, reward, terminated, truncated, info

    @abc.abstractmethod
    def _over(self, square: Int8[Array, ""], after: LabyrinthState) -> Bool[Array, ""]:
        """Whether the step to `square`, or the bump into it, ended the task."""

    @abc.abstractmethod
    def _reward(
        self, new: Bool[Array, ""], terminated: Bool[Array, ""]
    ) -> Float[Array, ""]:
        """What a step pays that led to a free square for the first time, or not."""

    def _observe(self, state: LabyrinthState) -> Int[Array, "10"]:
        near = jnp.arange(3, dtype=jnp.int32)
        places = state.row, state.column
        rows, columns = (jnp.maximum(x - 1, 0) + near for x in places)
        # At the left and upper border the window begins with the agent's own square,
        # and shows an obstacle where it would reach further than one square from it.
        seen = [
            x <= jnp.minimum(place + 1, self.size)
            for x, place in zip((rows, columns), places, strict=True)
        ]
        seen = seen[0][:, None] & seen[1][None, :]
        rows, columns = (jnp.minimum(x, self.size) for x in (rows, columns))
        squares = square_of(state.grid[rows[:, None], columns[None, :]])
        window = jnp.where(seen, squares, jnp.int8(OBSTACLE)).astype(jnp.int32)
        return jnp.append(window.ravel(), state.last)

    def hidden(self, state: LabyrinthState) -> dict[str, tuple[Array, Array]]:
        """The squares the agent has been on, and its own; since the start."""
        squares = square_of(state.grid)
        known = jnp.where(state.grid >= VISITED, squares, jnp.int8(HIDDEN))
        place = jnp.stack([state.row, state.column])
        return {"map": (known, state.time), "position": (place, state.time)}

    def render(self, state: LabyrinthState) -> UInt8[Array, "64 width 3"]:
        """The maze, its openings and the agent; in the strip the cells visited."""
        squares = square_of(state.grid)
        scene = draw.select(squares == OBSTACLE, draw.BACKGROUND, draw.FLOOR)
        scene = draw.select(squares >= START, draw.sign(squares == GOAL), scene)
        index = jnp.arange(self.size + 1, dtype=jnp.int32)
        here = (index == state.row)[:, None] & (index == state.column)[None, :]
        scene = draw.select(here, draw.AGENT, scene)
        side = draw.SCENE // (self.size + 1)
        visited = state.grid[1::2, 1::2] >= VISITED
        strip = draw.select(visited, draw.FLOOR, draw.MARK)
        strip = draw.select(here[1::2, 1::2], draw.AGENT, strip)
        return draw.frame(draw.tiles(scene, side, side), draw.board(strip, draw.STRIP))

    @property
    def observation_space(self) -> spaces.MultiDiscrete:
        """The window, row by row, and the last action."""
        return spaces.MultiDiscrete([5] * 10)

    @property
    def action_space(self) -> spaces.Discrete:
        """Left, right, up, down."""
        return spaces.Discrete(4)

    def _card(
        self,
        played: dict[int, tuple[float, float, float, float]],
        oracle: Callable[[float], float],
        longest: int,
        notes: tuple[str, str],
    ) -> Card:
        """The card of either task.

        Args:
            played: by size, what `MAZES` mazes gave: the floor with `PLAYED_STEPS`
                steps, a number of squares on average, and the half width after each.
            oracle: from that number of squares, the oracle's return.
            longest: steps that the oracle takes at most.
            notes: how the oracle goes, and why `recall` is unknown.
        """
        missing = f"simulated for sizes {', '.join(map(str, played))}"
        floor = unknown(f"{missing} and {PLAYED_STEPS} steps only")
        best = unknown(f"{missing}, with no time limit in the way, only")
        if self.size in played:
            chance, error, squares, spread = played[self.size]
            if self.steps == PLAYED_STEPS:
                floor = simulated(chance, MAZES, error)
            if longest < self.steps:
                half_width = spread / self.steps
                best = simulated(oracle(squares), MAZES, half_width, notes[0])
        return Card(
            memory="spatial",
            paper=PAPER,
            horizon=(1, self.steps - 2),
            truncates=True,
            floor=floor,
            memoryless=unknown(
                "the best map from window and last action to action, among more than "
                "can be searched; a hand on the wall is one of them"
            ),
            recall=unknown(notes[1]),
            oracle=best,
            max_episode_steps=self.steps - 1,
            needs_previous_action=True,
            outside_memory=True,  # position and previous action
            actions=("left", "right", "up", "down"),
        )
