"""A transformer block whose steps also attend to memory tokens, written per segment."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import FeedForward
from memory_models.mechanisms.affine import affine
from memory_models.mechanisms.heads import (
    head_parts,
    join_heads,
    masked_softmax,
    rotate_pairs,
)
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.ring_attention import bands, rotary_logits, rotate
from memory_models.mechanisms.stores.segment_clock import (
    Clock,
    empty_clock,
    enter,
    follow,
    leave,
    of_vectors,
    restart,
)

Memory = Float[Array, "tokens width"]


class MemoryTokenLayer(eqx.Module):
    """A pre-norm block on the steps of a segment and on memory tokens.

        q, k, v = layer_norm(x) W_qkv               of a step
        q, k, v = layer_norm(M + P) W_qkv           of the tokens
        a = softmax over [tokens; the steps of the segment up to this one]
        y = x + a W_o + b_o                         (of a token, M + a W_o + b_o)
        block(x) = y + feed_forward(layer_norm(y))

    Steps are told apart by rotary positions, tokens by vectors P of their own, without
    which tokens that obey one update and see the same steps become equal. P is part of
    what is projected only: added to what is carried, it would be added again at every
    write, and within a few writes nothing else would be left. The state holds keys that
    are rotated by their place in the segment. At the end of a segment the tokens pass
    through the same block, as if they stood after its last step, and see all of it and
    each other: M' = keep(M, layer_norm(block(M))). The norm, which is without learned
    scale or offset, holds tokens at unit scale over any number of segments.

    Attributes:
        project: W_qkv.
        out: W_o, b_o.
        feed_forward: the second sublayer.
        tokens: M before the first segment of an episode.
        identity: P.
        num_heads: how many heads.
        segment_length: steps in a segment.
        history: complete segments that a step sees besides its own.
    """

    project: Linear
    out: Linear
    feed_forward: FeedForward
    tokens: Memory
    identity: Memory
    num_heads: int = eqx.field(static=True)
    segment_length: int = eqx.field(static=True)
    history: int = eqx.field(static=True)

    def __init__(
        self,
        width: int,
        *,
        num_tokens: int,
        segment_length: int,
        history: int,
        num_heads: int,
        head_size: int,
        expansion: int,
        key: PRNGKeyArray,
    ):
        """Draw the weights; tokens and their vectors start standard normal."""
        keys = jax.random.split(key, 5)
        inner = num_heads * head_size
        self.project = Linear(width, 3 * inner, key=keys[0], use_bias=False)
        self.out = Linear(inner, width, key=keys[1])
        self.feed_forward = FeedForward(width, expansion * width, key=keys[2])
        dtype = self.out.weight.dtype
        self.tokens = jax.random.normal(keys[3], (num_tokens, width), dtype)
        self.identity = jax.random.normal(keys[4], (num_tokens, width), dtype)
        self.num_heads, self.history = num_heads, history
        self.segment_length = segment_length

    def initial_state(self) -> Clock:
        """The first tokens, no step."""
        weight = self.out.weight
        zeros = jnp.zeros((self.num_heads, self._head_size()), weight.dtype)
        return empty_clock(
            self.tokens, (zeros, zeros), self.segment_length, self.history
        )

    def sequence(
        self,
        clock: Clock,
        x: Float[Array, "time width"],
        starts: Bool[Array, " time"],
        keep: Any,
    ) -> tuple[Clock, Float[Array, "time width"]]:
        """All writes, then all steps."""
        query, *entry = head_parts(self.project(layer_norm(x)), 3, self.num_heads)
        length = self.segment_length
        clock, segments = follow(
            self._turn(clock, -1),
            self.initial_state(),
            tuple(entry),
            starts,
            _write_seen,
            (self, keep),
            length,
            prepare=_seen,
        )
        clock = self._turn(clock, 1)
        cut = bands(segments.tape, (self.history + 1) * length)
        keys, values = (cut.keys(part) for part in segments.tape.entries)
        of_tokens = tuple(self._of_tokens(segments.memories))
        of_tokens, whose = segments.memories_of(cut, of_tokens, length)
        token_keys, token_values = (_flat_versions(part) for part in of_tokens)
        queries = cut.queries(query)
        scale = self._head_size() ** -0.5
        scores = jnp.einsum("nqhd,nkhd->nhqk", queries * scale, token_keys)
        near = rotary_logits(queries, keys, cut.distance)
        whose = jnp.repeat(whose, self.tokens.shape[0], axis=2)
        visible = jnp.concatenate([whose, cut.visible(segments.first)], axis=2)
        scores = jnp.concatenate([scores, near], axis=3)
        visible = jnp.broadcast_to(visible[:, None], scores.shape)
        weights = masked_softmax(scores, visible)
        count, versions = self.tokens.shape[0], token_keys.shape[1]
        record("attention", lambda: cut.dense(weights[..., versions:]))
        if count:
            record("tokens", lambda: of_vectors(cut, weights[..., :versions], count))
        values = jnp.concatenate([token_values, values], axis=1)
        read = cut.merge(jnp.einsum("nhqk,nkhd->nqhd", weights, values))
        return clock, self.finish(x, read)

    def step(
        self,
        clock: Clock,
        x: Float[Array, " width"],
        start: Bool[Array, ""],
        keep: Any,
    ) -> tuple[Clock, Float[Array, " width"]]:
        """One step: tokens are not projected, the query is (and the result)."""
        query, key, value = head_parts(self.project(layer_norm(x)), 3, self.num_heads)
        length, scale = self.segment_length, self._head_size() ** -0.5
        clock = restart(clock, self.initial_state(), start)
        key = rotate_by(key, clock.place)
        clock, visible = enter(clock, (key, value), length)
        tokens = layer_norm(clock.memory + self.identity)
        _, of_keys, of_values = head_parts(self.project.weight, 3, self.num_heads)
        asked = jnp.einsum("hd,whd->hw", query * scale, of_keys)
        scores = affine(asked, tokens.T)
        near = self._near(query * scale, clock)
        count = tokens.shape[0]
        seen = jnp.concatenate([jnp.ones(count, bool), visible])
        scores = jnp.concatenate([scores, near], axis=1)
        weights = masked_softmax(scores, jnp.broadcast_to(seen[None], scores.shape))
        found = affine(weights[:, :count], tokens)
        read = jnp.einsum("hw,whd->hd", found, of_values)
        read = read + jnp.einsum("hk,khd->hd", weights[:, count:], clock.entries[1])
        clock = leave(clock, _write, (self, keep), length)
        return clock, self.finish(x, read)

    def written(self, tokens: Memory, segment: tuple[Array, Array]) -> Memory:
        """The tokens after a segment whose keys are rotated by -1 at its last step."""
        keys, values = segment
        query, token_keys, token_values = head_parts(
            self.project(layer_norm(tokens + self.identity)), 3, self.num_heads
        )
        query = query * self._head_size() ** -0.5
        keys = jnp.concatenate([token_keys, keys])
        weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", query, keys))
        values = jnp.concatenate([token_values, values])
        read = jnp.einsum("hqk,khd->qhd", weights, values)
        return layer_norm(self.finish(tokens, read))

    def finish(
        self, x: Float[Array, "*time width"], read: Float[Array, "*time heads size"]
    ) -> Float[Array, "*time width"]:
        """The block after its attention."""
        y = x + self.out(join_heads(read))
        return y + self.feed_forward(layer_norm(y))

    def _near(self, query: Array, clock: Clock) -> Float[Array, "heads slots"]:
        """Scores of the steps: a segment further back, a segment's rotation more."""
        length, scores = self.segment_length, []
        for back in range(self.history, -1, -1):
            at = (self.history - back) * length
            keys = clock.entries[0][at : at + length]
            turned = rotate_by(query, clock.place + back * length)
            scores.append(jnp.einsum("hd,khd->hk", turned, keys))
        return jnp.concatenate(scores, axis=1)

    def _turn(self, clock: Clock, sign: int) -> Clock:
        """Rotate the keys of the state by their place in the segment, or back."""
        keys, values = clock.entries
        place = sign * (np.arange(keys.shape[0]) % self.segment_length)
        return clock._replace(entries=(rotate(keys, place), values))

    def _of_tokens(self, memories: Array) -> list[Array]:
        """Keys and values of tokens."""
        weight = self.project.weight
        inner = weight.shape[1] // 3
        seen = layer_norm(memories + self.identity[None])
        made = affine(seen, weight[:, inner:])
        return head_parts(made, 2, self.num_heads)

    def _head_size(self) -> int:
        return self.out.weight.shape[0] // self.num_heads


def _write(
    parameters: tuple[MemoryTokenLayer, Callable | None], operand: tuple[Any, Any]
) -> Memory:
    """What a completed segment, its keys rotated by place, makes of the tokens."""
    memory, (keys, values) = operand
    keys = rotate(keys, np.full(keys.shape[0], -keys.shape[0]))
    return _write_seen(parameters, (memory, (keys, values)))


def _write_seen(parameters: Any, operand: tuple[Any, Any]) -> Memory:
    """The same of keys that are rotated as tokens after the segment see them."""
    layer, keep = parameters
    memory, segment = operand
    written = layer.written(memory, segment)
    return written if keep is None else keep(memory, written)


def _seen(parameters: Any, segment: tuple[Array, Array]) -> tuple[Array, Array]:
    """A segment with keys that are not rotated, as tokens after it see it."""
    del parameters
    keys, values = segment
    return rotate(keys, np.arange(-keys.shape[0], 0)), values


def _flat_versions(x: Float[Array, "blocks versions tokens heads size"]) -> Array:
    return x.reshape(x.shape[0], x.shape[1] * x.shape[2], *x.shape[3:])


def rotate_by(
    x: Float[Array, "heads size"], place: Array
) -> Float[Array, "heads size"]:
    """`rotate`, by a place that is only known at run time."""
    half = x.shape[-1] // 2
    frequency = jnp.asarray(10_000.0 ** (-np.arange(half) / half), x.dtype)
    angle = place.astype(x.dtype) * frequency
    return rotate_pairs(x, jnp.cos(angle)[None], jnp.sin(angle)[None])


def check_tokens(
    name: str,
    num_tokens: int,
    segment_length: int,
    num_heads: int,
    head_size: int,
    expansion: int,
) -> None:
    """Refuse sizes of a `MemoryTokenLayer` without meaning.

    Raises:
        ValueError: any of them.
    """
    small = num_tokens < 0 or segment_length < 2
    if small or min(num_heads, head_size, expansion) < 1 or head_size % 2:
        raise ValueError(
            f"{name} needs num_tokens >= 0, segment_length >= 2 (with 1 every step is "
            "written and none is attended to), num_heads and expansion >= 1 and an "
            f"even head_size; got num_tokens={num_tokens}, "
            f"segment_length={segment_length}, num_heads={num_heads}, "
            f"head_size={head_size}, expansion={expansion}."
        )
