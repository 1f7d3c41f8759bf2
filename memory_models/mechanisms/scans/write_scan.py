"""Writes one after another, with a backward pass for accelerators.

There the derivative of a plain loop stores everything that a write computes, array by
array, and adds up the gradient of every weight in every round. Here the loop stores the
memories alone. All writes are then computed again, at once, for what their derivatives
need; the loop back only finds the cotangents of the memories, and those of weights and
segments follow for all writes at once.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from memory_models.base import select_state
from memory_models.mechanisms.platform import by_platform
from memory_models.mechanisms.scans.recurrent_loops import entering_of

ROUND = 16
"""Writes per round of the loops for accelerators."""

Write = Callable[[Any, tuple[Any, Any]], Any]
"""`(parameters, (memory, entries of a segment)) -> memory`, a function of a module."""


def write_scan(
    write: Write,
    parameters: Any,
    memory: Any,
    initial: Any,
    segments: Any,
    fresh: Bool[Array, " write"],
) -> Any:
    """The memory after each write.

    Args:
        write: makes the new memory of the old one and a segment.
        parameters: of the write.
        memory: before the first write.
        initial: takes the place of the memory where `fresh` holds.
        segments: a pytree of `[write, ...]`.
        fresh: whether a write is the first of its episode.
    """
    arrays, static = eqx.partition(parameters, eqx.is_array)

    def one(arrays: Any, memory: Any, segment: Any) -> Any:
        return write(eqx.combine(arrays, static), (memory, segment))

    def plain(*arguments: Any) -> Any:
        return _loop(one, *arguments)

    @jax.custom_vjp
    def lean(*arguments: Any) -> Any:
        return _loop(one, *arguments, unroll=ROUND)

    lean.defvjp(_forward_of(one), _backward_of(one))
    return by_platform(plain, lean, arrays, memory, initial, segments, fresh)


def _loop(one, arrays, memory, initial, segments, fresh, *, unroll=1):
    def body(memory, element):
        segment, begins = element
        memory = one(arrays, select_state(begins, initial, memory), segment)
        return memory, memory

    return jax.lax.scan(body, memory, (segments, fresh), unroll=unroll)[1]


def _forward_of(one: Callable) -> Callable:
    def forward(arrays, memory, initial, segments, fresh):
        given = arrays, memory, initial, segments, fresh
        memories = _loop(one, *given, unroll=ROUND)
        before = entering_of(memory, initial, memories, fresh)
        return memories, (arrays, before, segments, fresh)

    return forward


def _backward_of(one: Callable) -> Callable:
    def backward(residuals, cotangents):
        arrays, before, segments, fresh = residuals
        zeros = jax.tree.map(lambda x: jnp.zeros_like(x[0]), before)

        def pull_of(memory: Any, segment: Any) -> Any:
            return jax.vjp(lambda memory: one(arrays, memory, segment), memory)[1]

        varying, pull_with = _at_once(pull_of, before, segments)

        def body(total, element):
            kept, begins, cotangent_before = element
            of_memory = select_state(begins, zeros, pull_with(kept)(total)[0])
            return jax.tree.map(jnp.add, cotangent_before, of_memory), total

        cotangents_before = jax.tree.map(
            lambda x: jnp.concatenate([jnp.zeros_like(x[:1]), x[:-1]]), cotangents
        )
        last = jax.tree.map(lambda x: x[-1], cotangents)
        of_memory, totals = jax.lax.scan(
            body,
            last,
            (varying, fresh, cotangents_before),
            reverse=True,
            unroll=ROUND,
        )
        every = jax.vmap(one, (None, 0, 0))
        of_arrays, of_before, of_segments = jax.vjp(every, arrays, before, segments)[1](
            totals
        )
        of_initial = jax.vmap(select_state, (0, 0, None))(fresh, of_before, zeros)
        of_initial = jax.tree.map(lambda x: x.sum(0), of_initial)
        return of_arrays, of_memory, of_initial, of_segments, None

    return backward


def _at_once(pull_of: Callable, *arguments: Any) -> tuple[list[Array], Callable]:
    """All derivatives, computed at once.

    `jax.vmap` would copy what is the same in all, such as weights, for each.

    Args:
        pull_of: a derivative, as a pytree.
        arguments: pytrees of `[write, ...]`.

    Returns:
        The arrays that differ, `[write, ...]`, and what makes a derivative of one's.
    """
    trees: list[Any] = []

    def leaves_of(*arguments):
        leaves, tree = jax.tree.flatten(pull_of(*arguments))
        trees.append(tree)
        return leaves

    first = jax.eval_shape(lambda xs: jax.tree.map(lambda x: x[0], xs), arguments)
    differs = _depends(jax.make_jaxpr(leaves_of)(*first).jaxpr)
    axes = [0 if flag else None for flag in differs]
    leaves = jax.vmap(leaves_of, out_axes=axes)(*arguments)
    same = [x for x, flag in zip(leaves, differs, strict=True) if not flag]

    def pull_with(varying: list[Array]) -> Any:
        parts = {True: iter(varying), False: iter(same)}
        return jax.tree.unflatten(trees[-1], [next(parts[flag]) for flag in differs])

    return [x for x, flag in zip(leaves, differs, strict=True) if flag], pull_with


def _depends(jaxpr: Any) -> list[bool]:
    """Which outputs are functions of the inputs."""
    known = set(jaxpr.invars)

    def is_known(atom: Any) -> bool:
        return not hasattr(atom, "val") and atom in known

    for equation in jaxpr.eqns:
        if any(is_known(atom) for atom in equation.invars):
            known.update(equation.outvars)
    return [is_known(atom) for atom in jaxpr.outvars]
