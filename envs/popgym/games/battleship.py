"""Battleship: sink hidden ships, told only whether the last shot was a new hit."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, Int8, PRNGKeyArray, UInt8

from envs import draw
from envs.base import (
    Card,
    Environment,
    Transition,
    computed,
    exact,
    float_dtype,
    unknown,
)
from envs.popgym.common import PAPER
from envs.popgym.games import fleet

SHIP, SHOT = 1, 2  # flags of a cell


class BattleshipState(NamedTuple):
    """The board and the last shot.

    Attributes:
        board: a byte for each cell, row by row: 1 where a ship lies, plus 2 where a
            shot has fallen.
        hits: cells hit.
        time: shots fired.
        last: the cell of the last shot, -1 before the first.
        hit: whether it was a new hit, as observed.
    """

    board: Int8[Array, " cells"]
    hits: Int[Array, ""]
    time: Int[Array, ""]
    last: Int[Array, ""]
    hit: Bool[Array, ""]


@dataclasses.dataclass(frozen=True)
class Battleship(Environment):
    """Remember where shots fell and which of them hit (Morad et al. 2023).

    Ships are straight lines of cells, placed one after another, in the order given,
    uniformly among all places where they overlap no other; they may touch. An action
    is the row and column of a shot. The first shot into a ship's cell is a hit: it
    pays 1 / (cells of ships) and the observation is 1. Every other shot, into water or
    into a cell shot at before, costs 1 / (cells of water) and shows 0; so does the
    start. The episode is terminated when all ships' cells are hit and truncated after
    as many shots as there are cells, which can coincide: whoever shoots once at every
    cell and needs the last one ends with 0.

    Where the shot fell is not observed: agents need the previous action as an input.
    That is a memory too: 'the next cell, row by row' is a stationary policy and ends
    with 0.17, 0.17 and 0.18 at the three levels. It is not the best of its kind.

    Attributes:
        size: rows and columns of the board.
        ships: their lengths.
    """

    size: int = 8
    ships: Sequence[int] = (2, 3, 3, 4)

    def __post_init__(self) -> None:
        # Configuration files give lists; a field must be hashable.
        object.__setattr__(self, "ships", tuple(self.ships))
        if not self.ships or min(self.ships) < 1 or self.size > 100:
            raise ValueError(
                f"Battleship(size={self.size}, ships={self.ships}) needs at least one "
                "ship, lengths of at least 1 and a size of at most 100."
            )
        taken = 0
        for length in self.ships:
            places = 2 * self.size * (self.size - length + 1)
            # A cell that is taken lies in at most `length` places of either direction.
            if length > self.size or places <= 2 * length * taken:
                raise ValueError(
                    f"Battleship(size={self.size}, ships={self.ships}) could leave no "
                    f"room for the ship of length {length}; take a larger board or "
                    "fewer or shorter ships."
                )
            taken += length

    @property
    def _ship_cells(self) -> int:
        return sum(self.ships)

    @property
    def _cells(self) -> int:
        return self.size**2

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], BattleshipState]:
        """Place the ships."""
        lengths = jnp.asarray(self.ships, jnp.int32)
        keys = jax.random.split(key, len(self.ships))
        taken, _ = jax.lax.scan(
            lambda taken, ship: (fleet.place(*ship, taken, max(self.ships)), None),
            jnp.zeros(self._cells, bool),
            (keys, lengths),
        )
        zero = jnp.zeros((), jnp.int32)
        board = taken.astype(jnp.int8)
        state = BattleshipState(board, zero, zero, zero - 1, jnp.zeros((), bool))
        return zero, state

    def step(
        self, key: PRNGKeyArray, state: BattleshipState, action: Int[Array, "2"]
    ) -> Transition:
        """Shoot."""
        del key
        action = action.astype(jnp.int32)
        cell = action[0] * self.size + action[1]
        here = jnp.arange(self._cells, dtype=jnp.int32) == cell
        hit = (here & (state.board == SHIP)).any()
        after = BattleshipState(
            board=jnp.where(here, state.board | jnp.int8(SHOT), state.board),
            hits=state.hits + hit.astype(jnp.int32),
            time=state.time + 1,
            last=cell,
            hit=hit,
        )
        terminated = after.hits == self._ship_cells
        truncated = after.time >= self._cells
        cost = -1 / (self._cells - self._ship_cells)
        reward = jnp.where(hit, 1 / self._ship_cells, cost).astype(float_dtype())
        info = {"success": terminated, "decision": state.time > 0}
        return hit.astype(jnp.int32), after, reward, terminated, truncated, info

    def oracle(self, key: PRNGKeyArray, state: BattleshipState) -> Int[Array, "2"]:
        """The first cell of a ship that has not been hit."""
        del key
        cell = (state.board == SHIP).argmax().astype(jnp.int32)
        return jnp.stack([cell // self.size, cell % self.size])

    def hidden(self, state: BattleshipState) -> dict[str, tuple[Array, Array]]:
        """What shots have shown: 0 nothing, 1 water, 2 a ship; since the first."""
        shot = state.board >= SHOT
        known = jnp.where(shot, 1 + (state.board & jnp.int8(SHIP)), jnp.int8(0))
        return {"known": (known, state.time)}

    def render(self, state: BattleshipState) -> UInt8[Array, "64 width 3"]:
        """The last shot; in the strip the ships and all shots."""
        shape = (self.size, self.size)
        cell = jnp.arange(self._cells, dtype=jnp.int32)
        colour = draw.sign(jnp.broadcast_to(state.hit, shape))
        scene = draw.select((cell == state.last).reshape(shape), colour, draw.MARK)
        board = state.board.reshape(shape)
        ships = draw.select(board % 2 == SHIP, draw.FLOOR, draw.BACKGROUND)
        shots = draw.sign(board % 2 == SHIP)
        strip = draw.select(board >= SHOT, shots, ships)
        return draw.frame(draw.board(scene, draw.SCENE), draw.board(strip, draw.STRIP))

    @property
    def observation_space(self) -> spaces.Discrete:
        """Whether the last shot was a new hit."""
        return spaces.Discrete(2)

    @property
    def action_space(self) -> spaces.MultiDiscrete:
        """Row and column."""
        return spaces.MultiDiscrete([self.size, self.size])

    @property
    def card(self) -> Card:
        """A map of the board, filled in by one's own actions."""
        return Card(
            memory="spatial",
            paper=PAPER,
            horizon=(1, max(1, self._cells - 1)),
            truncates=True,
            floor=computed(fleet.random_return(self._cells, self._ship_cells)),
            memoryless=unknown(
                "with the previous action as an input: the best map from cell and "
                "hit to cell, among more than can be searched"
            ),
            recall=unknown(
                "the best search given all shots: its dynamic program over what they "
                "can have shown is out of reach"
            ),
            oracle=exact(1.0, "hits only"),
            max_episode_steps=self._cells,
            needs_previous_action=True,
            outside_memory=True,  # the previous action
        )
