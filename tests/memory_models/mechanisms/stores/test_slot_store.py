"""Slot stores against lists: which items are there at each step, and where."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.base import select_state
from memory_models.mechanisms.stores import slot_store

SLOTS, PLACES, TIME = 6, 3, 40


def sequence_of(seed):
    """Items numbered from 1, their places, and starts; long and short episodes."""
    generator = np.random.default_rng(seed)
    starts = generator.random(TIME) < (0.08 if seed % 2 else 0.3)
    return np.arange(1, TIME + 1), generator.integers(0, PLACES, TIME), starts


def list_of_slots(eviction, items, places, starts):
    """The slots after every step: `(item, place)` or None, kept as a list would be."""
    slots, order, visits, history = [None] * SLOTS, [], [0] * PLACES, []
    for item, place, start in zip(items, places, starts, strict=True):
        if start:
            slots, order, visits = [None] * SLOTS, [], [0] * PLACES
        visits[place] += 1
        own = [s for s in order if slots[s][1] == place]
        if eviction == "place" and len(own) >= max(1, SLOTS // PLACES):
            slot = own[0]
            order.remove(slot)
        elif None in slots:
            slot = slots.index(None)
        else:
            seen = [visits[slots[s][1]] for s in order]
            slot = {
                "place": order[0],
                "fifo": order[0],
                "lifo": order[-1],
                "most_visited": order[seen.index(max(seen))],
                "least_visited": order[seen.index(min(seen))],
            }[eviction]
            order.remove(slot)
        slots[slot] = (item, place)
        order.append(slot)
        history.append(list(slots))
    return history


def items_in(history):
    return [{slot[0] for slot in slots if slot} for slots in history]


def in_slots(slots):
    return [slot[0] if slot else 0 for slot in slots]


_tape_of = jax.jit(slot_store.ring_tape, static_argnames="first_age")
_plan_of = jax.jit(slot_store.plan, static_argnames=("eviction", "first_age"))


def tape_of(*arguments, **options):
    return jax.tree.map(np.asarray, _tape_of(*arguments, **options))


def plan_of(*arguments, **options):
    return jax.tree.map(np.asarray, _plan_of(*arguments, **options))


@jax.jit
def ring_steps(ring, items, starts):
    def body(ring, element):
        item, start = element
        empty = jax.tree.map(jnp.zeros_like, ring)
        ring = slot_store.ring_write(select_state(start, empty, ring), item)
        view = slot_store.ring_view(ring)
        return ring, (ring, view.readable[0], view.ages[0])

    return jax.lax.scan(body, ring, (items, starts))


@functools.partial(jax.jit, static_argnums=3)
def book_steps(book, places, starts, eviction):
    def body(book, element):
        place, start = element
        empty = slot_store.empty_book(SLOTS, PLACES)
        book, slot = slot_store.book_write(
            select_state(start, empty, book), place, eviction
        )
        return book, slot

    return jax.lax.scan(body, book, (places, starts))


def arrays(seed):
    items, places, starts = sequence_of(seed)
    return (
        jnp.asarray(items, jnp.float32),
        jnp.asarray(places, jnp.int32),
        jnp.asarray(starts),
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_ring_holds_what_a_list_holds(seed):
    items, _, starts = arrays(seed)
    expected = list_of_slots("fifo", *sequence_of(seed))
    ring = slot_store.empty_ring(SLOTS, jnp.zeros(()))
    steps = ring_steps(ring, items, starts)
    final, (rings, readable, ages) = jax.tree.map(np.asarray, steps)
    for t, slots in enumerate(expected):
        np.testing.assert_array_equal(rings.rows[t], in_slots(slots))
        for slot, entry in enumerate(slots):
            assert bool(readable[t, slot]) == (entry is not None)
            assert entry is None or ages[t, slot] == t + 1 - entry[0]

    # The tape of one call, and of two with the ring carried in between.
    for cut in (TIME, 13, 1):
        carried, before = ring, []
        for part in (slice(0, cut), slice(cut, TIME)):
            if part.start == part.stop:
                continue
            view, carried = tape_of(carried, items[part], starts[part])
            rows = view.rows
            for flags, age, t in zip(
                view.readable, view.ages, range(part.start, part.stop), strict=True
            ):
                found = set(rows[flags].astype(int))
                assert found == items_in(expected)[t]
                assert len(found) == np.sum(flags)
                np.testing.assert_array_equal(age[flags], t + 1 - rows[flags])
            before.append(carried)
        for a, b in zip(carried, final, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_past_alone_is_what_was_there_one_step_before():
    items, _, starts = arrays(1)
    expected = items_in(list_of_slots("fifo", *sequence_of(1)))
    ring = slot_store.empty_ring(SLOTS, jnp.zeros(()))
    view, _ = tape_of(ring, items, starts, first_age=1)
    for t in range(TIME):
        found = set(view.rows[view.readable[t]].astype(int))
        assert found == (expected[t - 1] if t and not starts[t] else set())
        assert (view.ages[t][view.readable[t]] >= 1).all()
    for item in items[:3]:
        ring = slot_store.ring_write(ring, jnp.asarray(item))
    step = slot_store.ring_view(ring, first_age=1)
    found = np.asarray(step.readable[0]), np.asarray(step.ages[0])
    assert sorted(found[1][found[0]]) == [1, 2, 3]


@pytest.mark.parametrize("eviction", slot_store.EVICTIONS)
def test_every_eviction_does_what_a_list_does(eviction):
    for seed in range(3):
        items, places, starts = arrays(seed)
        expected = list_of_slots(eviction, *sequence_of(seed))
        book = slot_store.empty_book(SLOTS, PLACES)
        steps = book_steps(book, places, starts, eviction)
        final, slots = jax.tree.map(np.asarray, steps)
        by_step = np.zeros(SLOTS, int)
        for t in range(TIME):
            by_step = np.zeros(SLOTS, int) if starts[t] else by_step
            by_step[slots[t]] = t + 1
            np.testing.assert_array_equal(by_step, in_slots(expected[t]))

        for cut in (TIME, 13):
            carried, rows = book, np.zeros(SLOTS)
            for part in (slice(0, cut), slice(cut, TIME)):
                if part.start == part.stop:
                    continue
                made = plan_of(carried, places[part], starts[part], eviction)
                tape = np.concatenate([rows, items[part]])
                for flags, t in zip(
                    made.readable, range(part.start, part.stop), strict=True
                ):
                    kept = tape[flags].astype(int)
                    assert set(kept) == items_in(expected)[t]
                    assert len(kept) == np.sum(flags)
                    there = {e for e in expected[t] if e}
                    where = made.place[flags]
                    assert set(zip(kept, where, strict=True)) == there
                carried = made.book
                rows = np.where(carried.time >= 0, tape[made.entry], 0)
            np.testing.assert_array_equal(rows, in_slots(expected[-1]))
            for a, b in zip(carried, final, strict=True):
                np.testing.assert_array_equal(a, b)


def test_without_its_own_item_a_step_reads_what_the_step_before_left():
    items, places, starts = arrays(3)
    expected = items_in(list_of_slots("least_visited", *sequence_of(3)))
    book = slot_store.empty_book(SLOTS, PLACES)
    made = plan_of(book, places, starts, "least_visited", first_age=1)
    tape = np.concatenate([np.zeros(SLOTS), items])
    for t in range(TIME):
        found = set(tape[made.readable[t]].astype(int))
        assert found == (expected[t - 1] if t and not starts[t] else set())


def test_values_by_age_go_to_rows_and_back():
    items, _, starts = arrays(1)
    ring = slot_store.empty_ring(SLOTS, jnp.zeros(()))
    _, ring = tape_of(ring, items[:6], starts[:6])
    view, _ = _tape_of(ring, items, starts)
    by_age = np.random.default_rng(0).normal(size=(TIME, SLOTS)).astype(np.float32)
    spread = np.where(view.readable, view.spread(jnp.asarray(by_age)), 0)
    expected = np.zeros_like(spread)
    ages = np.asarray(view.ages)
    for t, row in zip(*np.nonzero(view.readable), strict=True):
        expected[t, row] = by_age[t, ages[t, row]]
    np.testing.assert_array_equal(spread, expected)
    back = np.asarray(view.gather(jnp.asarray(expected)))
    for t in range(TIME):
        there = set(ages[t][np.asarray(view.readable[t])])
        for age in range(SLOTS):
            assert back[t, age] == (by_age[t, age] if age in there else 0)

    step = slot_store.ring_view(ring)
    values = jnp.asarray(by_age[:1])
    np.testing.assert_array_equal(step.spread(values)[0], by_age[0, step.ages[0]])
    np.testing.assert_array_equal(step.gather(step.spread(values)), values)
