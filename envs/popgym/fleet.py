"""What Battleship consists of: ships placed at random, and what random shots earn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray


def place(
    key: PRNGKeyArray,
    length: Int[Array, ""],
    taken: Bool[Array, "size size"],
    most: int,
) -> Bool[Array, "size size"]:
    """The cells of a ship, uniformly among the places that are free of `taken`.

    The package draws an end, an axis and a direction until the ship fits: every place
    has two ends, so each is as likely as the next. Here every place draws a number and
    the highest of those that are free is taken. `most` is the largest `length`.
    """
    size = taken.shape[0]
    # The board and its transpose, with a margin that is taken: [direction, line, cell].
    boards = jnp.pad(
        jnp.stack([taken, taken.T]),
        ((0, 0), (0, 0), (0, most - 1)),
        constant_values=True,
    )
    blocked = boards[:, :, :size]
    for i in range(1, most):
        blocked |= boards[:, :, i : i + size] & (i < length)
    drawn = jax.random.bits(key, blocked.shape, jnp.uint32) | jnp.uint32(1)
    chosen = jnp.where(blocked, jnp.uint32(0), drawn).argmax().astype(jnp.int32)
    line, first = chosen // size % size, chosen % size
    index = jnp.arange(size, dtype=jnp.int32)
    along = (index >= first) & (index < first + length)
    ship = (index == line)[:, None] & along[None, :]
    return jnp.where(chosen >= size**2, ship.T, ship)


@functools.cache
def random_return(cells: int, ship_cells: int) -> float:
    """Expected return of uniformly random shots, by the distribution of hits so far.

    Where the ships lie does not matter.
    """
    hits = np.zeros(ship_cells + 1)
    hits[0] = 1.0
    chance = 1 - np.arange(ship_cells + 1) / ship_cells
    chance *= ship_cells / cells
    total = 0.0
    for _ in range(cells):
        new, playing = hits * chance, hits[:-1].sum()
        total += new.sum() / ship_cells
        total -= (playing - new.sum()) / (cells - ship_cells)
        hits -= new
        hits[1:] += new[:-1]
    return float(total)
