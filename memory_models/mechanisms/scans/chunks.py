"""Time in chunks: what scans of matrix states share.

Inside a chunk all steps are computed at once, from masked products of queries and keys;
from chunk to chunk a state is carried. The backward pass computes the inside of every
chunk again instead of storing it: on CPU, for 1024 steps of 8 streams with 4 heads of
32, a matrix scan takes 0.6 times as long as one that stores it, or one that computes
the insides of all chunks before the scan, because a chunk then stays in the cache.
Chunks of 32 steps were fastest; 16 and 64 take 1.0 to 1.4 times as long.

Resets are masks: two steps belong together if as many starts lie before the one as
before the other. A reset as a very small decay would lose, in the differences of
cumulated logarithms, the precision of all decays after it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memory_models.base import State
from memory_models.mechanisms.inspection import is_looking, scan

CHUNK_SIZE = 32
"""Steps per chunk."""

KEPT = "kept"
"""The `checkpoint_name` of what a body wants stored for the backward pass."""

_POLICY = jax.checkpoint_policies.save_only_these_names(KEPT)

LOWEST = -1e30
"""The logarithm of nothing: finite, because the difference of two infinities is nan."""


class Masks(NamedTuple):
    """Which steps of a chunk belong together; the first axis is for the heads.

    Attributes:
        within: whether step t reads what step s wrote.
        before: whether the state before the chunk is of step t's episode.
    """

    within: Bool[Array, "1 read write"]
    before: Bool[Array, "1 read"]


Body = Callable[[State, Any, Bool[Array, " step"]], tuple[State, Any]]
"""`(state, arrays, starts) -> (state, outputs)`, of arrays `[step, ...]`."""


def chunk_scan(
    body: Body,
    state: State,
    arrays: Any,
    starts: Bool[Array, " time"],
    *,
    chunk_size: int = CHUNK_SIZE,
    fill: Any = None,
) -> tuple[State, Any]:
    """Run `body` over chunks of time.

    Args:
        body: one chunk. What it computes is computed again in the backward pass, so
            whatever is cheap and local in time belongs in it.
        state: the state that the steps before left, reset if `starts[0]` holds.
        arrays: a pytree of `[time, ...]`.
        starts: true where a step is the first of an episode.
        chunk_size: steps per chunk; a last, shorter one is filled up.
        fill: what it is filled with, per array: a step that changes no state. None
            for zeros.

    Returns:
        The last state, and the outputs `[time, ...]`.
    """

    def one(state, element):
        return body(state, *element)

    elements, time = in_chunks(arrays, starts, chunk_size, fill), starts.shape[0]
    again = one
    if not is_looking():
        again = jax.checkpoint(one, prevent_cse=False, policy=_POLICY)
    state, outputs = scan(again, state, elements, joined=lambda x: joined(x, time))
    return state, joined(outputs, time)


def in_chunks(
    arrays: Any, starts: Bool[Array, " time"], chunk_size: int, fill: Any = None
) -> tuple[Any, Bool[Array, "chunk step"]]:
    """Arrays and starts as `[chunk, step, ...]`, filled up as `chunk_scan` says."""
    time = starts.shape[0]
    size = min(chunk_size, time)
    count = -(-time // size)
    missing = count * size - time

    def split(x: Array, value: Any) -> Array:
        if missing:
            width = [(0, missing), *[(0, 0)] * (x.ndim - 1)]
            x = jnp.pad(x, width, constant_values=value)
        return x.reshape(count, size, *x.shape[1:])

    if fill is None:
        fill = jax.tree.map(lambda _: 0.0, arrays)
    return jax.tree.map(split, arrays, fill), split(starts, False)


def joined(outputs: Any, time: int) -> Any:
    """`[chunk, step, ...]` as `[time, ...]`."""
    return jax.tree.map(
        lambda x: x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])[:time], outputs
    )


def by_head(arrays: Any) -> Any:
    """`[step, heads, ...]` as `[heads, step, ...]`, and back."""
    return jax.tree.map(lambda x: x.swapaxes(0, 1), arrays)


def masks_of(starts: Bool[Array, " step"]) -> Masks:
    """The masks of one chunk."""
    counted = jnp.cumsum(starts, dtype=jnp.int32)
    together = counted[:, None] == counted[None, :]
    causal = jnp.tril(jnp.ones(together.shape, bool))
    return Masks((together & causal)[None], (counted == 0)[None])


class Decays(NamedTuple):
    """What is left of what; exactly zero across a reset.

    Attributes:
        within: of a write at step s when step t reads.
        entering: of the state before the chunk at step t.
    """

    within: Float[Array, "heads read write"]
    entering: Float[Array, "heads read"]

    @property
    def leaving(self) -> Float[Array, "heads write"]:
        """Of a write at step s after the chunk, which is when the last step reads."""
        return self.within[:, -1]


def decays_of(
    log_decay: Float[Array, "heads step"] | None, masks: Masks, like: Array
) -> Decays:
    """Products of decays between the steps of a chunk; None where nothing decays."""
    if log_decay is None:
        return Decays(*(mask.astype(like.dtype) for mask in masks))
    total = cumulated(log_decay, masks)
    between = total[:, :, None] - total[:, None, :]
    return Decays(masked_exp(masks.within, between), masked_exp(masks.before, total))


def cumulated(log_decay: Float[Array, "heads step"], masks: Masks) -> Array:
    """Sums since the start of the chunk or of the episode, whichever came later.

    Sums since the start of the chunk have the same differences, but gradients across a
    start would cancel only but for rounding.
    """
    same = masks.within[0].astype(log_decay.dtype)
    return jnp.einsum("hs,ts->ht", log_decay, same)


def masked_exp(mask: Array, exponent: Array) -> Array:
    """`exp` where the mask holds, else 0; elsewhere the exponent may overflow."""
    return jnp.where(mask, jnp.exp(jnp.where(mask, exponent, 0.0)), 0.0)
