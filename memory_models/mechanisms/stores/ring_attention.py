"""Mechanism C: attention over a cache of the last steps, with resets.

A `Ring` keeps what the past steps left, oldest first. A sequence reads a `Tape`: the
ring with the new steps after it. What a step may see is one number, the tape index of
the first step visible to it: the later of the beginning of its episode and of its
window. Steps are treated in `Bands`, blocks of about a window against the block and
what lies before it, so a sequence costs time x window, not time x time.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from memory_models.base import select_state
from memory_models.mechanisms.heads import masked_softmax, rotate_pairs
from memory_models.mechanisms.inspection import record

SMALLEST_BLOCK = 32
"""Smaller blocks make matrix products too small to be worth their overhead."""


class Ring(NamedTuple):
    """What past steps left.

    Attributes:
        entries: a pytree of `[past, ...]`, oldest first; zeros where there is none.
        count: how many of them, counted from the newest, belong to this episode.
    """

    entries: Any
    count: Int[Array, ""]


class Tape(NamedTuple):
    """The past and the new steps of a sequence.

    Attributes:
        entries: a pytree of `[past + time, ...]`.
        begin: `[time]`, the tape index at which each new step's episode begins, or
            the oldest of it that is left.
    """

    entries: Any
    begin: Int[Array, " time"]

    @property
    def past(self) -> int:
        """How many steps lie before the new ones."""
        return jax.tree.leaves(self.entries)[0].shape[0] - self.begin.shape[0]

    @property
    def now(self) -> Int[Array, " time"]:
        """The tape index of each new step."""
        return jnp.arange(self.begin.shape[0], dtype=jnp.int32) + self.past


def empty_ring(past: int, entry: Any) -> Ring:
    """A ring without steps; `entry` is what one step leaves, as zeros."""
    entries = jax.tree.map(lambda x: jnp.zeros((past, *x.shape), x.dtype), entry)
    return Ring(entries, jnp.zeros((), jnp.int32))


def extend(ring: Ring, initial: Ring, entries: Any, starts: Array) -> Tape:
    """The tape of a ring and the `[time, ...]` entries of new steps."""
    # Replaced before anything is computed from it, so that a nan reaches no gradient.
    ring = select_state(starts[0], initial, ring)
    past, time = jax.tree.leaves(ring.entries)[0].shape[0], starts.shape[0]
    tape = jax.tree.map(lambda *x: jnp.concatenate(x), ring.entries, entries)
    now = jnp.arange(time, dtype=jnp.int32) + past
    return Tape(tape, jax.lax.cummax(jnp.where(starts, now, past - ring.count)))


def keep(tape: Tape) -> Ring:
    """The ring that the last step leaves: zeros wherever another episode was."""
    past, total = tape.past, tape.past + tape.begin.shape[0]
    count = jnp.minimum(total - tape.begin[-1], past)
    valid = jnp.arange(past, dtype=jnp.int32) >= past - count

    def cut(x: Array) -> Array:
        last = x[total - past :]
        return jnp.where(_like(valid, last), last, jnp.zeros_like(last))

    return Ring(jax.tree.map(cut, tape.entries), count)


def first_in_window(tape: Tape, window: int) -> Int[Array, " time"]:
    """The first step visible to each, of the last `window` (itself included)."""
    return jnp.maximum(tape.begin, tape.now - (window - 1))


def _like(flags: Array, x: Array) -> Array:
    """Flags `[n]` with the rank of `x` `[n, ...]`."""
    return flags.reshape(-1, *[1] * (x.ndim - 1))


@dataclasses.dataclass(frozen=True)
class Bands:
    """How a sequence is cut into blocks of queries, each with the keys it may see.

    Attributes:
        time: new steps.
        past: steps on the tape before them.
        size: queries in a block.
        blocks: how many blocks.
        reach: keys before the first query of a block.
    """

    time: int
    past: int
    size: int
    blocks: int
    reach: int

    @property
    def distance(self) -> np.ndarray:
        """`[size, reach + size]`: steps from a key to a query of the same block."""
        steps = np.arange(self.reach + self.size)
        return self.reach + np.arange(self.size)[:, None] - steps[None]

    def queries(self, x: Array) -> Array:
        """`[time, ...]` as `[blocks, size, ...]`."""
        x = _pad(x, 0, self.blocks * self.size - self.time)
        return x.reshape(self.blocks, self.size, *x.shape[1:])

    def keys(self, tape: Array) -> Array:
        """`[past + time, ...]` as `[blocks, reach + size, ...]`."""
        surplus = self.blocks * self.size - self.time
        tape = _pad(tape[max(0, self.past - self.reach) :], 0, surplus)
        tape = _pad(tape, max(0, self.reach - self.past), 0)
        if self.blocks == 1:
            return tape[None]
        rows = tape.reshape(self.blocks + 1, self.size, *tape.shape[1:])
        return jnp.concatenate([rows[:-1], rows[1:]], axis=1)

    def merge(self, x: Array) -> Array:
        """`[blocks, size, ...]` as `[time, ...]`."""
        return x.reshape(self.blocks * self.size, *x.shape[2:])[: self.time]

    def dense(
        self, weights: Float[Array, "blocks heads queries keys"]
    ) -> Float[Array, "time heads tape"]:
        """Weights of the keys of each block as weights of the whole tape."""
        block = np.arange(self.time)[:, None] // self.size * self.size
        key = np.arange(self.past + self.time)[None] - block - self.past + self.reach
        known = (key >= 0) & (key < weights.shape[-1])
        rows = self.merge(weights.swapaxes(1, 2))
        index = jnp.asarray(np.where(known, key, 0), jnp.int32)[:, None]
        found = jnp.take_along_axis(rows, index, axis=2)
        return jnp.where(jnp.asarray(known)[:, None], found, 0.0)

    def visible(self, first: Int[Array, " time"]) -> Bool[Array, "blocks queries keys"]:
        """Which keys each query may see, given the first of them on the tape."""
        block = np.arange(self.blocks)[:, None] * self.size + self.past - self.reach
        index = block + np.arange(self.reach + self.size)
        late = (
            jnp.asarray(index, jnp.int32)[:, None, :] >= self.queries(first)[:, :, None]
        )
        return late & jnp.asarray(self.distance >= 0)[None]


def bands(tape: Tape, window: int) -> Bands:
    """Blocks for steps that see at most the last `window` steps."""
    time, past = tape.begin.shape[0], tape.past
    size = max(window - 1, SMALLEST_BLOCK)
    if time <= size:
        return Bands(time, past, time, 1, window - 1)
    return Bands(time, past, size, -(-time // size), size)


def _pad(x: Array, before: int, after: int) -> Array:
    if not before and not after:
        return x
    return jnp.pad(x, [(before, after)] + [(0, 0)] * (x.ndim - 1))


Queries = Float[Array, "blocks queries heads size"]
Keys = Float[Array, "blocks keys heads size"]
Logits = Float[Array, "blocks heads queries keys"]


def dot_logits(queries: Queries, keys: Keys, distance: np.ndarray) -> Logits:
    """No positions: `q . k / sqrt(size)`."""
    del distance
    scale = queries.shape[-1] ** -0.5
    return jnp.einsum("nqhd,nkhd->nhqk", queries * scale, keys)


def rotary_logits(queries: Queries, keys: Keys, distance: np.ndarray) -> Logits:
    """RoPE (Su et al. 2021): both rotated by their place in the block.

    Only differences of places matter, so keys are kept as they are, and no angle ever
    exceeds a block's.
    """
    place = np.arange(distance.shape[1])
    queries = rotate(queries, place[distance.shape[1] - distance.shape[0] :])
    return dot_logits(queries, rotate(keys, place), distance)


def alibi_logits(queries: Queries, keys: Keys, distance: np.ndarray) -> Logits:
    """ALiBi (Press et al. 2021): `-slope * distance`, slopes `2^(-8 h / heads)`."""
    heads = queries.shape[2]
    slopes = 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)
    bias = jnp.asarray(-slopes[:, None, None] * distance, queries.dtype)
    return dot_logits(queries, keys, distance) + bias[None]


POSITIONS = {"none": dot_logits, "rope": rotary_logits, "alibi": alibi_logits}
"""Logits that need no parameters, by the name of the option `positions`."""


def rotate(
    x: Float[Array, "*blocks places heads size"], place: np.ndarray
) -> Float[Array, "*blocks places heads size"]:
    """Rotate the pairs (i, i + size / 2) by `place * 10000^(-2 i / size)`."""
    half = x.shape[-1] // 2
    frequency = 10_000.0 ** (-np.arange(half) / half)
    angle = np.asarray(place)[:, None, None] * frequency
    shape = (*[1] * (x.ndim - 3), *angle.shape)
    cos = jnp.asarray(np.cos(angle), x.dtype).reshape(shape)
    sin = jnp.asarray(np.sin(angle), x.dtype).reshape(shape)
    return rotate_pairs(x, cos, sin)


def mix(weights: Logits, values: Keys) -> Queries:
    """The values, weighted."""
    return jnp.einsum("nhqk,nkhd->nqhd", weights, values)


def windowed_attention(
    queries: Float[Array, "time heads size"],
    tape: Tape,
    window: int,
    logits: Any = dot_logits,
) -> Float[Array, "time heads size"]:
    """Attention of every step to the last `window` steps of its episode.

    Args:
        queries: of the new steps.
        tape: its entries are (keys, values).
        window: how many steps, the step itself included.
        logits: `(queries, keys, distance) -> logits`, scaled, with its positions.
    """
    cut = bands(tape, window)
    keys, values = (cut.keys(x) for x in tape.entries)
    allowed = cut.visible(first_in_window(tape, window))[:, None]
    scores = logits(cut.queries(queries), keys, cut.distance)
    weights = masked_softmax(scores, jnp.broadcast_to(allowed, scores.shape))
    record("attention", lambda: cut.dense(weights))
    return cut.merge(mix(weights, values))


def by_distance(
    scores: Float[Array, "*batch queries window"], reach: int
) -> Float[Array, "*batch queries keys"]:
    """Scores per distance, laid out per key: key j of query i is `reach + i - j` away.

    Padding a row by one more than the keys and cutting the flat array anew shifts each
    row by one more than the row before, without a gather.
    """
    *batch, queries, window = scores.shape
    keys, before = reach + queries, reach - (window - 1)
    widths = [(0, 0)] * (len(batch) + 1) + [(before, keys + 1 - before - window)]
    rows = jnp.pad(scores[..., ::-1], widths).reshape(*batch, -1)
    return rows[..., : queries * keys].reshape(*batch, queries, keys)


def sinusoids(places: int, size: int) -> np.ndarray:
    """`[places, size]`: sines, then cosines, of `place * 10000^(-2 i / size)`."""
    frequency = 10_000.0 ** (-np.arange(0, size, 2) / size)
    angle = np.arange(places)[:, None] * frequency
    return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)[:, :size]
