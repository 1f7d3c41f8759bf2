"""MineSweeper: uncover what is clear, told how many mines are near the last click."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Int, Int8, PRNGKeyArray, UInt8

from envs import draw
from envs.base import (
    Card,
    Environment,
    Return,
    Transition,
    computed,
    exact,
    float_dtype,
    unknown,
)
from envs.popgym.common import PAPER
from envs.popgym.games import sweeping

CLEAR, MINE, VIEWED = 0, 1, 2  # states of a cell


class MineSweeperState(NamedTuple):
    """The field and the last click.

    Attributes:
        board: a byte for each cell, row by row: 0 clear, 1 a mine, 2 clear and viewed.
        left: clear cells not viewed yet.
        time: clicks made.
        last: the cell of the last click, -1 before the first.
        count: the mines around it, as observed.
    """

    board: Int8[Array, " cells"]
    left: Int[Array, ""]
    time: Int[Array, ""]
    last: Int[Array, ""]
    count: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class MineSweeper(Environment):
    """Remember which cells were viewed and what they showed (Morad et al. 2023).

    Mines lie in a uniformly random set of cells, m of n = size^2. An action is the
    row and column of a click. A clear cell pays 1/(n - m), a cell viewed before costs
    0.5/(n - m - 2) and a mine costs 0.5 + 1/(n - m) and terminates the episode; so
    does viewing the last clear cell. It is truncated after n - m clicks: winning
    leaves no click to waste. The observation is the number of mines in the 3 x 3 cells
    around the click, itself included, and 0 at the start; no neighbours are opened,
    and the first click can hit a mine.

    Where the click was is not observed: agents need the previous action as an input.
    That is a memory too, of the place that a sweep has reached.

    Attributes:
        size: rows and columns of the field.
        mines: how many there are.
    """

    size: int = 4
    mines: int = 2

    def __post_init__(self) -> None:
        if not 2 <= self.size <= 100:
            raise ValueError(
                f"MineSweeper needs a size from 2 to 100, not {self.size}."
            )
        if not 1 <= self.mines <= self.size**2 - 3:
            raise ValueError(
                f"MineSweeper(size={self.size}) needs mines from 1 to "
                f"{self.size**2 - 3}, as the cost of a cell viewed before is defined "
                f"for three clear cells or more; not {self.mines}."
            )

    @property
    def _cells(self) -> int:
        return self.size**2

    @property
    def _clear(self) -> int:
        return self._cells - self.mines

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], MineSweeperState]:
        """Lay the mines.

        Sorts random words whose lowest bit is the mine, as `cards.deal` does.
        """
        words = jax.random.bits(key, (self._cells,), jnp.uint32)
        mine = jnp.arange(self._cells, dtype=jnp.uint32) < jnp.uint32(self.mines)
        words = (words & ~jnp.uint32(1)) | mine.astype(jnp.uint32)
        board = (jnp.sort(words) & jnp.uint32(1)).astype(jnp.int8)
        zero = jnp.zeros((), jnp.int32)
        return zero, MineSweeperState(board, zero + self._clear, zero, zero - 1, zero)

    def step(
        self, key: PRNGKeyArray, state: MineSweeperState, action: Int[Array, "2"]
    ) -> Transition:
        """Click."""
        del key
        action = action.astype(jnp.int32)
        cell = action[0] * self.size + action[1]
        index = jnp.arange(self._cells, dtype=jnp.int32)
        here = index == cell
        mine = (here & (state.board == MINE)).any()
        new = (here & (state.board == CLEAR)).any()
        near = jnp.abs(index // self.size - action[0]) <= 1
        near &= jnp.abs(index % self.size - action[1]) <= 1
        count = (near & (state.board == MINE)).sum(dtype=jnp.int32)
        after = MineSweeperState(
            board=jnp.where(here & new, jnp.int8(VIEWED), state.board),
            left=state.left - new.astype(jnp.int32),
            time=state.time + 1,
            last=cell,
            count=count,
        )
        won = after.left == 0
        terminated = mine | won
        truncated = (after.time >= self._clear) & ~terminated
        clear, again, lost = sweeping.rewards(self._clear)
        reward = jnp.where(mine, lost, jnp.where(new, clear, again))
        reward = reward.astype(float_dtype())
        info = {"success": won, "decision": state.time > 0}
        return count, after, reward, terminated, truncated, info

    def oracle(self, key: PRNGKeyArray, state: MineSweeperState) -> Int[Array, "2"]:
        """The first clear cell that has not been viewed."""
        del key
        cell = (state.board == CLEAR).argmax().astype(jnp.int32)
        return jnp.stack([cell // self.size, cell % self.size])

    def counts(self, state: MineSweeperState) -> Int8[Array, "size size"]:
        """The mines around every cell."""
        mines = (state.board == MINE).reshape(self.size, self.size).astype(jnp.int8)
        padded = jnp.pad(mines, 1)
        rows = padded[:-2] + padded[1:-1] + padded[2:]
        return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]

    def hidden(self, state: MineSweeperState) -> dict[str, tuple[Array, Array]]:
        """What clicks have shown, -1 where there was none; since the first."""
        viewed = state.board == VIEWED
        known = jnp.where(viewed, self.counts(state).ravel(), jnp.int8(-1))
        return {"known": (known, state.time)}

    def render(self, state: MineSweeperState) -> UInt8[Array, "64 width 3"]:
        """The last click, darker the more mines are near; in the strip all of them."""
        shape = (self.size, self.size)
        board = state.board.reshape(shape)
        index = jnp.arange(self._cells, dtype=jnp.int32).reshape(shape)

        def shade(count: Array) -> Array:
            level = jnp.uint8(245) - jnp.uint8(23) * count.astype(jnp.uint8)
            # Blue stays: the more mines, the bluer.
            return jnp.stack([level, level, jnp.full_like(level, 245)], -1)

        last = shade(jnp.broadcast_to(state.count, shape))
        shown = draw.select(board == MINE, draw.PLUS, last)
        scene = draw.select(index == state.last, shown, draw.MARK)
        mines = draw.select(board == MINE, draw.PLUS, draw.BACKGROUND)
        strip = draw.select(board == VIEWED, shade(self.counts(state)), mines)
        return draw.frame(draw.board(scene, draw.SCENE), draw.board(strip, draw.STRIP))

    @property
    def observation_space(self) -> spaces.Discrete:
        """Mines in the 3 x 3 cells around the last click."""
        return spaces.Discrete(min(self.mines + 1, 10))

    @property
    def action_space(self) -> spaces.MultiDiscrete:
        """Row and column."""
        return spaces.MultiDiscrete([self.size, self.size])

    @property
    def card(self) -> Card:
        """A map of the field, filled in by one's own actions."""
        return Card(
            memory="spatial",
            paper=PAPER,
            horizon=(1, self._clear - 1),
            truncates=True,
            floor=computed(sweeping.random_return(self._cells, self.mines)),
            memoryless=unknown(
                "with the previous action as an input: the best map from cell and "
                "count to cell, among more than can be searched"
            ),
            recall=self._recall(),
            oracle=exact(1.0, "every clear cell once"),
            max_episode_steps=self._clear,
            needs_previous_action=True,
            outside_memory=True,  # the previous action
        )

    def _recall(self) -> Return:
        layouts = math.comb(self._cells, self.mines)
        if self._cells <= sweeping.MOST_CELLS and layouts <= sweeping.MOST_LAYOUTS:
            note = f"dynamic programming over the {layouts} layouts"
            return computed(sweeping.best_return(self.size, self.mines), note)
        return unknown(f"best play among {layouts:,} layouts is out of reach")
