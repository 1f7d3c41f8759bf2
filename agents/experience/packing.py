"""Stacking what a loop leaves at every step, in one array instead of one per leaf.

A step of a rollout leaves a dozen small arrays, and an accelerator needs a launch to
store each. Here those of four bytes and of one bit share an array of words; what is
large, or of another size, keeps its own. No bit changes.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array

Carry = TypeVar("Carry")

WORD = jnp.uint32
SMALL = 64
"""Numbers per row, up to which a leaf shares."""


class _Leaf(NamedTuple):
    """Where a leaf is: in the words of the rows, of the step, or by itself."""

    kind: str
    shape: tuple[int, ...]
    dtype: Any
    size: int


def scan_packed(
    body: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, xs: Any, *, rows: int
) -> tuple[Carry, Any]:
    """`jax.lax.scan(body, carry, xs)`, with small results stored together.

    Args:
        body: of the loop.
        carry: to begin with.
        xs: one per step, stacked.
        rows: leading size of what belongs together: the streams.

    Returns:
        The last carry, and the results, stacked.
    """
    first = jax.tree.map(lambda x: x[0], xs)
    shapes = jax.eval_shape(body, carry, first)[1]
    leaves, structure = jax.tree.flatten(shapes)
    plan = [_planned(leaf, rows) for leaf in leaves]

    def packed(carry: Carry, x: Any) -> tuple[Carry, Any]:
        carry, left = body(carry, x)
        return carry, _pack(plan, jax.tree.leaves(left), rows)

    carry, stored = jax.lax.scan(packed, carry, xs)
    return carry, jax.tree.unflatten(structure, _unpack(plan, stored))


def _planned(leaf: Any, rows: int) -> _Leaf:
    shape, dtype = leaf.shape, leaf.dtype
    words = jnp.issubdtype(dtype, jnp.bool_) or (
        jnp.issubdtype(dtype, jnp.number) and jnp.dtype(dtype).itemsize == 4
    )
    of_rows = shape[:1] == (rows,)
    size = math.prod(shape[1:] if of_rows else shape)
    kind = "own" if not words or size > SMALL else "rows" if of_rows else "step"
    return _Leaf(kind, shape, dtype, size)


def _pack(plan: list[_Leaf], leaves: list[Array], rows: int) -> Any:
    """Words of the rows, words of the step, and the rest."""
    parts: dict[str, list[Array]] = {"rows": [], "step": [], "own": []}
    for leaf, x in zip(plan, leaves, strict=True):
        if leaf.kind != "own":
            if jnp.issubdtype(leaf.dtype, jnp.bool_):
                x = x.astype(WORD)
            elif leaf.dtype != WORD:
                x = jax.lax.bitcast_convert_type(x, WORD)
            x = x.reshape((rows, leaf.size) if leaf.kind == "rows" else leaf.size)
        parts[leaf.kind].append(x)
    joined = {
        kind: jnp.concatenate(parts[kind], axis=-1)
        for kind in ("rows", "step")
        if parts[kind]
    }
    return {**joined, "own": parts["own"]}


def _unpack(plan: list[_Leaf], stored: Any) -> list[Array]:
    """The leaves, stacked over steps."""
    own = iter(stored["own"])
    place = {"rows": 0, "step": 0}
    leaves = []
    for leaf in plan:
        if leaf.kind == "own":
            leaves.append(next(own))
            continue
        begin = place[leaf.kind]
        place[leaf.kind] = begin + leaf.size
        words = stored[leaf.kind][..., begin : begin + leaf.size]
        if jnp.issubdtype(leaf.dtype, jnp.bool_):
            x = words != 0
        elif leaf.dtype == WORD:
            x = words
        else:
            x = jax.lax.bitcast_convert_type(words, leaf.dtype)
        leaves.append(x.reshape(x.shape[0], *leaf.shape))
    return leaves
