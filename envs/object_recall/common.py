"""What these tasks share: drawing numbers, all at once, and limits of parameters."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

MOST = 10_000
"""Most things of a kind: one-hot codes are made of them."""
LONGEST = 2_000_000_000
"""Longest episode: times are int32."""


def check_number(
    task: str, name: str, value: int, limits: tuple[int, int], why: str
) -> None:
    """Refuse a parameter outside its range.

    Raises:
        ValueError: `value` is below or above the `limits`.
    """
    least, most = limits
    if not least <= value <= most:
        raise ValueError(
            f"{task} needs {name} from {least} to {most:,}, {why}; not {value}."
        )


def draw_below(key: PRNGKeyArray, *limits: np.ndarray) -> tuple[Int[Array, "..."], ...]:
    """Arrays of whole numbers, each uniform from 0 to below its element of `limits`.

    All are drawn at once, which costs as little as one of them.
    """
    flat = np.concatenate([array.ravel() for array in limits]).astype(np.int32)
    drawn = jax.random.randint(key, flat.shape, 0, jnp.asarray(flat), jnp.int32)
    ends = np.cumsum([array.size for array in limits])[:-1]
    parts = jnp.split(drawn, ends.tolist())
    pairs = zip(parts, limits, strict=True)
    return tuple(part.reshape(array.shape) for part, array in pairs)


def ranks_below(count: int, of: int) -> np.ndarray:
    """The limits of the ranks that `distinct` takes, for `count` numbers below `of`."""
    return of - np.arange(count)


def distinct(ranks: Int[Array, "*batch count"]) -> Int[Array, "*batch count"]:
    """Different numbers, one sequence of them for each sequence of ranks.

    A rank is the place of a number among those that the numbers before it have left:
    below n for the first, below n - 1 for the second, and so on (a Lehmer code).
    Uniform ranks give every sequence equally often, and nothing is sorted: starts of
    short episodes are frequent.
    """
    count = ranks.shape[-1]
    index = jnp.arange(count, dtype=jnp.int32)

    def make_room(step: Int[Array, ""], numbers: Array) -> Array:
        first = count - 1 - step
        number = jax.lax.dynamic_index_in_dim(numbers, first, axis=-1)
        later = (index > first).reshape((1,) * (numbers.ndim - 1) + (count,))
        return numbers + (later & (numbers >= number)).astype(jnp.int32)

    return jax.lax.fori_loop(jnp.int32(0), jnp.int32(count), make_room, ranks)
