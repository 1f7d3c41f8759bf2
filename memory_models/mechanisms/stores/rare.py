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
"""`(parameters, state) -> state`; it may use no array but those it is given."""

SHARE = 16
"""A round treats this fraction of the rows, at least one of them."""


def rare(
    function: Function, where: Bool[Array, ""], parameters: Any, state: Any
) -> Any:
    """`function(parameters, state)` where `where` holds, else `state`.

    Works under `jit`, `scan`, any number of `vmap`s (the innermost one is compacted)
    and reverse differentiation, which is meant for single streams: differentiated under
    `vmap` it keeps a gradient of the parameters for every row.

    Args:
        function: hashable, so a function of a module or a tuple of such; it keeps the
            structure, shapes and dtypes of the state.
        where: whether this stream needs it.
        parameters: a pytree, usually the same for all streams.
        state: a pytree that differs by stream.
    """
    return _rare(function, where, parameters, state)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _rare(function, where, parameters, state):
    return _compacted(function)(where, parameters, state)


def _rare_forward(function, where, parameters, state):
    result = _compacted(function)(where, parameters, state)
    return result, (where, parameters, state)


def _rare_backward(function, residuals, cotangent):
    where, parameters, state = residuals
    real = eqx.filter(parameters, eqx.is_inexact_array)
    # Integers and flags have cotangents without values; they take no part.
    cotangent = eqx.filter(cotangent, _is_real)
    zeros = jax.tree.map(jnp.zeros_like, real)
    pull = _compacted(_Pull(function))
    return None, *pull(where, (parameters, state), (zeros, cotangent))


_rare.defvjp(_rare_forward, _rare_backward)


def _is_real(leaf: Any) -> bool:
    return eqx.is_inexact_array(leaf) and leaf.dtype != jax.dtypes.float0


class _Pull:
    """Of its function: `(arguments, (zeros, cotangent)) -> gradients`.

    Where the function was not applied, the parameters have a gradient of zero, and the
    state the cotangent itself. Equal where the functions are, so compiled once.
    """

    def __init__(self, function: Function):
        self.function = function

    def __hash__(self) -> int:
        return hash(self.function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Pull) and self.function == other.function

    def __call__(self, arguments: tuple[Any, Any], cotangents: tuple) -> tuple:
        real, rest = eqx.partition(arguments, eqx.is_inexact_array)

        def floats_of_result(real):
            result = self.function(*eqx.combine(real, rest))
            return eqx.filter(result, eqx.is_inexact_array)

        return jax.vjp(floats_of_result, real)[1](cotangents[1])[0]


@functools.lru_cache(maxsize=256)
def _compacted(function: Function) -> Callable[[Any, Any, Any], Any]:
    """The function as one that chooses by `cond`, and under `vmap` by compaction."""

    def alone(where, parameters, state):
        return jax.lax.cond(where, lambda: function(parameters, state), lambda: state)

    call = jax.custom_batching.custom_vmap(alone)

    @call.def_vmap
    def _(axis_size, in_batched, where, parameters, state):
        where_batched, batched, state_batched = in_batched
        axes = jax.tree.map(lambda has: 0 if has else None, batched)
        apply = jax.vmap(function, (axes, 0))
        state = _spread(state, state_batched, axis_size)
        if where_batched:
            result = _in_rounds(apply, where, parameters, batched, state)
        else:
            result = jax.lax.cond(
                where, lambda: apply(parameters, state), lambda: state
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


def _in_rounds(apply, where, parameters, batched, state):
    """Replace the rows where `where` holds, a few per round, until none is left."""
    total = where.shape[0]
    count = max(1, total // SHARE)

    def body(carry):
        pending, state = carry
        # Surplus slots point one past the end: read clamped, written nowhere.
        index = jnp.nonzero(pending, size=count, fill_value=total)[0]
        own = jax.tree.map(
            lambda x, has: x.at[index].get(mode="clip") if has else x,
            parameters,
            batched,
        )
        # Rows are read from the carry, so that it is updated in place, not copied.
        rows = jax.tree.map(lambda x: x.at[index].get(mode="clip"), state)
        state = jax.tree.map(
            lambda old, new: old.at[index].set(new, mode="drop"),
            state,
            apply(own, rows),
        )
        return pending.at[index].set(False, mode="drop"), state

    return jax.lax.while_loop(lambda carry: carry[0].any(), body, (where, state))[1]
