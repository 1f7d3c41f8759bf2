"""Work that few streams need at any step, at the price of those that need it.

A segment is written once in many steps, and streams do so at different steps. Under
`vmap` a `lax.cond` becomes a select: every stream would pay for a write at every step.
Here the rows that need the work are gathered, a few per round, until none is left; no
round runs when none needs it. A single stream takes a `lax.cond`.
"""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

Function = Callable[[Any, Any], Any]
"""`(parameters, operand) -> result`; it may use no array but those it is given."""

SHARE = 16
"""A round treats this fraction of the rows, at least one of them."""


def rare(
    function: Function,
    where: Bool[Array, ""],
    parameters: Any,
    operand: Any,
    default: Any,
) -> Any:
    """`function(parameters, operand)` where `where` holds, else `default`.

    Works under `jit`, `scan`, any number of `vmap`s (the innermost one is compacted)
    and reverse differentiation, which is meant for single streams: differentiated under
    `vmap` it keeps a gradient of the parameters for every row.

    Args:
        function: hashable, so a function of a module or a bound method without arrays.
        where: whether this stream needs it.
        parameters: a pytree, usually the same for all streams.
        operand: a pytree that differs by stream.
        default: a pytree with the structure, shapes and dtypes of the result.
    """
    return _rare(function, where, parameters, operand, default)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rare(function, where, parameters, operand, default):
    return _compacted(function)(where, (parameters, operand), default)


def _rare_forward(function, where, parameters, operand, default):
    result = _compacted(function)(where, (parameters, operand), default)
    return result, (where, parameters, operand)


def _rare_backward(function, residuals, cotangent):
    where, parameters, operand = residuals
    arguments = (parameters, operand)
    real = eqx.filter(arguments, eqx.is_inexact_array)
    zeros = jax.tree.map(jnp.zeros_like, real)
    # Integers and flags have cotangents without values; they take no part.
    cotangent = eqx.filter(cotangent, _is_real)
    of_arguments = _compacted(_Pull(function))(where, (arguments, cotangent), zeros)
    kept = jax.tree.map(lambda g: jnp.where(where, jnp.zeros_like(g), g), cotangent)
    return None, *of_arguments, kept


_rare.defvjp(_rare_forward, _rare_backward)


def _is_real(leaf: Any) -> bool:
    return eqx.is_inexact_array(leaf) and leaf.dtype != jax.dtypes.float0


class _Pull:
    """`(arguments, cotangent) -> gradients`; equal where its function is."""

    def __init__(self, function: Function):
        self.function = function

    def __hash__(self) -> int:
        return hash(self.function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pull) and self.function == other.function

    def __call__(self, arguments: Any, cotangent: Any) -> Any:
        real, rest = eqx.partition(arguments, eqx.is_inexact_array)

        def floats_of_result(real):
            result = self.function(*eqx.combine(real, rest))
            return eqx.filter(result, eqx.is_inexact_array)

        return jax.vjp(floats_of_result, real)[1](cotangent)[0]


@functools.lru_cache(maxsize=256)
def _compacted(function: Function) -> Callable[[Any, Any, Any], Any]:
    """The function as one that chooses by `cond`, and under `vmap` by compaction."""

    def alone(where, arguments, default):
        return jax.lax.cond(where, lambda: function(*arguments), lambda: default)

    call = jax.custom_batching.custom_vmap(alone)

    @call.def_vmap
    def _(axis_size, in_batched, where, arguments, default):
        where_batched, arguments_batched, default_batched = in_batched
        axes = jax.tree.map(lambda batched: 0 if batched else None, arguments_batched)

        def apply(arguments, size):
            rows = jax.vmap(lambda pair: function(*pair), (axes,), axis_size=size)
            return rows(arguments)

        default = _spread(default, default_batched, axis_size)
        if where_batched:
            result = _in_rounds(apply, where, arguments, arguments_batched, default)
        else:
            result = jax.lax.cond(
                where, lambda: apply(arguments, axis_size), lambda: default
            )
        return result, jax.tree.map(lambda _: True, result)

    return call


def _spread(tree: Any, batched: Any, size: int) -> Any:
    """Every leaf with the batch as its first axis."""
    return jax.tree.map(
        lambda x, has: x if has else jnp.broadcast_to(x[None], (size, *x.shape)),
        tree,
        batched,
    )


def _in_rounds(apply, where, arguments, batched, default):
    """The rows where `where` holds, a few per round, in a loop until none is left."""
    total = where.shape[0]
    count = max(1, total // SHARE)

    def body(carry):
        pending, result = carry
        # Surplus slots point one past the end: read clamped, written nowhere.
        index = jnp.nonzero(pending, size=count, fill_value=total)[0]
        rows = jax.tree.map(
            lambda x, has: x.at[index].get(mode="clip") if has else x,
            arguments,
            batched,
        )
        result = jax.tree.map(
            lambda old, new: old.at[index].set(new, mode="drop"),
            result,
            apply(rows, count),
        )
        return pending.at[index].set(False, mode="drop"), result

    return jax.lax.while_loop(lambda carry: carry[0].any(), body, (where, default))[1]
