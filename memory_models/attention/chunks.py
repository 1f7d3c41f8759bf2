"""A first-in first-out store of chunks: so many steps each, restarted at every start.

The steps of an episode fill one chunk after another. A chunk can be read from the step
after its last; the running one cannot, and is lost at a start. One slot more than can
be read holds the running chunk, so that a step writes one row in place and nothing of
the store is ever shifted: the slots form a ring. What is overwritten, the oldest chunk
and its mean, stays in the slot until then; `follow` leaves the same.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from memory_models.base import select_state
from memory_models.mechanisms.stores.rare import rare


class Store(NamedTuple):
    """Chunks in a ring of slots.

    Attributes:
        rows: `[slots, chunk, width]`.
        means: `[slots, width]`, of the rows of each complete chunk.
        slot: where the running chunk is.
        place: how many steps it has.
        complete: how many chunks before it can be read.
    """

    rows: Float[Array, "slots chunk width"]
    means: Float[Array, "slots width"]
    slot: Int[Array, ""]
    place: Int[Array, ""]
    complete: Int[Array, ""]


class Chunks(NamedTuple):
    """The chunks that the steps of a sequence may read, in order.

    Attributes:
        rows: `[chunks, chunk, width]`, oldest first.
        means: `[chunks, width]`.
        first: `[time]`, the first chunk that each step may read.
        end: `[time]`, the first that it may no longer read.
        place: how many steps of the running chunk lay before the sequence.
    """

    rows: Float[Array, "chunks chunk width"]
    means: Float[Array, "chunks width"]
    first: Int[Array, " time"]
    end: Int[Array, " time"]
    place: Int[Array, ""]

    def visible(self) -> Bool[Array, "time chunks"]:
        """Which chunks each step may read."""
        index = jnp.arange(self.rows.shape[0], dtype=jnp.int32)[None]
        return (index >= self.first[:, None]) & (index < self.end[:, None])

    @property
    def slots(self) -> int:
        """How many of the chunks are those of the store, before the sequence."""
        count, length = self.rows.shape[:2]
        return count - (length - 1 + self.end.shape[0]) // length

    def last(self) -> Int[Array, " chunks"]:
        """The last step of each chunk, counted from the first of the sequence."""
        slots = self.slots
        index = jnp.arange(self.rows.shape[0], dtype=jnp.int32)
        before = (index - slots + 1) * self.rows.shape[1] - self.place - 1
        within = (self.end[None] <= index[:, None]).sum(1, dtype=jnp.int32) - 1
        return jnp.where(index < slots, before, within)

    def dense(
        self, weights: Float[Array, "heads time chunks chunk"]
    ) -> Float[Array, "time heads tape"]:
        """Weights of rows as weights of steps: those stored before, then the new."""
        heads, time, _, length = weights.shape
        past = self.slots * length
        within = jnp.arange(1 - length, 1, dtype=jnp.int32)
        step = past + self.last()[:, None] + within[None]
        tape = jnp.zeros((time, heads, past + time), weights.dtype)
        return tape.at[:, :, step].add(weights.swapaxes(0, 1), mode="drop")

    def chosen(
        self, weights: Float[Array, "time chunks"], count: int
    ) -> Int[Array, "time {count}"]:
        """How many steps ago the chunks with most weight ended; -1 for no chunk."""
        most, index = jax.lax.top_k(weights, count)
        now = jnp.arange(weights.shape[0], dtype=jnp.int32)[:, None]
        return jnp.where(most > 0, now - self.last()[index], -1)


def empty_store(chunks: int, length: int, width: int, dtype) -> Store:
    """No chunk complete, none begun."""
    zero = jnp.zeros((), jnp.int32)
    rows = jnp.zeros((chunks + 1, length, width), dtype)
    return Store(rows, rows[:, 0], zero, zero, zero)


def restart(store: Store, initial: Store, start: Bool[Array, ""]) -> Store:
    """`initial` at a start, without copying the store at every other step."""
    return rare(_first, start, initial, store)


def _first(initial, store):
    del store
    return initial


def write(store: Store, row: Float[Array, " width"]) -> Store:
    """The store after one more step; a chunk that it completes can be read."""
    slots, length = store.rows.shape[:2]
    rows = store.rows.at[store.slot, store.place].set(row)
    done = store.place == length - 1
    mean = jnp.where(done, rows[store.slot].mean(0), store.means[store.slot])
    return Store(
        rows=rows,
        means=store.means.at[store.slot].set(mean),
        slot=jnp.where(done, (store.slot + 1) % slots, store.slot),
        place=jnp.where(done, 0, store.place + 1),
        complete=jnp.minimum(store.complete + done.astype(jnp.int32), slots - 1),
    )


def readable(store: Store) -> Bool[Array, " slots"]:
    """Which slots hold a chunk that can be read."""
    slots = store.rows.shape[0]
    age = (store.slot - jnp.arange(slots, dtype=jnp.int32)) % slots
    return (age >= 1) & (age <= store.complete)


def follow(
    store: Store,
    initial: Store,
    new: Float[Array, "time width"],
    starts: Bool[Array, " time"],
) -> tuple[Store, Chunks]:
    """The store after a sequence of steps, and what each of them may read."""
    store = select_state(starts[0], initial, store)
    slots, length = store.rows.shape[:2]
    time, limit = new.shape[0], slots - 1
    now = jnp.arange(time, dtype=jnp.int32)

    # The slots in order: what is left in the running one, then the oldest to the
    # newest. The steps in order, those of the running chunk last before the new ones.
    order = (store.slot + jnp.arange(slots, dtype=jnp.int32)) % slots
    old_rows, old_means = store.rows[order], store.means[order]
    running = jnp.roll(old_rows[0], length - store.place, axis=0)
    tape = jnp.concatenate([running, new])

    age = now - jax.lax.cummax(jnp.where(starts, now, -store.place))
    completed = age % length == length - 1
    count = jnp.cumsum(completed, dtype=jnp.int32)
    before = count - completed.astype(jnp.int32) + slots
    begin = jax.lax.cummax(jnp.where(starts, before, slots - store.complete))

    most = (length - 1 + time) // length
    ends = jnp.nonzero(completed, size=most, fill_value=0)[0].astype(jnp.int32)
    within = jnp.arange(length, dtype=jnp.int32)
    new_rows = tape[ends[:, None] + 1 + within[None]]
    rows = jnp.concatenate([old_rows, new_rows])
    means = jnp.concatenate([old_means, new_rows.mean(1)])
    first = jnp.maximum(begin, before - limit)
    chunks = Chunks(rows, means, first, before, store.place)

    end = slots + count[-1]
    at = (end - slots + jnp.arange(slots, dtype=jnp.int32)).astype(jnp.int32)
    kept = at >= begin[-1]
    started = starts.any()
    last = Store(
        rows=jnp.where(kept[:, None, None], rows[at], 0),
        means=jnp.where(kept[:, None], means[at], 0),
        slot=jnp.where(started, end - begin[-1], store.slot + count[-1]) % slots,
        place=(age[-1] + 1) % length,
        complete=jnp.minimum(end - begin[-1], limit),
    )
    return _with_running(last, store, tape, started | (count[-1] > 0)), chunks


def _with_running(last: Store, store: Store, tape: Array, anew: Array) -> Store:
    """Put the running chunk over what its slot held, and the slots into their ring."""
    slots, length = last.rows.shape[:2]
    # Rows at and after `place` are still those of the chunk that is being overwritten.
    kept = jnp.where(anew, last.rows[0], store.rows[store.slot])
    mean = jnp.where(anew, last.means[0], store.means[store.slot])
    within = jnp.arange(length, dtype=jnp.int32)
    written = jnp.roll(tape[-length:], last.place, axis=0)
    flags = (within < last.place)[:, None]
    row = jnp.where(flags, written, kept)
    order = (jnp.arange(slots, dtype=jnp.int32) - last.slot) % slots
    return last._replace(
        rows=last.rows.at[0].set(row)[order], means=last.means.at[0].set(mean)[order]
    )
