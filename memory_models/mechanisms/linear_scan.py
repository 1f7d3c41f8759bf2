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

Real = Float[Array, "..."]
Number = Real | tuple[Real, Real]
"""A real array, or a complex one as `(real, imaginary)`."""

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
        kernel: 'sequential' or 'associative'; None chooses by backend.

    Returns:
        `[time, *shape]`, a pair if `state` is; the last is the state to carry on with.

    Raises:
        ValueError: no such kernel, or a mixture of real and complex quantities.
    """
    kernel = kernel or default_kernel()
    if kernel not in ("sequential", "associative"):
        raise ValueError(
            f"there is no scan kernel {kernel!r}; choose 'sequential' or 'associative'."
        )
    kinds = [isinstance(x, tuple) for x in (decay, drive, state, initial)]
    if len(set(kinds)) > 1:
        raise ValueError(
            "decay, drive, state and initial must all be real arrays, or all be (real, "
            f"imaginary) pairs; which of them are pairs: {kinds}."
        )
    scan = _sequential if kernel == "sequential" else _associative
    return scan(decay, drive, starts, state, initial)


def default_kernel() -> str:
    """The faster kernel on the backend that JAX uses by default."""
    return "sequential" if jax.default_backend() == "cpu" else "associative"


def advance(decay: Any, drive: Any, state: Any) -> Any:
    """One step, `decay * state + drive`, of real or of complex numbers."""
    if isinstance(decay, tuple):
        (a, b), (c, d) = decay, state
        return a * c - b * d + drive[0], a * d + b * c + drive[1]
    return decay * state + drive


def last(states: Number) -> Any:
    """The state after the last step."""
    return jax.tree.map(lambda leaf: leaf[-1], states)


def _sequential(decay, drive, starts, state, initial) -> Any:
    constant = _rank(decay) == _rank(initial)

    def body(previous, element):
        start, drive_now, decay_now = element
        previous = _where(start, initial, previous)
        current = advance(decay if constant else decay_now, drive_now, previous)
        return current, current

    elements = (starts, drive, None if constant else decay)
    return jax.lax.scan(body, state, elements)[1]


def _associative(decay, drive, starts, state, initial) -> Any:
    time = starts.shape[0]
    everywhere = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf[None], (time, *leaf.shape)), initial
    )
    if _rank(decay) == _rank(initial):
        decay = jax.tree.map(lambda leaf: leaf[None], decay)
    shape = jax.tree.leaves(everywhere)[0].shape
    decay = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape), decay)
    flags = starts.reshape(time, *[1] * (len(shape) - 1))

    # What enters a step from outside the scan joins its drive: the initial state at
    # a start, and the carried state at the first step.
    outside = _where(flags, everywhere, _constant(everywhere, 0.0))
    entering = _where(starts[0], initial, state)
    outside = jax.tree.map(lambda x, first: x.at[0].set(first), outside, entering)
    drive = advance(decay, drive, outside)

    def combine(left, right):
        (decay_left, drive_left, start_left) = left
        (decay_right, drive_right, start_right) = right
        # Cut before multiplying: 0 * nan is nan, and so is its gradient.
        drive_left = _where(start_right, _constant(drive_left, 0.0), drive_left)
        decay_left = _where(start_right, _constant(decay_left, 1.0), decay_left)
        nothing = _constant(decay_left, 0.0)
        return (
            advance(decay_right, nothing, decay_left),
            advance(decay_right, drive_right, drive_left),
            start_left | start_right,
        )

    return jax.lax.associative_scan(combine, (decay, drive, flags))[1]


def _rank(number: Any) -> int:
    return jax.tree.leaves(number)[0].ndim


def _where(flag: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(flag, a, b), new, old)


def _constant(like: Any, value: float) -> Any:
    """The real number `value`, as arrays shaped as `like`."""
    if isinstance(like, tuple):
        return jnp.full_like(like[0], value), jnp.zeros_like(like[1])
    return jnp.full_like(like, value)
