"""What an agent on a grid sees: a square in front of it, with walls in the way.

MiniGrid's rules. The view is a square of odd size; element [i, j] of it lies i - size
// 2 squares to the right of the agent and size - 1 - j in front, so the agent stands
in the middle of the last column j. Directions: 0 right (x grows), 1 down (y grows), 2
left, 3 up. Squares outside the grid are walls.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

UNSEEN, EMPTY, WALL, KEY, BALL = 0, 1, 2, 5, 6
KINDS = 7  # of squares, up to here; 3 and 4 are MiniGrid's floors and doors
STEPS = np.array([[1, 0, -1, 0], [0, 1, 0, -1]], np.int32)  # x and y, by direction


def squares(
    x: Int[Array, ""], y: Int[Array, ""], direction: Int[Array, ""], size: int
) -> tuple[Int[Array, "size size"], Int[Array, "size size"]]:
    """The x and y of every square in the view."""
    right = jnp.asarray(np.arange(size, dtype=np.int32) - size // 2)[:, None]
    ahead = jnp.asarray(size - 1 - np.arange(size, dtype=np.int32))[None, :]
    across, along = jnp.asarray(STEPS)[:, direction]
    # To the right of (across, along) is (-along, across).
    return x + ahead * across - right * along, y + ahead * along + right * across


def visible(transparent: Bool[Array, "size size"]) -> Bool[Array, "size size"]:
    """The squares of the view that walls do not hide.

    From the agent's row on, sight spreads sideways in a row as far as squares are
    transparent, walls at the ends included; a transparent square in sight shows the
    three squares in front of it.
    """
    size = transparent.shape[0]
    bits = jnp.asarray(1 << np.arange(size, dtype=np.int32))[:, None]
    clear = jnp.where(transparent, bits, 0).sum(0, dtype=jnp.int32)  # a row a number
    everything = (1 << size) - 1

    def look(start: Array, clear: Array) -> tuple[Array, Array]:
        seen = start
        for _ in range(size - 1):
            through = seen & clear
            seen = (seen | (through << 1) | (through >> 1)) & everything
        through = seen & clear
        return (through | (through << 1) | (through >> 1)) & everything, seen

    first = jnp.asarray(1 << (size // 2), jnp.int32)
    _, rows = jax.lax.scan(look, first, clear, reverse=True)
    return (rows[None, :] & bits) != 0
