"""Mechanism A with a small dense transition: `h_t = h_{t-1} A + b_t`, with resets.

One product after another, on every backend. Computing a chunk at once from powers of A
multiplies the work by the chunk's length, because resets differ by stream, and the
models that use this scan have a cell that runs step by step besides.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memory_models.base import select_state
from memory_models.mechanisms.platform import by_platform

ROUND = 4
"""Steps per round of the loop on accelerators, where every store is a kernel."""


def dense_scan(
    transition: Float[Array, "size size"],
    drive: Float[Array, "time channels size"],
    starts: Bool[Array, " time"],
    state: Float[Array, "channels size"],
) -> Float[Array, "time channels size"]:
    """All states of `h_t = h_{t-1} A + b_t`; h is zero before an episode.

    Args:
        transition: A, a constant: no gradient reaches it.
        drive: b.
        starts: true where a step is the first of an episode.
        state: h after the steps before.

    Returns:
        The states; the last is the one to carry on with.
    """
    transition = jax.lax.stop_gradient(transition)
    zeros = jnp.zeros_like(state)

    def body(carried, element):
        now, start = element
        carried = dense_step(transition, now, select_state(start, zeros, carried))
        return carried, carried

    def plain(state, elements):
        return jax.lax.scan(body, state, elements)[1]

    def in_rounds(state, elements):
        return jax.lax.scan(body, state, elements, unroll=ROUND)[1]

    return by_platform(plain, in_rounds, state, (drive, starts))


def dense_step(
    transition: Float[Array, "size size"],
    drive: Float[Array, "channels size"],
    state: Float[Array, "channels size"],
) -> Float[Array, "channels size"]:
    """One step, `h A + b`; the state has been reset before."""
    return state @ transition + drive
