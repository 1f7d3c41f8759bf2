"""Memformer: memory slots that are read by cross-attention and slowly forget."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.layers import FeedForward, encoded, encoder
from memory_models.attention.tokens import rotate_by
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.affine import affine
from memory_models.mechanisms.heads import (
    head_parts,
    join_heads,
    masked_softmax,
    split_heads,
)
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm, rms_norm
from memory_models.mechanisms.stores.ring_attention import (
    Bands,
    bands,
    mix,
    rotary_logits,
    rotate,
)
from memory_models.mechanisms.stores.segment_clock import (
    Clock,
    empty_clock,
    enter,
    follow,
    leave,
    of_vectors,
    restart,
)

Slots = Float[Array, "slots width"]


class Memformer(MemoryModel):
    """One layer of Memformer (Wu et al. 2022), for acting at every step.

        x = inputs W_e + b_e                            (only where the sizes differ)
        a = x + self_attention(layer_norm(x) of the segment up to this step)
        b = a + cross_attention(layer_norm(a), slots M)
        outputs = b + feed_forward(layer_norm(b))

    After every `segment_length` steps of an episode each slot M_i attends to itself and
    to the outputs Y of the segment, to no other slot, at the temperature tau:

        w = softmax(M_i W_q [M_i; Y] W_k / (sqrt(head_size) tau))         per head
        M'_i = w_own M_i + (w_steps Y W_v) W_o         (w_own: the mean over heads)
        M_i <- (M'_i + v_i) / |M'_i + v_i|,      at first M_i = v_i / |v_i|

    Of the slot itself the value is the slot, not projected: one that attends to itself
    alone stays what it is, but for the bias v, towards which it forgets.

    The paper's are: slots read by cross-attention, and written at the end of a segment
    by attention of each slot to itself and to the segment, with the slot as its own
    value, and a temperature; that a slot is normalised after v was added, and begins as
    v; gradients through the writes (here through those of a sequence, without its
    replay of segments, which saves memory in training). Ours are:

    - One causal layer where the paper has an encoder, which sees all of a segment,
      reads and writes, and a decoder, which also sees what the encoder made of the
      segment before: here only the slots are left of that.
    - A memory of its own for every layer (`num_layers`). The paper has one, read by all
      layers of the encoder and written from the last.
    - Details set without it: w_own as a mean over heads, W_o in the write, rotary
      places, norms before the sublayers, no biases in attention, v drawn at scale 0.1.
    - Scales: slots, of length 1, are multiplied by sqrt(width) in products and in M',
      and Y is normalised, so that both are of unit scale.
    - Sizes: 8 slots and a temperature of 1, where the paper's is below 1 and its models
      of images, with heads and layers as wide as here, have 64 slots.

    Other public code has other writes: a gate between old and new slots in the authors'
    later model (MemBART), a GRU in lucidrains' `memformer`.

    Attributes:
        encode: W_e, b_e, or None.
        project: queries, keys and values of the self-attention.
        out: its output layer.
        ask: queries of the cross-attention.
        slot_key_value: its keys and values.
        slot_out: its output layer.
        feed_forward: the last sublayer.
        update: W_q, W_k and W_v of the write.
        update_out: W_o.
        bias: v, `[slots, width]`.
        num_heads: of every attention.
        segment_length: steps between two writes.
        temperature: tau.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="segment_length")

    encode: Linear | None
    project: Linear
    out: Linear
    ask: Linear
    slot_key_value: Linear
    slot_out: Linear
    feed_forward: FeedForward
    update: Linear
    update_out: Linear
    bias: Slots
    num_heads: int = eqx.field(static=True)
    segment_length: int = eqx.field(static=True)
    temperature: float = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_slots: int = 8,
        segment_length: int = 32,
        num_heads: int = 4,
        head_size: int = 32,
        temperature: float = 1.0,
        expansion: int = 2,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the layer, of its slots and of the output.
            key: for the weights.
            num_slots: memory slots.
            segment_length: steps between two writes.
            num_heads: heads of every attention.
            head_size: width of each, even.
            temperature: of the writes; below 1 they choose more sharply.
            expansion: hidden units of the feed-forward layer, times `output_size`.

        Raises:
            ValueError: a segment below 2 steps, another size below 1, an odd head size,
                or a temperature that is not above 0.
        """
        sizes = (num_slots, num_heads, head_size, expansion, segment_length - 1)
        if min(sizes) < 1 or head_size % 2 or not temperature > 0:
            raise ValueError(
                "memformer needs num_slots, num_heads and expansion >= 1, "
                "segment_length >= 2, an even head_size and temperature > 0; got "
                f"num_slots={num_slots}, num_heads={num_heads}, "
                f"expansion={expansion}, segment_length={segment_length}, "
                f"head_size={head_size}, temperature={temperature}."
            )
        keys = jax.random.split(key, 10)
        width, inner = output_size, num_heads * head_size

        def layer(index: int, inputs: int, outputs: int) -> Linear:
            return Linear(inputs, outputs, key=keys[index], use_bias=False)

        self.encode = encoder(input_size, output_size, key=keys[0])
        self.project, self.out = layer(1, width, 3 * inner), layer(2, inner, width)
        self.ask, self.slot_out = layer(3, width, inner), layer(4, inner, width)
        self.slot_key_value = layer(5, width, 2 * inner)
        self.feed_forward = FeedForward(width, expansion * width, key=keys[6])
        self.update = layer(7, width, 3 * inner)
        self.update_out = layer(8, inner, width)
        dtype = self.out.weight.dtype
        # Small beside the slots, so that they forget over many segments, not one.
        self.bias = 0.1 * jax.random.normal(keys[9], (num_slots, width), dtype)
        self.num_heads, self.segment_length = num_heads, segment_length
        self.temperature = temperature

    def initial_state(self) -> Clock:
        """The slots that forgot everything, no step. Slots are scaled when read."""
        weight = self.out.weight
        zeros = jnp.zeros((self.num_heads, self._head_size()), weight.dtype)
        entry = (jnp.zeros(weight.shape[1], weight.dtype), zeros, zeros)
        return empty_clock(self.bias, entry, self.segment_length)

    def __call__(
        self,
        state: Clock,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Clock, Float[Array, "time outputs"]]:
        """All writes one after another, then all steps at once."""
        x = encoded(self.encode, inputs)
        query, *cached = head_parts(self.project(layer_norm(x)), 3, self.num_heads)
        length = self.segment_length
        state, segments = follow(
            self._turn(state, -1),
            self.initial_state(),
            (x, *cached),
            starts,
            _write_prepared,
            self,
            length,
            prepare=_prepare,
        )
        cut = bands(segments.tape, length)
        keys, values = (cut.keys(part) for part in segments.tape.entries[1:])
        scores = rotary_logits(cut.queries(query), keys, cut.distance)
        near = cut.visible(segments.first)[:, None]
        weights = masked_softmax(scores, jnp.broadcast_to(near, scores.shape))
        record("attention", lambda: cut.dense(weights))
        x = x + self.out(join_heads(cut.merge(mix(weights, values))))
        pairs, whose = segments.memories_of(
            cut, tuple(self._of_slots(segments.memories)), length
        )
        x = x + self._cross(x, cut, pairs, whose)
        return self._turn(state, 1), x + self.feed_forward(layer_norm(x))

    def step(
        self,
        state: Clock,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Clock, Float[Array, " outputs"]]:
        """One step; the slots are not projected, the query is (and the result)."""
        x = encoded(self.encode, input)
        query, key, value = head_parts(self.project(layer_norm(x)), 3, self.num_heads)
        length, scale = self.segment_length, self._head_size() ** -0.5
        state = restart(state, self.initial_state(), start)
        entry = (x, rotate_by(key, state.place), value)
        state, visible = enter(state, entry, length)
        _, keys, values = state.entries
        turned = rotate_by(query * scale, state.place)
        scores = jnp.einsum("hd,khd->hk", turned, keys)
        weights = masked_softmax(scores, jnp.broadcast_to(visible[None], scores.shape))
        x = x + self.out(join_heads(jnp.einsum("hk,khd->hd", weights, values)))

        asked = split_heads(self.ask(layer_norm(x)), self.num_heads)
        of_keys, of_values = head_parts(self.slot_key_value.weight, 2, self.num_heads)
        slots = _scaled(state.memory)
        scores = affine(jnp.einsum("hd,whd->hw", asked * scale, of_keys), slots.T)
        found = affine(jax.nn.softmax(scores), slots)
        read = jnp.einsum("hw,whd->hd", found, of_values)
        x = x + self.slot_out(join_heads(read))
        state = leave(state, _write, self, length)
        return state, x + self.feed_forward(layer_norm(x))

    def written(self, memory: Slots, segment: Float[Array, "length width"]) -> Slots:
        """The slots after a segment of x."""
        return self.written_after(memory, self.attended(segment))

    def written_after(self, memory: Slots, x: Float[Array, "length width"]) -> Slots:
        """The slots after a segment whose steps have attended to each other."""
        outputs = self._outputs(memory, x)
        slots, steps = _scaled(memory), layer_norm(outputs)
        query, own_key, _ = head_parts(self.update(slots), 3, self.num_heads)
        _, keys, values = head_parts(self.update(steps), 3, self.num_heads)
        query = query * (self._head_size() ** -0.5 / self.temperature)
        own = (query * own_key).sum(-1).T[:, :, None]
        scores = jnp.einsum("shd,khd->hsk", query, keys)
        weights = jax.nn.softmax(jnp.concatenate([own, scores], axis=2))
        read = jnp.einsum("hsk,khd->shd", weights[:, :, 1:], values)
        kept = weights[:, :, 0].mean(0)[:, None] * slots
        return kept + self.update_out(join_heads(read)) + self.bias

    def attended(self, x: Float[Array, "length width"]) -> Float[Array, "length width"]:
        """The steps of one segment after they attended to each other."""
        length, scale = self.segment_length, self._head_size() ** -0.5
        query, keys, values = head_parts(self.project(layer_norm(x)), 3, self.num_heads)
        place = np.arange(length)
        scores = jnp.einsum(
            "qhd,khd->hqk", rotate(query * scale, place), rotate(keys, place)
        )
        allowed = jnp.asarray(np.tril(np.ones((length, length), bool)))[None]
        weights = masked_softmax(scores, jnp.broadcast_to(allowed, scores.shape))
        return x + self.out(join_heads(jnp.einsum("hqk,khd->qhd", weights, values)))

    def _outputs(self, memory: Slots, x: Float[Array, "length width"]) -> Array:
        """The outputs of one segment, as its steps computed them."""
        length = self.segment_length
        whole = Bands(length, length, length, 1, 0)
        pairs = tuple(part[None, None] for part in self._of_slots(memory))
        whose = jnp.ones((1, length, 1), bool)
        x = x + self._cross(x, whole, pairs, whose)
        return x + self.feed_forward(layer_norm(x))

    def _cross(self, x: Array, cut: Bands, pairs: tuple, whose: Array) -> Array:
        """What the steps read from the versions of the slots that are theirs."""
        query = split_heads(self.ask(layer_norm(x)), self.num_heads)
        keys, values = (
            part.reshape(part.shape[0], -1, *part.shape[3:]) for part in pairs
        )
        scale = self._head_size() ** -0.5
        scores = jnp.einsum("nqhd,nkhd->nhqk", cut.queries(query) * scale, keys)
        count = self.bias.shape[0]
        visible = jnp.repeat(whose, count, axis=2)[:, None]
        weights = masked_softmax(scores, jnp.broadcast_to(visible, scores.shape))
        record("slots", lambda: of_vectors(cut, weights, count))
        return self.slot_out(join_heads(cut.merge(mix(weights, values))))

    def _of_slots(self, memory: Array) -> list[Array]:
        """Keys and values of slots."""
        return head_parts(self.slot_key_value(_scaled(memory)), 2, self.num_heads)

    def _turn(self, clock: Clock, sign: int) -> Clock:
        """Rotate the keys of the state by their place in the segment, or back."""
        x, keys, values = clock.entries
        place = sign * np.arange(self.segment_length)
        return clock._replace(entries=(x, rotate(keys, place), values))

    def _head_size(self) -> int:
        return self.out.weight.shape[0] // self.num_heads

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Wu et al. 2022, arXiv:2010.06891",
            mechanism="segment clock",
            context=None,
            summary="slots written per segment, forgetting to a bias",
            use="long episodes; slots that do not mix",
        )


def _write(layer: Memformer, operand: tuple) -> Slots:
    memory, (x, _, _) = operand
    return layer.written(memory, x)


def _prepare(layer: Memformer, entries: tuple) -> Array:
    return layer.attended(entries[0])


def _write_prepared(layer: Memformer, operand: tuple) -> Slots:
    return layer.written_after(*operand)


def _scaled(memory: Array) -> Array:
    """Slots of length 1, times sqrt(width): at unit scale per number."""
    return rms_norm(memory, 1e-12)
