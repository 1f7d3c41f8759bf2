"""Boards of 7 by 11 squares, things on them, and the part that the agent sees."""

from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt8

from envs.three_phases import rooms
from envs.three_phases.rooms import COLUMNS, REACH, ROWS

Board = Int[Array, "7 11"]
Window = UInt8[Array, "5 5 3"]
SIZE = 2 * REACH + 1


class Thing(NamedTuple):
    """Something on a square, drawn over what was there.

    Attributes:
        row, column: the square.
        symbol: what it shows.
        there: whether it is there at all.
    """

    row: Int[Array, ""] | int
    column: Int[Array, ""] | int
    symbol: Int[Array, ""] | int
    there: Bool[Array, ""]


def at(row: Array | int, column: Array | int) -> Bool[Array, "7 11"]:
    """Which square of the board is meant."""
    rows, columns = np.arange(ROWS, dtype=np.int32), np.arange(COLUMNS, dtype=np.int32)
    return (jnp.asarray(rows) == row)[:, None] & (jnp.asarray(columns) == column)[None]


def paint(board: Board, things: Iterable[Thing]) -> Board:
    """The board with things on it, later ones over earlier ones."""
    for thing in things:
        here = at(thing.row, thing.column) & thing.there
        board = jnp.where(here, thing.symbol, board)
    return board


def look(board: Board, row: Int[Array, ""], column: Int[Array, ""]) -> Window:
    """The pixels of the squares around one; floor beyond the board."""
    padded = jnp.pad(board, REACH, constant_values=rooms.FLOOR)
    window = jax.lax.dynamic_slice(padded, (row, column), (SIZE, SIZE))
    return jnp.asarray(rooms.PIXELS)[window]


def in_view(
    row: Int[Array, ""],
    column: Int[Array, ""],
    rows: Int[Array, "*shape"],
    columns: Int[Array, "*shape"],
) -> Bool[Array, "*shape"]:
    """Whether squares are in the window around the first one."""
    far = jnp.maximum(jnp.abs(rows - row), jnp.abs(columns - column))
    return far <= REACH
