"""Operations of JAX in other words, where jax2onnx or onnxruntime lack them.

Each function here is told an operation's parameters and the shapes and dtypes of its
inputs, and returns a function of the inputs that gives the same numbers; None where the
operation can stay as it is.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

Reworded = Callable[..., Any] | None


def _select(params: dict[str, Any], which: Any, *cases: Any) -> Reworded:
    """Between flags: onnxruntime's Where has no booleans."""
    del params
    if cases[0].dtype != bool or which.dtype != bool or len(cases) != 2:
        return None

    def chosen(which: Array, no: Array, yes: Array) -> Array:
        which = jnp.broadcast_to(which, no.shape)
        return (which & yes) | (~which & no)

    return chosen


def _cumulative_max(params: dict[str, Any], values: Any) -> Reworded:
    """Of integers: it would become a pooling, which ONNX has of floats only."""
    if not jnp.issubdtype(values.dtype, jnp.integer):
        return None
    axis, reverse = params["axis"], params["reverse"]
    return lambda x: jax.lax.associative_scan(
        jnp.maximum, x, axis=axis, reverse=reverse
    )


def _scatter(
    combine: Callable[[Array, Array], Array],
    params: dict[str, Any],
    operand: Any,
    indices: Any,
    updates: Any,
) -> Reworded:
    """Rows written where an index says: a mask and a select for each.

    jax2onnx knows no scatter with batch axes, and few others.
    """
    numbers = params["dimension_numbers"]
    batch = tuple(map(int, numbers.operand_batching_dims))
    batch_of_indices = tuple(map(int, numbers.scatter_indices_batching_dims))
    indexed = tuple(map(int, numbers.scatter_dims_to_operand_dims))
    inserted = tuple(map(int, numbers.inserted_window_dims))
    window = tuple(map(int, numbers.update_window_dims))
    kept = [d for d in range(operand.ndim) if d not in (*inserted, *batch)]
    whole = all(
        updates.shape[u] == operand.shape[d] for u, d in zip(window, kept, strict=True)
    )
    clipped = "CLIP" in str(params["mode"])
    rows = [d for d in range(indices.ndim - 1) if d not in batch_of_indices]
    if set(indexed) != set(inserted) or not whole or clipped:
        return None
    # Axes of the updates that are not of the window are those of the indices, in order.
    of_indices = [d for d in range(updates.ndim) if d not in window]

    def written(operand: Array, indices: Array, updates: Array) -> Array:
        shape = [indices.shape[d] for d in batch_of_indices]
        order = (*batch_of_indices, *rows)
        index = indices.transpose(*order, indices.ndim - 1)
        index = index.reshape(*shape, -1, indices.shape[-1])
        values = updates.transpose(*(of_indices[d] for d in order), *window)
        values = values.reshape(*shape, -1, *(updates.shape[d] for d in window))
        for row in range(index.shape[len(shape)]):
            own = values[(slice(None),) * len(shape) + (row,)]
            own = jax.lax.broadcast_in_dim(own, operand.shape, (*batch, *kept))
            here = jnp.ones(operand.shape, bool)
            for part, axis in enumerate(indexed):
                at = index[(slice(None),) * len(shape) + (row, part)]
                at = jax.lax.broadcast_in_dim(at, operand.shape, batch)
                here &= jax.lax.broadcasted_iota(at.dtype, operand.shape, axis) == at
            operand = jnp.where(here, combine(operand, own), operand)
        return operand

    return written


def _shift_left(params: dict[str, Any], values: Any, bits: Any) -> Reworded:
    """Of signed integers: onnxruntime shifts only those without a sign."""
    del params, bits
    if not jnp.issubdtype(values.dtype, jnp.signedinteger):
        return None
    return _by_magnitude(jax.lax.shift_left, jnp.negative)


def _shift_right(params: dict[str, Any], values: Any, bits: Any) -> Reworded:
    """Rounding down, as above."""
    del params, bits
    return _by_magnitude(jax.lax.shift_right_logical, jnp.invert)


def _by_magnitude(shift: Callable, opposite: Callable) -> Reworded:
    """A shift of numbers from 0, and of the others' opposites."""

    def shifted(values: Array, bits: Array) -> Array:
        unsigned = jnp.dtype(f"u{values.dtype.name}")
        negative = values < 0
        magnitude = jnp.where(negative, opposite(values), values).astype(unsigned)
        bits = jnp.broadcast_to(bits, values.shape).astype(unsigned)
        moved = shift(magnitude, bits).astype(values.dtype)
        return jnp.where(negative, opposite(moved), moved)

    return shifted


def _gather(params: dict[str, Any], operand: Any, indices: Any) -> Reworded:
    """Rows read from where an index says, the index along whole axes left out.

    jax2onnx mistakes the batch axes of such a gather.
    """
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    indexed = tuple(map(int, numbers.start_index_map))
    used = [i for i, d in enumerate(indexed) if sizes[d] != operand.shape[d]]
    single = all(sizes[indexed[i]] == 1 for i in used)
    leading = indices.ndim - 1
    offsets = [int(d) for d in numbers.offset_dims]
    trailing = offsets == list(range(leading, leading + len(offsets)))
    clipped = "CLIP" in str(params["mode"])
    if len(used) == len(indexed) or not (used and single and trailing and clipped):
        return None
    rows = [indexed[i] for i in used]
    gone = sorted({*map(int, numbers.collapsed_slice_dims), *rows})
    batch = tuple(map(int, numbers.operand_batching_dims))
    kept = [d for d in range(operand.ndim) if d not in (*gone, *batch)]
    told = numbers._replace(
        offset_dims=tuple(range(leading, leading + len(kept))),
        collapsed_slice_dims=tuple(gone),
        start_index_map=tuple(rows),
    )
    before = set(map(int, numbers.collapsed_slice_dims)) | set(batch)
    inside = [sizes[d] for d in range(operand.ndim) if d not in before]
    shape = (*indices.shape[:-1], *inside)

    def read(operand: Array, indices: Array) -> Array:
        found = jax.lax.gather(
            operand, indices[..., np.asarray(used)], told, tuple(sizes), mode="clip"
        )
        return found.reshape(shape)

    return read


def _new(old: Array, new: Array) -> Array:
    del old
    return new


REWORDED: dict[str, Callable[..., Reworded]] = {
    "select_n": _select,
    "cummax": _cumulative_max,
    "gather": _gather,
    "shift_left": _shift_left,
    "shift_right_arithmetic": _shift_right,
    "scatter": functools.partial(_scatter, _new),
    "scatter-add": functools.partial(_scatter, jnp.add),
    "scatter-max": functools.partial(_scatter, jnp.maximum),
    "scatter-min": functools.partial(_scatter, jnp.minimum),
}
"""By operation, what says how it is put otherwise."""
