"""The spatially-aware transformer: items stored and read by place."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.clock import sinusoids, whole_periods
from memory_models.mechanisms.heads import (
    head_parts,
    join_heads,
    masked_softmax,
    split_heads,
)
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.slot_reads import nearest
from memory_models.mechanisms.stores.slot_store import (
    EVICTIONS,
    Book,
    book_write,
    empty_book,
    plan,
    take_rows,
)
from memory_models.registry import Columns, column

Rows = tuple[Float[Array, "rows slot_size"], Float[Array, "rows both"]]
"""Of each item: its summary key, and its keys and values for all heads."""

State = tuple[Rows, Book]


class SpatialTransformer(MemoryModel):
    """SAT's place memory with hierarchical read (Cho et al. 2024), one layer.

        e_t = x_t W_e + b_e + place[p_t] + time[t] / sqrt(slot_size)
        z = h + read(layer_norm(h)),   h = x_t W_h + b_h            [output_size]
        y_t = z + W_2 relu(W_1 layer_norm(z))

    read(q) looks at the stored items in two stages. A place scores the mean over its
    items of (q W_sq)(e_i W_sk) / slot_size; the `top_places` highest scores go
    through a softmax. Within each of these places q attends to the items (multi-head),
    and the results are summed with the places' weights.

    p_t is where the observation key `place_key` is largest, so it must be one-hot: name
    it in memory.raw_keys. By default every place has an equal share of the slots, as in
    the paper's place memory: what was seen in one place is never lost to steps spent in
    another. The other values of `eviction` are the paper's four heuristics, of which
    its allocator picks one; here that is an option, and a visit is a step spent at a
    place. A place has one summary (in the authors' code one for every 32 of its items).
    An item is written after its step has read. Time embeddings are sinusoids of the
    step of the episode with whole periods, added on writing where the authors number
    the stored items anew for each read; places are embedded by a learned table.
    Attention of queries to each other is left out: there is one.

    Three things are not the paper's, whose places are a few rooms. `top_places` is 32
    (there 4): a place that is not chosen gets no gradient. Where and when are divided
    by sqrt(slot_size), or beside them what was seen weighs so little that a policy
    stops exploring before it has learned to look.
    Scores of places are divided by slot_size (there by its root), so that the choice
    stays wide for longer: what a policy reads while it learns to walk, the places just
    left, otherwise takes the weight from all others before they are of use.

    Attributes:
        encode: W_e.
        places: the table of places.
        enter: W_h.
        summary_query: W_sq.
        summary_key: W_sk.
        query: of the heads, side by side.
        key_value: keys, then values.
        mix: of the heads' results.
        first: W_1.
        second: W_2.
        slice: where p_t is in the features.
        num_slots: how many items are kept.
        num_heads: heads of the attention within a place.
        top_places: how many places are read.
        eviction: what makes room.
    """

    sizing = Sizing(state="num_slots")

    encode: Linear
    places: Float[Array, "places slot_size"]
    enter: Linear
    summary_query: Linear
    summary_key: Linear
    query: Linear
    key_value: Linear
    mix: Linear
    first: Linear
    second: Linear
    slice: tuple[int, int] = eqx.field(static=True)
    num_slots: int = eqx.field(static=True)
    num_heads: int = eqx.field(static=True)
    top_places: int = eqx.field(static=True)
    eviction: str = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        columns: Columns,
        place_key: str = "place",
        num_slots: int = 128,
        slot_size: int = 40,
        num_heads: int = 4,
        top_places: int = 32,
        eviction: str = "place",
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            columns: which slice of the features comes from which observation key.
            place_key: the observation key of the place, named in memory.raw_keys too.
            num_slots: how many past steps are kept.
            slot_size: width of an item.
            num_heads: heads of the attention within a place.
            top_places: how many places are read.
            eviction: what makes room: 'place' (the oldest item of the same place, each
                having an equal share), or in a memory for all places together 'fifo',
                'lifo', 'most_visited' or 'least_visited' (place first out).

        Raises:
            ValueError: a task without that key, a key that is not passed on raw, no
                such eviction, or sizes without meaning.
        """
        if eviction not in EVICTIONS:
            raise ValueError(
                f"spatial_transformer has no eviction {eviction!r}; choose one of "
                f"{', '.join(map(repr, EVICTIONS))}."
            )
        if min(num_slots, num_heads, top_places) < 1 or slot_size % (2 * num_heads):
            raise ValueError(
                "spatial_transformer needs num_slots, num_heads and top_places of at "
                "least 1, and a slot_size that is a multiple of 2 * num_heads (heads "
                "share it, and so do sines and cosines); got "
                f"num_slots={num_slots}, num_heads={num_heads}, "
                f"top_places={top_places}, slot_size={slot_size}."
            )
        self.slice = _place_slice(columns, place_key)
        keys = jax.random.split(key, 10)
        size = slot_size
        self.encode = Linear(input_size, size, key=keys[0])
        shape = (self.slice[1] - self.slice[0], size)
        normal = jax.random.normal(keys[1], shape, self.encode.weight.dtype)
        self.places = size**-0.5 * normal
        self.enter = Linear(input_size, output_size, key=keys[2])
        self.summary_query = Linear(output_size, size, key=keys[3])
        self.summary_key = Linear(size, size, key=keys[4])
        self.query = Linear(output_size, size, key=keys[5])
        self.key_value = Linear(size, 2 * size, key=keys[6])
        self.mix = Linear(size, output_size, key=keys[7])
        self.first = Linear(output_size, 2 * output_size, key=keys[8])
        self.second = Linear(2 * output_size, output_size, key=keys[9])
        self.num_slots = num_slots
        self.num_heads = num_heads
        self.top_places = top_places
        self.eviction = eviction

    def initial_state(self) -> State:
        """No items, no visits."""
        places, size = self.places.shape
        widths, dtype = (size, 2 * size), self.places.dtype
        summary, both = (jnp.zeros((self.num_slots, w), dtype) for w in widths)
        return (summary, both), empty_book(self.num_slots, places)

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Plan all evictions, then read the stored and the new items as one tape."""
        rows, book = select_state(starts[0], self.initial_state(), state)
        places = self._place(inputs)
        made = plan(book, places, starts, self.eviction, first_age=1)
        new = self._rows(inputs, places, made.clock)
        tape = jax.tree.map(lambda old, new: jnp.concatenate([old, new]), rows, new)
        outputs = self._answer(tape, made.place, made.readable, inputs)
        # Slots never used since the state was made pass on what they held: zeros.
        kept = (made.book.time >= 0) | ~starts.any()
        return (take_rows(tape, made.entry, kept), made.book), outputs

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """Read the slots, then write one row."""
        rows, book = select_state(start, self.initial_state(), state)
        place, readable = self._place(input), book.time >= 0
        outputs = self._answer(rows, book.place, readable[None], input[None])
        new = self._rows(input, place, book.clock)
        book, slot = book_write(book, place, self.eviction)
        rows = jax.tree.map(lambda all, row: all.at[slot].set(row), rows, new)
        return (rows, book), outputs[0]

    def _place(self, inputs: Float[Array, "*time features"]) -> Int[Array, "*time"]:
        start, stop = self.slice
        return jnp.argmax(inputs[..., start:stop], axis=-1).astype(jnp.int32)

    def _rows(self, inputs: Array, places: Array, clock: Array) -> tuple:
        """What is stored of an item: the input, where and when."""
        half, dtype = self.places.shape[1] // 2, self.places.dtype
        when = sinusoids(clock, whole_periods(half, 4, 10_000), dtype)
        item = self.encode(inputs) + self.places[places] + (2 * half) ** -0.5 * when
        return self.summary_key(item), self.key_value(item)

    def _answer(
        self,
        rows: Rows,
        place: Int[Array, " rows"],
        readable: Bool[Array, "time rows"],
        inputs: Float[Array, "time features"],
    ) -> Float[Array, "time outputs"]:
        """The layer: a read, then a feed-forward block."""
        h = self.enter(inputs)
        h = h + self._read(rows, place, readable, layer_norm(h))
        return h + self.second(jax.nn.relu(self.first(layer_norm(h))))

    def _read(
        self, rows: Rows, place: Array, readable: Array, queries: Array
    ) -> Float[Array, "time outputs"]:
        """Choose places, and attend within them."""
        of_places = self._choose(rows[0], place, readable, queries)
        query = split_heads(self.query(queries), self.num_heads)
        keys, values = head_parts(rows[1], 2, self.num_heads)
        scores = jnp.einsum("thd,mhd->htm", query, keys) * query.shape[-1] ** -0.5
        # A softmax within each place: the largest score and the sum of each.
        places = self.places.shape[0]
        by_row = jnp.moveaxis(jnp.where(readable[None], scores, -jnp.inf), -1, 0)
        top = jax.ops.segment_max(jax.lax.stop_gradient(by_row), place, places)[place]
        top = jnp.moveaxis(jnp.where(jnp.isfinite(top), top, 0.0), 0, -1)
        # Masked before exp too: what is not read may overflow, and its gradient be nan.
        above = jnp.where(readable[None], scores - top, 0.0)
        parts = jnp.where(readable[None], jnp.exp(above), 0.0)
        sums = parts @ jax.nn.one_hot(place, places, dtype=parts.dtype)
        shares = of_places[None] / jnp.where(sums > 0, sums, 1.0)
        weights = parts * shares[:, :, place]
        record("attention", lambda: weights.swapaxes(0, 1))
        record("places", lambda: of_places)
        found = jnp.einsum("htm,mhd->thd", weights, values)
        return self.mix(join_heads(found))

    def _choose(
        self, keys: Array, place: Array, readable: Array, queries: Array
    ) -> Float[Array, "time places"]:
        """The weight of each place: 0 for those not read or without an item."""
        places = self.places.shape[0]
        at = jax.nn.one_hot(place, places, dtype=keys.dtype)
        scores = self.summary_query(queries) @ keys.T
        scores = jnp.where(readable, scores / keys.shape[1], 0.0)
        counts = readable.astype(keys.dtype) @ at
        means = (scores @ at) / jnp.maximum(counts, 1.0)
        known = counts > 0
        best = jnp.where(known, means, -jnp.inf).max(-1, keepdims=True)
        away = 1 + jnp.where(known, best - means, 0.0)
        order = jnp.arange(places, dtype=jnp.int32)[None]
        return masked_softmax(
            means, nearest(away, known, order, self.top_places, places)
        )

    @property
    def card(self) -> Card:
        """What the model is."""
        bounded = self.eviction == "fifo"
        return Card(
            paper="Cho et al. 2024, arXiv:2402.15160",
            mechanism="slot store",
            context=self.num_slots if bounded else None,
            context_option="num_slots" if bounded else None,
            summary="items stored and read by place",
            use="tasks that observe where the agent is",
        )


def _place_slice(columns: Columns, place_key: str) -> tuple[int, int]:
    """Where the place is in the features, as it was observed."""
    raw = f"raw/{place_key}"
    if raw not in columns and place_key in columns:
        raise ValueError(
            "memory 'spatial_transformer' must see which place it is, but "
            f"{place_key!r} is only passed on encoded; add it to memory.raw_keys."
        )
    needed = raw if raw in columns else place_key
    return column(
        columns, needed, needed_by="spatial_transformer", options=("place_key",)
    )
