"""Mechanism E: items kept in a fixed number of slots, one written per step.

Which slot an item goes to depends on a few integers (order, place, visits), never on
what the items hold. So a sequence needs no loop over the items: all of them, stored
and new, form a tape, and every step reads the tape at once through a mask, from the
step at which an entry is written to the one that overwrites it or ends its episode.
A step works on the slots themselves: it writes one row.

`Ring` overwrites the oldest item; its tape has a closed form. `Book` keeps the metadata
for the other evictions, and `plan` scans over it. Slots out of use hold zeros, so that
nothing of another episode is left in a state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from memory_models.base import select_state
from memory_models.mechanisms.clock import one_more

EVICTIONS = ("place", "fifo", "lifo", "most_visited", "least_visited")
"""What makes room. With 'place' every place has an equal share of the slots, and an
item replaces the oldest one of its own place once that share is full. The others wait
until all slots are full: the oldest item goes, the newest, or the oldest one of the
place that was visited most or least often in this episode."""

_LARGEST = jnp.iinfo(jnp.int32).max

# First in, first out ------------------------------------------------------------


class Ring(NamedTuple):
    """Slots that are overwritten in turn.

    Attributes:
        rows: a pytree of `[slots, ...]`, one row per item.
        next: the slot that is written next.
        filled: how many slots are in use.
    """

    rows: Any
    next: Int[Array, ""]
    filled: Int[Array, ""]


def empty_ring(num_slots: int, row: Any) -> Ring:
    """No items; `row` is a pytree of arrays shaped as one item."""
    zero = jnp.zeros((), jnp.int32)
    return Ring(_zeros(num_slots, row), zero, zero)


def ring_write(ring: Ring, row: Any) -> Ring:
    """The ring with one more item, in the place of the oldest if it is full."""
    slots = _slots(ring.rows)
    rows = jax.tree.map(lambda all, new: all.at[ring.next].set(new), ring.rows, row)
    following = (ring.next + 1) % slots
    return Ring(rows, following, jnp.minimum(ring.filled + 1, slots))


class View(NamedTuple):
    """Rows to be read, and by whom; the axis `time` has length 1 for a single step.

    `spread` and `gather` are for views with `first_age` 0.

    Attributes:
        rows: a pytree of `[rows, ...]`.
        readable: which rows each step can read.
        ages: steps since a row was written (0: at this step); any number where it
            is not readable.
        newest_first: the slots by age where the rows are slots, None for a tape.
    """

    rows: Any
    readable: Bool[Array, "time rows"]
    ages: Int[Array, "time rows"]
    newest_first: Int[Array, " slots"] | None

    def spread(self, by_age: Float[Array, "time slots"]) -> Float[Array, "time rows"]:
        """From a value per age, from 0, to one per row; any number where unreadable."""
        if self.newest_first is not None:
            return by_age[:, self.ages[0]]
        # Row and age add up to slots + step: a band along the diagonal. Padded to rows
        # that are one longer than the result's, it is only a matter of reshaping.
        time, slots = by_age.shape
        padded = jnp.pad(by_age[:, ::-1], ((0, 0), (1, time)))
        return padded.reshape(-1)[: time * (slots + time)].reshape(time, slots + time)

    def gather(self, by_row: Float[Array, "time rows"]) -> Float[Array, "time slots"]:
        """From a value per row, 0 where unreadable, to one per age from 0."""
        if self.newest_first is not None:
            return by_row[:, self.newest_first]
        time, rows = by_row.shape
        padded = jnp.pad(by_row.reshape(-1), (0, time)).reshape(time, rows + 1)
        return padded[:, rows - time : 0 : -1]


def ring_view(ring: Ring, *, first_age: int = 0) -> View:
    """The slots as one step sees them.

    Args:
        ring: the slots.
        first_age: the age of the newest item: 0 if the step has written it, else 1.
    """
    slots = jnp.arange(_slots(ring.rows), dtype=jnp.int32)
    ages = (ring.next - 1 - slots) % slots.size
    readable = ages < ring.filled
    newest_first = (ring.next - 1 - slots) % slots.size
    return View(ring.rows, readable[None], ages[None] + first_age, newest_first)


def ring_tape(
    ring: Ring, rows: Any, starts: Bool[Array, " time"], *, first_age: int = 0
) -> tuple[View, Ring]:
    """All items of a sequence, and the ring that it leaves.

    Args:
        ring: the slots that the steps before left.
        rows: a pytree of `[time, ...]`, the item that each step writes.
        starts: true where a step is the first of an episode.
        first_age: the age from which on a step reads: 0 with its own item, 1 without.

    Returns:
        The stored items, oldest first, then the new ones, as each step sees them; and
        the ring after the last of them.
    """
    time, slots = starts.shape[0], _slots(ring.rows)
    empty = jax.tree.map(jnp.zeros_like, ring)
    ring = select_state(starts[0], empty, ring)
    indices = jnp.arange(slots, dtype=jnp.int32)
    oldest_first = (ring.next + indices) % slots
    tape = jax.tree.map(
        lambda kept, new: jnp.concatenate([kept[oldest_first], new]), ring.rows, rows
    )

    steps = jnp.arange(time, dtype=jnp.int32)
    ages = slots + steps[:, None] - jnp.arange(slots + time, dtype=jnp.int32)[None]
    in_use = jnp.concatenate([indices >= slots - ring.filled, jnp.ones(time, bool)])
    counted = jnp.cumsum(starts, dtype=jnp.int32)
    segment = jnp.concatenate([jnp.zeros(slots, jnp.int32), counted])
    readable = (ages >= first_age) & (ages < first_age + slots) & in_use[None]
    readable &= segment[None] == counted[:, None]

    length = jnp.sum(counted == counted[-1], dtype=jnp.int32)
    base = select_state(counted[-1] > 0, (empty.next, empty.filled), ring[1:])
    following = (base[0] + length) % slots
    filled = jnp.minimum(base[1] + length, slots)
    final_ages = (following - 1 - indices) % slots
    final = take_rows(tape, slots + time - 1 - final_ages, final_ages < filled)
    return View(tape, readable, ages, None), Ring(final, following, filled)


def take_rows(
    rows: Any, index: Int[Array, " slots"], in_use: Bool[Array, " slots"]
) -> Any:
    """The rows at `index`, zeros where not in use."""

    def take(leaf: Array) -> Array:
        flags = in_use.reshape(-1, *[1] * (leaf.ndim - 1))
        return jnp.where(flags, leaf[index], jnp.zeros((), leaf.dtype))

    return jax.tree.map(take, rows)


# Other evictions ----------------------------------------------------------------


class Book(NamedTuple):
    """What decides which item makes room.

    Attributes:
        time: the step of the episode at which a slot was written, -1 if it is empty.
        place: where.
        visits: steps spent at each place in this episode.
        clock: steps since the start of the episode.
    """

    time: Int[Array, " slots"]
    place: Int[Array, " slots"]
    visits: Int[Array, " places"]
    clock: Int[Array, ""]


def empty_book(num_slots: int, num_places: int) -> Book:
    """No items, no visits."""
    zeros = jnp.zeros(num_slots, jnp.int32)
    visits = jnp.zeros(num_places, jnp.int32)
    return Book(zeros - 1, zeros, visits, jnp.zeros((), jnp.int32))


def book_write(
    book: Book, place: Int[Array, ""], eviction: str
) -> tuple[Book, Int[Array, ""]]:
    """Enter one item: the book after it, and the slot that it goes to.

    The visit counts first. The first empty slot is taken; in a full store (with
    'place', a full share) the oldest item among those that the eviction names.

    Args:
        book: the metadata before.
        place: where the item was made.
        eviction: one of EVICTIONS.
    """
    visits = book.visits.at[place].set(one_more(book.visits[place]))
    used = book.time >= 0
    here = used & (book.place == place)
    priority = {
        "place": here.astype(jnp.int32),
        "fifo": jnp.zeros_like(book.time),
        "lifo": book.time,
        "most_visited": visits[book.place],
        "least_visited": -visits[book.place],
    }[eviction]
    priority = jnp.where(used, priority, _LARGEST)
    if eviction == "place":
        share = max(1, book.time.size // book.visits.size)
        priority = jnp.where(~used & (here.sum() >= share), -1, priority)
    first = priority == priority.max()
    slot = jnp.argmin(jnp.where(first, book.time, _LARGEST)).astype(jnp.int32)
    return (
        Book(
            book.time.at[slot].set(book.clock),
            book.place.at[slot].set(place),
            visits,
            one_more(book.clock),
        ),
        slot,
    )


class Plan(NamedTuple):
    """Which entry of the tape `[stored; new]` is where, and for how long.

    Attributes:
        readable: which entries each step can read.
        place: of each entry.
        clock: steps since the start of the episode, at each step.
        book: the metadata after the last step.
        entry: what each slot holds after the last step.
    """

    readable: Bool[Array, "time rows"]
    place: Int[Array, " rows"]
    clock: Int[Array, " time"]
    book: Book
    entry: Int[Array, " slots"]


def plan(
    book: Book,
    places: Int[Array, " time"],
    starts: Bool[Array, " time"],
    eviction: str,
    *,
    first_age: int = 0,
) -> Plan:
    """Run the evictions of a sequence, on metadata alone.

    Args:
        book: the metadata that the steps before left.
        places: where each step is.
        starts: true where a step is the first of an episode.
        eviction: one of EVICTIONS.
        first_age: the age from which on a step reads: 0 after its own item is written,
            1 before.
    """
    time, slots = starts.shape[0], book.time.shape[0]
    empty = empty_book(slots, book.visits.shape[0])
    book = select_state(starts[0], empty, book)
    nothing = slots + time

    def body(carried, element):
        book, entry = carried
        place, start, step = element
        book = select_state(start, empty, book)
        after, slot = book_write(book, place, eviction)
        evicted = jnp.where(book.time[slot] < 0, nothing, entry[slot])
        return (after, entry.at[slot].set(slots + step)), (evicted, book.clock)

    steps = jnp.arange(time, dtype=jnp.int32)
    entry = jnp.arange(slots, dtype=jnp.int32)
    (last, entry), (evicted, clock) = jax.lax.scan(
        body, (book, entry), (places, starts, steps)
    )
    born = jnp.concatenate([jnp.full(slots, -1, jnp.int32), steps])
    dead = jnp.full(slots + time, time, jnp.int32).at[evicted].set(steps, mode="drop")
    counted = jnp.cumsum(starts, dtype=jnp.int32)
    segment = jnp.concatenate([jnp.zeros(slots, jnp.int32), counted])
    in_use = jnp.concatenate([book.time >= 0, jnp.ones(time, bool)])
    now = steps[:, None] - first_age
    readable = (born[None] <= now) & (now < dead[None]) & in_use[None]
    readable &= segment[None] == counted[:, None]
    return Plan(readable, jnp.concatenate([book.place, places]), clock, last, entry)


def _slots(rows: Any) -> int:
    return jax.tree.leaves(rows)[0].shape[0]


def _zeros(num_slots: int, row: Any) -> Any:
    return jax.tree.map(lambda x: jnp.zeros((num_slots, *x.shape), x.dtype), row)
