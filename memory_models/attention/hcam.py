"""Hierarchical chunk attention memory: choose chunks of the past, then look inside."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.attention.chunks import (
    Chunks,
    Store,
    empty_store,
    follow,
    readable,
    restart,
    write,
)
from memory_models.attention.layers import FeedForward, encoded, encoder
from memory_models.attention.relative import check_window
from memory_models.base import Card, MemoryModel, Sizing
from memory_models.mechanisms.affine import affine
from memory_models.mechanisms.heads import head_parts, join_heads, masked_softmax
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.ring_attention import (
    Ring,
    empty_ring,
    extend,
    keep,
    rotary_logits,
    sinusoids,
    windowed_attention,
)
from memory_models.mechanisms.stores.slot_reads import last_of_the_first, leading

State = tuple[Ring, Store]


class HierarchicalRead(eqx.Module):
    """Attention over chunks, and inside those chosen (Lampinen et al. 2021).

        p_i = (x W_q) . (mean_i W_k) / sqrt(width)         of every readable chunk i
        w = softmax of p over the top_k largest; the distance to the largest is counted
            in steps of 1/1024, and of those within one step the newest comes first
        read = sum_i w_i attention_i(x),   attention over the steps of chunk i

    attention_i has several heads; its keys and values are made of the rows of the chunk
    plus sinusoids that count back from its last row. As in the authors' code W_q and
    W_k have no biases and attention_i has them, here on queries and outputs: one on
    keys would change no softmax, and one on values adds up with that on outputs. Where
    no chunk can be read the result is zero.

    Attributes:
        ask: W_q and, beside it, the queries of the inner attention.
        ask_bias: of these queries, `[heads * head_size]`.
        summarise: W_k.
        key_value: of the inner attention.
        out: of the inner attention, with a bias.
        top_k: how many chunks a step looks into.
        num_heads: of the inner attention.
    """

    ask: Linear
    ask_bias: Float[Array, " inner"]
    summarise: Linear
    key_value: Linear
    out: Linear
    top_k: int = eqx.field(static=True)
    num_heads: int = eqx.field(static=True)

    def __init__(self, width: int, num_heads: int, head_size: int, top_k: int, *, key):
        """Draw the weights, of variance 2 / inputs, as the authors do; no bias yet."""
        keys = jax.random.split(key, 4)
        wide = jax.nn.initializers.variance_scaling(2.0, "fan_in", "truncated_normal")
        inner = num_heads * head_size

        def layer(index: int, inputs: int, outputs: int, bias: bool = False) -> Linear:
            return Linear(
                inputs, outputs, key=keys[index], use_bias=bias, initializer=wide
            )

        self.ask = layer(0, width, width + inner)
        self.ask_bias = jnp.zeros(inner, self.ask.weight.dtype)
        self.summarise = layer(1, width, width)
        self.key_value = layer(2, width, 2 * inner)
        self.out = layer(3, inner, width, bias=True)
        self.top_k, self.num_heads = top_k, num_heads

    def sequence(
        self, x: Float[Array, "time width"], chunks: Chunks
    ) -> Float[Array, "time width"]:
        """Read from every step, by masks over all chunks."""
        width = x.shape[1]
        asked, query = self._ask(x)
        scores = affine(asked, self.summarise(chunks.means).T) * width**-0.5
        weights = self._choose(scores, chunks)
        keys, values = head_parts(
            self.key_value(self._placed(chunks.rows)), 2, self.num_heads
        )
        size = query.shape[-1]
        logits = jnp.einsum("thd,mchd->htmc", query * size**-0.5, keys)
        inner = jax.nn.softmax(logits) * weights[None, :, :, None]
        record("chunk_attention", lambda: chunks.dense(inner))
        record("chunks", lambda: chunks.chosen(weights, self.top_k))
        found = self.out(join_heads(jnp.einsum("htmc,mchd->thd", inner, values)))
        return jnp.where(chunks.visible().any(1)[:, None], found, 0.0)

    def step(
        self,
        x: Float[Array, " width"],
        store: Store,
        visible: Bool[Array, " slots"],
    ) -> Float[Array, " width"]:
        """Read from one step: gather the chosen chunks, and project none of them."""
        width = store.means.shape[1]
        asked, query = self._ask(x)
        asked = affine(asked, self.summarise.weight.T) * width**-0.5
        scores = affine(asked, store.means.T)
        weights, chosen = self._chosen(scores, visible, store.slot)
        rows = self._placed(store.rows[chosen])
        of_keys, of_values = head_parts(self.key_value.weight, 2, self.num_heads)
        size = query.shape[-1]
        inward = jnp.einsum("hd,xhd->hx", query * size**-0.5, of_keys)
        logits = jnp.einsum("hx,kcx->hkc", inward, rows)
        inner = jax.nn.softmax(logits) * weights[None, :, None]
        found = jnp.einsum("hkc,kcx->hx", inner, rows)
        found = self.out(join_heads(jnp.einsum("hx,xhd->hd", found, of_values)))
        return jnp.where(visible.any(), found, 0.0)

    def _ask(self, x: Array) -> tuple[Array, Array]:
        asked, query = jnp.split(self.ask(x), [x.shape[-1]], axis=-1)
        query = query + jnp.broadcast_to(self.ask_bias, query.shape)
        return asked, head_parts(query, 1, self.num_heads)[0]

    def _chosen(self, scores: Array, visible: Array, slot: Array) -> tuple:
        """The weights of the best chunks and where they are; 0 for invisible ones."""
        slots = scores.shape[0]
        age = (slot - 1 - jnp.arange(slots, dtype=jnp.int32)) % slots
        ranks = leading(scores, visible, age, slots)
        chosen = jax.lax.top_k(-ranks, self.top_k)[1]
        return masked_softmax(scores[chosen], visible[chosen]), chosen

    def _choose(self, scores: Array, chunks: Chunks) -> Float[Array, "time chunks"]:
        """The weight of every chunk, 0 unless it is among the best."""
        visible, count = chunks.visible(), scores.shape[1]
        age = chunks.end[:, None] - 1 - jnp.arange(count, dtype=jnp.int32)[None]
        ranks = leading(scores, visible, age, count)
        among = ranks <= last_of_the_first(ranks, visible, self.top_k)
        return masked_softmax(scores, visible & among)

    def _placed(self, rows: Float[Array, "chunks chunk width"]) -> Array:
        """The rows with sinusoids of how far they are from the chunk's end."""
        length, width = rows.shape[1:]
        table = sinusoids(length, width)[::-1].copy()
        return rows + jnp.asarray(table, rows.dtype)[None]


class HierarchicalChunkAttention(MemoryModel):
    """One layer with HCAM (Lampinen et al. 2021).

        e = inputs W_e + b_e                            (only where the sizes differ)
        n = layer_norm(e)
        a = e + local_attention(n of the last `window` steps) W_o + b_o
        b = a + hierarchical_read(layer_norm(a), the chunks completed before)
        outputs = b + feed_forward(layer_norm(b))

    The steps n of an episode fill chunks of `chunk_size`; the last `num_chunks`
    complete ones can be read (`HierarchicalRead`). A chunk that a new episode cuts
    short is dropped. The running chunk is seen by the local attention (with rotary
    positions), whose window must therefore not be shorter than a chunk.

    As in the authors' code no gradient flows into the memory: what a chunk should hold
    is learned only by what the layer does with its current input. They add a loss of
    reconstructing observations; `memory_gradient` lets gradients through instead, as
    far as the chunks were written within the sequence. Their agents stack 4 layers.

    Attributes:
        encode: W_e, b_e, or None.
        project: queries, keys and values of the local attention.
        out: W_o, b_o.
        read: the hierarchical read.
        feed_forward: the last sublayer.
        num_heads: of both attentions.
        window: steps that the local attention sees, the current one included.
        chunk_size: steps in a chunk.
        num_chunks: complete chunks that can be read.
        memory_gradient: whether gradients flow into the chunks.
    """

    is_block = True
    feeds_forward = True
    sizing = Sizing(state="chunk_size")

    encode: Linear | None
    project: Linear
    out: Linear
    read: HierarchicalRead
    feed_forward: FeedForward
    num_heads: int = eqx.field(static=True)
    window: int = eqx.field(static=True)
    chunk_size: int = eqx.field(static=True)
    num_chunks: int = eqx.field(static=True)
    memory_gradient: bool = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_chunks: int = 16,
        chunk_size: int = 16,
        top_k: int = 4,
        window: int = 32,
        num_heads: int = 4,
        head_size: int = 32,
        expansion: int = 2,
        memory_gradient: bool = False,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the layer, of its memory and of the output.
            key: for the weights.
            num_chunks: complete chunks that can be read.
            chunk_size: steps in a chunk.
            top_k: chunks that a step looks into.
            window: steps that the local attention sees, the current one included.
            num_heads: heads of the local attention and of that inside chunks.
            head_size: width of each, even.
            expansion: hidden units of the feed-forward layer, times `output_size`.
            memory_gradient: whether gradients flow into the chunks.

        Raises:
            ValueError: a size below 1, a window below 2 or shorter than a chunk, more
                chunks looked into than there are, or an odd head size.
        """
        check_window(
            "hcam",
            window,
            num_chunks=num_chunks,
            chunk_size=chunk_size,
            top_k=top_k,
            num_heads=num_heads,
            head_size=head_size,
            expansion=expansion,
        )
        if window < chunk_size or top_k > num_chunks or head_size % 2:
            raise ValueError(
                "hcam needs window >= chunk_size (the running chunk is seen by the "
                "local window only), top_k <= num_chunks and an even head_size; got "
                f"window={window}, chunk_size={chunk_size}, top_k={top_k}, "
                f"num_chunks={num_chunks}, head_size={head_size}."
            )
        keys = jax.random.split(key, 5)
        inner = num_heads * head_size
        self.encode = encoder(input_size, output_size, key=keys[0])
        self.project = Linear(output_size, 3 * inner, key=keys[1])
        self.out = Linear(inner, output_size, key=keys[2])
        self.read = HierarchicalRead(
            output_size, num_heads, head_size, top_k, key=keys[3]
        )
        self.feed_forward = FeedForward(
            output_size, expansion * output_size, key=keys[4]
        )
        self.num_heads, self.window = num_heads, window
        self.chunk_size, self.num_chunks = chunk_size, num_chunks
        self.memory_gradient = memory_gradient

    def initial_state(self) -> State:
        """No past step in the window, no chunk in the store."""
        return self._empty_ring(), self._empty_store()

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Attend locally in bands, then to chunks by masks."""
        ring, store = state
        x = encoded(self.encode, inputs)
        ring, local, normal = self._local(ring, x, starts)
        x = x + local
        store, chunks = follow(store, self._empty_store(), normal, starts)
        if not self.memory_gradient:
            rows, means = jax.lax.stop_gradient((chunks.rows, chunks.means))
            chunks = chunks._replace(rows=rows, means=means)
        x = x + self.read.sequence(layer_norm(x), chunks)
        return (ring, store), x + self.feed_forward(layer_norm(x))

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """The same for one step; the store is written in place, one row."""
        ring, store = state
        x = encoded(self.encode, input)
        ring, local, normal = self._local(ring, x[None], start[None])
        x = x + local[0]
        store = restart(store, self._empty_store(), start)
        # The write comes first, or the store would have to be copied for the read; it
        # touches no chunk that could be read before it.
        visible = readable(store)
        store = write(store, normal[0])
        seen = store if self.memory_gradient else jax.lax.stop_gradient(store)
        x = x + self.read.step(layer_norm(x), seen, visible)
        return (ring, store), x + self.feed_forward(layer_norm(x))

    def _local(self, ring: Ring, x: Array, starts: Array) -> tuple[Ring, Array, Array]:
        """The ring, what the local attention adds, and the normalised steps."""
        normal = layer_norm(x)
        query, *cached = head_parts(self.project(normal), 3, self.num_heads)
        tape = extend(ring, self._empty_ring(), tuple(cached), starts)
        read = windowed_attention(query, tape, self.window, rotary_logits)
        return keep(tape), self.out(join_heads(read)), normal

    def _empty_ring(self) -> Ring:
        weight = self.out.weight
        shape = (self.num_heads, weight.shape[0] // self.num_heads)
        zeros = jnp.zeros(shape, weight.dtype)
        return empty_ring(self.window - 1, (zeros, zeros))

    def _empty_store(self) -> Store:
        weight = self.out.weight
        return empty_store(
            self.num_chunks, self.chunk_size, weight.shape[1], weight.dtype
        )

    @property
    def card(self) -> Card:
        """What the model is."""
        chunks = (self.num_chunks + 1) * self.chunk_size
        return Card(
            paper="Lampinen et al. 2021, arXiv:2105.14039",
            mechanism="ring-cache attention",
            context=max(chunks, self.window) - 1,
            gradient_stops="nowhere"
            if self.memory_gradient
            else "at the chunks of the memory",
            context_option="num_chunks",
            summary="finds chunks of the past, then attends inside them",
            use="events of many steps, recalled long after",
        )
