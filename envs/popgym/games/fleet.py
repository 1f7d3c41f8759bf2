"""What Battleship consists of: ships placed at random, and what random shots earn."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray

_TRIES = 8  # places drawn at once: nearly always one of them is free


def place(
    key: PRNGKeyArray,
    length: Int[Array, ""],
    taken: Bool[Array, " cells"],
    most: int,
) -> Bool[Array, " cells"]:
    """`taken` with one ship more, uniformly among the places that are free.

    The package draws an end, an axis and a direction until the ship fits: every place
    has two ends, so each is as likely as the next. Here a place is drawn at a time
    until one is free. `most` is the largest `length`.
    """
    size = math.isqrt(taken.shape[0])
    firsts = size - length + 1  # where a ship can begin in a line
    along = jnp.minimum(jnp.arange(most, dtype=jnp.int32), length - 1)

    def attempt(carry: tuple) -> tuple:
        key, *_ = carry
        key, draw_key = jax.random.split(key)
        places = 2 * size * firsts
        number = jax.random.randint(draw_key, (_TRIES,), 0, places, jnp.int32)
        line, first = number // firsts, number % firsts
        line, across = line % size, line < size
        start = jnp.where(across, line * size + first, first * size + line)
        stride = jnp.where(across, 1, size)
        cells = start[:, None] + stride[:, None] * along[None, :]
        free = ~taken[cells].any(1)
        return key, cells[free.argmax()], free.any()

    nowhere = jnp.zeros(most, jnp.int32)
    _, cells, _ = jax.lax.while_loop(
        lambda carry: ~carry[2], attempt, (key, nowhere, jnp.zeros((), bool))
    )
    return taken.at[cells].set(True)


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
