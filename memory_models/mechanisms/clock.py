"""The step of the episode, and embeddings of it that are exact at any step."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

_LARGEST = jnp.iinfo(jnp.int32).max


def steps_of_episode(
    clock: Int[Array, ""], starts: Bool[Array, " time"]
) -> tuple[Int[Array, ""], Int[Array, " time"]]:
    """Count on from `clock`, and from 0 at every start; stop at the largest int32.

    Args:
        clock: the number of steps of the episode so far.
        starts: true where a step is the first of an episode.

    Returns:
        The clock after the last step, and its value at each step.
    """
    time = starts.shape[0]
    index = jnp.arange(time, dtype=jnp.int32)
    last_start = jax.lax.cummax(jnp.where(starts, index, -1))
    entering = jnp.where(starts[0], 0, clock)
    onwards = entering + jnp.minimum(index, _LARGEST - entering)
    steps = jnp.where(last_start >= 0, index - last_start, onwards)
    return one_more(steps[-1]), steps


def one_more(count: Int[Array, "*any"]) -> Int[Array, "*any"]:
    """`count + 1`, or the largest int32 where it is that already."""
    return jnp.minimum(count, _LARGEST - 1) + 1


def whole_periods(count: int, shortest: int, longest: int) -> Int[np.ndarray, " count"]:
    """Geometrically spaced periods, rounded to whole steps."""
    return np.round(np.geomspace(shortest, longest, count)).astype(np.int32)


def sinusoids(
    steps: Int[Array, "*batch"], periods: Int[np.ndarray, " count"], dtype
) -> Float[Array, "*batch twice"]:
    """Sines and cosines of `steps`, one pair for each period.

    The periods are whole steps, so that the remainder is an integer: the angle stays
    below one turn and as exact after a million steps as at the first.
    """
    whole = jnp.asarray(periods).reshape(*[1] * steps.ndim, len(periods))
    remainder = (steps[..., None] % whole).astype(dtype)
    angle = 2 * np.pi * (remainder / whole.astype(dtype))
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
