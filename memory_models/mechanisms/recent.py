"""The last few inputs of every step, cut where an episode starts."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, PyTree


def by_age(
    past: PyTree, inputs: PyTree, starts: Bool[Array, " time"]
) -> tuple[list[Any], Any]:
    """What was read 0, 1, .. steps before each step, and what to carry on with.

    Zeros (False) stand for what lies in another episode.

    Args:
        past: `[past, ...]`, what was read before, oldest first; of no other episode
            than the one that the first step continues.
        inputs: `[time, ...]`, arrays of the same structure.
        starts: true where a step is the first of an episode.

    Returns:
        A list of one `[time, ...]` for each age from 0 to `past`; and `[past, ...]`.
    """
    time, before = starts.shape[0], jax.tree.leaves(past)[0].shape[0]
    tape = jax.tree.map(lambda *parts: jnp.concatenate(parts), past, inputs)
    counted = jnp.cumsum(starts, dtype=jnp.int32)
    # Where the first step starts an episode, what was carried is of the one before.
    entering = counted[0] - starts[0].astype(jnp.int32)
    episode = jnp.concatenate([jnp.full(before, entering), counted])

    def cut(begin: int, length: int, wanted: Array) -> Any:
        same = episode[begin : begin + length] == wanted

        def zero_others(leaf: Array) -> Array:
            where = same.reshape(length, *[1] * (leaf.ndim - 1))
            part = leaf[begin : begin + length]
            return jnp.where(where, part, jnp.zeros((), leaf.dtype))

        return jax.tree.map(zero_others, tape)

    ages = [cut(before - age, time, counted) for age in range(1, before + 1)]
    return [inputs, *ages], cut(time, before, counted[-1])
