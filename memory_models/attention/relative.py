"""Transformer-XL's attention: relative positions, and a ring of layer inputs."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.mechanisms.affine import affine
from memory_models.mechanisms.heads import (
    head_parts,
    join_heads,
    masked_softmax,
    split_heads,
)
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear
from memory_models.mechanisms.stores.ring_attention import (
    Ring,
    bands,
    by_distance,
    empty_ring,
    extend,
    first_in_window,
    keep,
    mix,
    sinusoids,
)


class RelativeAttention(eqx.Module):
    """Relative multi-head attention (Dai et al. 2019) over the last `window` steps.

        q_t = x_t W_q,  k_s = x_s W_k,  v_s = x_s W_v,  r_i = sinusoid(i) W_r
        logit_ts = ((q_t + u) . k_s + (q_t + v) . r_(t - s)) / sqrt(head_size)
        y_t = (sum_s softmax_s(logit_ts) v_s) W_o

    The ring keeps x, not keys and values, so that old steps are read with the weights
    of today. `sequence` projects the whole tape; `step` moves the products with W_k
    and W_v over to the query and to the result, which costs heads x window x width
    instead of window x width x width.

    Attributes:
        query: W_q.
        key_value: W_k and W_v side by side.
        place: W_r.
        out: W_o.
        content_bias: u, `[heads, head_size]`, zero at the start.
        place_bias: v, likewise.
        window: how many steps each step sees, itself included.
    """

    query: Linear
    key_value: Linear
    place: Linear
    out: Linear
    content_bias: Float[Array, "heads size"]
    place_bias: Float[Array, "heads size"]
    window: int = eqx.field(static=True)

    def __init__(
        self, width: int, heads: int, head_size: int, window: int, *, key: PRNGKeyArray
    ):
        """Draw the weights."""
        keys = jax.random.split(key, 4)
        inner = heads * head_size
        self.query = Linear(width, inner, key=keys[0], use_bias=False)
        self.key_value = Linear(width, 2 * inner, key=keys[1], use_bias=False)
        self.place = Linear(width, inner, key=keys[2], use_bias=False)
        self.out = Linear(inner, width, key=keys[3], use_bias=False)
        zeros = jnp.zeros((heads, head_size), self.out.weight.dtype)
        self.content_bias, self.place_bias = zeros, zeros
        self.window = window

    def initial_state(self) -> Ring:
        """No past step."""
        weight = self.query.weight
        return empty_ring(self.window - 1, jnp.zeros(weight.shape[0], weight.dtype))

    def sequence(
        self,
        ring: Ring,
        x: Float[Array, "time width"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time width"]]:
        """Attend from every step, in bands."""
        tape = extend(ring, self.initial_state(), x, starts)
        cut = bands(tape, self.window)
        heads = self.content_bias.shape[0]
        query = split_heads(self.query(x), heads)
        keys, values = head_parts(self.key_value(tape.entries), 2, heads)
        query = cut.queries(query)
        content = jnp.einsum(
            "nqhd,nkhd->nhqk", query + self.content_bias[None, None], cut.keys(keys)
        )
        place = jnp.einsum(
            "nqhd,whd->nhqw", query + self.place_bias[None, None], self._places()
        )
        scores = (content + by_distance(place, cut.reach)) * self._scale()
        allowed = cut.visible(first_in_window(tape, self.window))[:, None]
        weights = masked_softmax(scores, jnp.broadcast_to(allowed, scores.shape))
        record("attention", lambda: cut.dense(weights))
        read = cut.merge(mix(weights, cut.keys(values)))
        return keep(tape), self.out(join_heads(read))

    def step(
        self, ring: Ring, x: Float[Array, " width"], start: Bool[Array, ""]
    ) -> tuple[Ring, Float[Array, " width"]]:
        """Attend from one step, without projecting the ring."""
        tape = extend(ring, self.initial_state(), x[None], start[None])
        heads = self.content_bias.shape[0]
        query = split_heads(self.query(x), heads)
        of_keys, of_values = self._by_head()
        asked = jnp.einsum("hd,chd->hc", query + self.content_bias, of_keys)
        content = affine(asked, tape.entries.T)
        place = jnp.einsum("hd,whd->hw", query + self.place_bias, self._places())
        scores = (content + place[:, ::-1]) * self._scale()
        index = jnp.arange(self.window, dtype=jnp.int32)
        allowed = jnp.broadcast_to((index >= tape.begin[0])[None], scores.shape)
        found = affine(masked_softmax(scores, allowed), tape.entries)
        read = jnp.einsum("hc,chd->hd", found, of_values)
        return keep(tape), self.out(join_heads(read))

    def _by_head(self) -> list[Float[Array, "width heads size"]]:
        return head_parts(self.key_value.weight, 2, self.content_bias.shape[0])

    def _places(self) -> Float[Array, "window heads size"]:
        """The vectors r of every distance."""
        weight = self.place.weight
        table = jnp.asarray(sinusoids(self.window, weight.shape[0]), weight.dtype)
        return split_heads(self.place(table), self.content_bias.shape[0])

    def _scale(self) -> float:
        return self.content_bias.shape[1] ** -0.5


def check_window(name: str, window: int, **sizes: int) -> None:
    """Refuse a window that sees no past, and sizes below 1.

    Raises:
        ValueError: either of them.
    """
    if window < 2 or min(sizes.values()) < 1:
        given = ", ".join(f"{size}={value}" for size, value in sizes.items())
        raise ValueError(
            f"{name} needs window >= 2 (with 1 it sees no past: use 'none'), and "
            f"{', '.join(sizes)} >= 1; got window={window}, {given}."
        )
