"""Mechanism A: the diagonal linear recurrence `h_t = a_t h_{t-1} + b_t`, with resets.

A complex quantity is a pair `(real, imaginary)` of real arrays, never a complex array.

Two kernels give the same numbers. `sequential` is a `lax.scan`: O(T) depth, one state
in flight. `associative` is a prefix scan over `(a, b, start)`: O(log T) depth, but
several passes over all T states. On CPU a forward and backward pass of FFM takes 1.6
(128 steps, 64 streams) to 2.4 times (1024 steps, 8 streams) as long with the
associative kernel, so `sequential` is the default there. On accelerators, where depth
is what costs, `associative` is the default; that choice is by argument, not measured.
A closed form for constant decays (one product with powers of `a`) would need either
positive exponents or a separate matrix per stream, because starts differ by stream.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memory_models.mechanisms.inspection import record_decay
from memory_models.mechanisms.platform import by_platform
from memory_models.mechanisms.scans.prefix_scan import (
    Number,
    advance,
    choose,
    constant,
    prefix_scan,
)

__all__ = ["MINIMUM_RATE", "advance", "diagonal_scan", "last", "rotating_decay"]

Real = Float[Array, "..."]

MINIMUM_RATE = 1e-6
"""Decay per step that remains however far training pushes a rate down.

In float32 the next number below 1 is 6e-8 away: this much is still well represented.
"""


def rotating_decay(rate: Real, angle: Real) -> tuple[Real, Real]:
    """`exp(-(1e-6 + rate) + 1j * angle)` as a pair: never 1 or more in magnitude.

    Args:
        rate: at least 0, per step.
        angle: radians per step.
    """
    shrink = jnp.exp(-MINIMUM_RATE - rate)
    return shrink * jnp.cos(angle), shrink * jnp.sin(angle)


def diagonal_scan(
    decay: Number,
    drive: Number,
    starts: Bool[Array, " time"],
    state: Number,
    initial: Number,
    *,
    kernel: str | None = None,
) -> Any:
    """All states of `h_t = decay_t * h_{t-1} + drive_t`.

    Where `starts[t]` holds, `h_{t-1}` is `initial`, by `where`: whatever was in the
    state before, nan included, is gone.

    Args:
        decay: `[time, *shape]`, or `[*shape]` where it is the same at every step.
        drive: `[time, *shape]`, or anything of that rank that broadcasts to it.
        starts: true where a step is the first of an episode.
        state: `[*shape]`, the state that the steps before left.
        initial: `[*shape]`, the state before the first step of an episode.
        kernel: 'sequential' or 'associative'; None for the former where the program is
            compiled for a CPU, else the latter.

    Returns:
        `[time, *shape]`, a pair if `state` is; the last is the state to carry on with.

    Raises:
        ValueError: no such kernel, or a mixture of real and complex quantities.
    """
    if kernel not in (None, "sequential", "associative"):
        raise ValueError(
            f"there is no scan kernel {kernel!r}; choose 'sequential' or 'associative'."
        )
    kinds = [isinstance(x, tuple) for x in (decay, drive, state, initial)]
    if len(set(kinds)) > 1:
        raise ValueError(
            "decay, drive, state and initial must all be real arrays, or all be (real, "
            f"imaginary) pairs; which of them are pairs: {kinds}."
        )
    record_decay(lambda: _per_step(decay, initial), starts)
    arguments = decay, drive, starts, state, initial
    if kernel is None:
        return by_platform(_sequential, _associative, *arguments)
    return (_sequential if kernel == "sequential" else _associative)(*arguments)


def last(states: Number) -> Any:
    """The state after the last step."""
    return jax.tree.map(lambda leaf: leaf[-1], states)


def _sequential(decay, drive, starts, state, initial) -> Any:
    constant = _rank(decay) == _rank(initial)

    def body(previous, element):
        start, drive_now, decay_now = element
        previous = choose(start, initial, previous)
        current = advance(decay if constant else decay_now, drive_now, previous)
        return current, current

    elements = (starts, drive, None if constant else decay)
    return jax.lax.scan(body, state, elements)[1]


def _associative(decay, drive, starts, state, initial) -> Any:
    time = starts.shape[0]
    everywhere = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf[None], (time, *leaf.shape)), initial
    )
    decay = _per_step(decay, initial)
    shape = jax.tree.leaves(everywhere)[0].shape
    decay = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), decay)
    flags = starts.reshape(time, *[1] * (len(shape) - 1))

    # What enters a step from outside the scan joins its drive: the initial state at
    # a start, and the carried state at the first step.
    outside = choose(flags, everywhere, constant(everywhere, 0.0))
    entering = choose(starts[0], initial, state)
    outside = jax.tree.map(lambda x, first: x.at[0].set(first), outside, entering)
    drive = advance(decay, drive, outside)

    return prefix_scan(decay, drive, flags)


def _per_step(decay: Any, initial: Any) -> Any:
    """`[time, *shape]`, or `[1, *shape]` where it is the same at every step."""
    if _rank(decay) == _rank(initial):
        return jax.tree.map(lambda leaf: leaf[None], decay)
    return decay


def _rank(number: Any) -> int:
    return jax.tree.leaves(number)[0].ndim
