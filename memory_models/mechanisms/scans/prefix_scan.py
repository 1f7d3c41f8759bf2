"""The diagonal linear recurrence as a prefix scan, with its own backward pass.

The backward pass is the same scan in reverse: less to store and to run than what
derives from every level of the scan. The scan is an operation of its own, which is
spelt out when a program is compiled that has it: spelling it out takes a second, which
programs for CPUs, where `linear_scan` uses another kernel, need not wait for.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir
from jaxtyping import Array, Bool, Float

Number = Float[Array, "..."] | tuple[Float[Array, "..."], Float[Array, "..."]]
"""A real array, or a complex one as `(real, imaginary)`."""


@jax.custom_vjp
def prefix_scan(decay: Number, drive: Number, starts: Bool[Array, "..."]) -> Any:
    """All states of `h_t = decay_t * h_{t-1} + drive_t`, from 0.

    Args:
        decay: `[time, *shape]`, a pair if complex.
        drive: the same.
        starts: `[time, *ones]`; where true, h_{t-1} is 0, and decay_t is not read.
    """
    states = _prefixes.bind(*jax.tree.leaves((decay, drive)), starts)
    return jax.tree.unflatten(jax.tree.structure(drive), states)


def advance(decay: Any, drive: Any, state: Any) -> Any:
    """One step, `decay * state + drive`, of real or of complex numbers."""
    if isinstance(decay, tuple):
        (a, b), (c, d) = decay, state
        return a * c - b * d + drive[0], a * d + b * c + drive[1]
    return decay * state + drive


def constant(like: Any, value: float) -> Any:
    """The real number `value`, as arrays shaped as `like`."""
    if isinstance(like, tuple):
        return jnp.full_like(like[0], value), jnp.zeros_like(like[1])
    return jnp.full_like(like, value)


def choose(flag: Any, new: Any, old: Any) -> Any:
    """`where`, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(flag, a, b), new, old)


def _forward(decay, drive, starts):
    states = prefix_scan(decay, drive, starts)
    return states, (decay, starts, states)


def _backward(residuals, cotangents):
    decay, starts, states = residuals

    def later(x: Array, last: Any) -> Array:
        """Of the step after, last step first."""
        return jnp.flip(jnp.concatenate([x[1:], jnp.full_like(x[:1], last)]), 0)

    of_drive = prefix_scan(
        jax.tree.map(lambda x: later(x, 0.0), _conjugate(decay)),
        jax.tree.map(lambda x: jnp.flip(x, 0), cotangents),
        later(starts, True),
    )
    of_drive = jax.tree.map(lambda x: jnp.flip(x, 0), of_drive)
    before = jax.tree.map(
        lambda x: jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]]), states
    )
    nothing = constant(before, 0.0)
    of_decay = advance(of_drive, nothing, _conjugate(before))
    return choose(starts, nothing, of_decay), of_drive, None


prefix_scan.defvjp(_forward, _backward)


def _conjugate(number: Number) -> Any:
    return (number[0], -number[1]) if isinstance(number, tuple) else number


def _combine(left: tuple, right: tuple) -> tuple:
    """Two stretches of time, one after the other."""
    (decay_left, drive_left, start_left) = left
    (decay_right, drive_right, start_right) = right
    # Cut before multiplying: 0 * nan is nan, and so is its gradient.
    drive_left = choose(start_right, constant(drive_left, 0.0), drive_left)
    decay_left = choose(start_right, constant(decay_left, 1.0), decay_left)
    nothing = constant(decay_left, 0.0)
    return (
        advance(decay_right, nothing, decay_left),
        advance(decay_right, drive_right, drive_left),
        start_left | start_right,
    )


def _compute(*leaves: Array) -> list[Array]:
    *numbers, starts = leaves
    if len(numbers) == 2:
        decay, drive = numbers
    else:
        decay, drive = tuple(numbers[:2]), tuple(numbers[2:])
    states = jax.lax.associative_scan(_combine, (decay, drive, starts))[1]
    return jax.tree.leaves(states)


def _shapes(*leaves):
    *numbers, _ = leaves
    return [x.update(weak_type=False) for x in numbers[len(numbers) // 2 :]]


def _batched(leaves, axes):
    """The mapped axis comes after time, in every array."""
    pairs = zip(leaves, axes, strict=True)
    size = next(x.shape[axis] for x, axis in pairs if axis is not None)

    def moved(x: Array, axis: int | None) -> Array:
        if axis is not None:
            return jnp.moveaxis(x, axis, 1)
        return jnp.broadcast_to(x[:, None], (x.shape[0], size, *x.shape[1:]))

    leaves = [moved(*pair) for pair in zip(leaves, axes, strict=True)]
    states = _prefixes.bind(*leaves)
    return states, [1] * len(states)


_prefixes = Primitive("prefix_scan")
_prefixes.multiple_results = True
_prefixes.def_impl(jax.jit(_compute))
_prefixes.def_abstract_eval(_shapes)
mlir.register_lowering(_prefixes, mlir.lower_fun(_compute, multiple_results=True))
batching.primitive_batchers[_prefixes] = _batched
