"""How the boards look: Battleship and MineSweeper."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from envs import draw
from envs.pixels import shapes
from envs.pixels.tiles import MARKS, Colour, Picture, Sheet, sheet, tile, tiled
from envs.popgym.games.battleship import SHIP, SHOT, Battleship, BattleshipState
from envs.popgym.games.minesweeper import MINE, VIEWED, MineSweeper, MineSweeperState

_SEA, _SHIP = (60, 90, 140), (215, 215, 215)
_RED = (235, 60, 60)
_COUNTS = 10


def cell_side(task: Battleship | MineSweeper, image_size: int) -> int:
    """Pixels of a cell."""
    return image_size // task.size


def _cell(size: int) -> Int[Array, "size size"]:
    return jnp.arange(size**2, dtype=jnp.int32).reshape(size, size)


@functools.cache
def _sea(side: int) -> Sheet:
    """Water, ship, the two with a shot; again with the last shot, missed and hit."""
    size = (side, side)
    plain = [(_SEA, None), (_SHIP, None), (_SEA, shapes.disc), (_SHIP, shapes.cross)]
    return sheet(
        *(
            tile(size, paper, shape, _RED, edge)
            for edge in (draw.BACKGROUND, *MARKS)
            for paper, shape in plain
        )
    )


def battleship(
    task: Battleship,
    observation: Int[Array, ""],
    state: BattleshipState,
    image_size: int,
    everything: bool,
) -> Picture:
    """The last shot, and whether it was a hit; in the full face ships and all shots."""
    side = cell_side(task, image_size)
    cell = _cell(task.size)
    last = cell == state.last
    shown = SHOT + observation * SHIP  # what the last shot seems to have met
    numbers = jnp.where(last, shown, 0)
    if everything:
        numbers = state.board.reshape(cell.shape).astype(jnp.int32)
    edge = jnp.where(last, 1 + observation, 0)
    return tiled(numbers + 4 * edge, _sea(side), image_size, image_size)


@functools.cache
def _field(side: int) -> Sheet:
    """Not viewed, a mine, counts from 0 to 9; then all of them marked."""
    size = (side, side)
    levels = [(245 - 20 * n, 245 - 20 * n, 245) for n in range(_COUNTS)]

    def tiles(edge: Colour) -> list[np.ndarray]:
        counts = [
            tile(size, paper, shapes.digit(n) if n else None, edge=edge)
            for n, paper in enumerate(levels)
        ]
        mine = tile(size, draw.MARK, shapes.disc, _RED, edge)
        return [tile(size, draw.MARK, edge=edge), mine, *counts]

    return sheet(*(t for edge in (draw.BACKGROUND, MARKS[0]) for t in tiles(edge)))


def minesweeper(
    task: MineSweeper,
    observation: Int[Array, ""],
    state: MineSweeperState,
    image_size: int,
    everything: bool,
) -> Picture:
    """The last click and its count; in the full face mines and all counts."""
    side = cell_side(task, image_size)
    cell = _cell(task.size)
    last = cell == state.last
    numbers = jnp.where(last, 2 + observation, 0)
    if everything:
        board = state.board.reshape(cell.shape)
        counts = 2 + task.counts(state).astype(jnp.int32)
        numbers = jnp.where(board == MINE, 1, jnp.where(board == VIEWED, counts, 0))
    marked = jnp.where(last, 2 + _COUNTS, 0)
    return tiled(numbers + marked, _field(side), image_size, image_size)
