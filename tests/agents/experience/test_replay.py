"""The ring against a plain list of everything that was ever written."""

import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.base import Inputs
from agents.experience.replay import Ring, Rows
from agents.experience.tape import Finals

BATCH, TIME = 3, 4


def rollout(number):
    """The `number`-th rollout: every row and final observation tells what it is."""
    rng = np.random.default_rng(number)
    row = number * TIME + np.arange(TIME)[:, None] + np.zeros((1, BATCH), int)
    here = jnp.asarray(100 * row + np.arange(BATCH), jnp.int32)
    terminated, truncated = rng.random((2, TIME, BATCH)) < 0.4
    rows = Rows(
        inputs=Inputs(here, jnp.asarray(rng.random((TIME, BATCH)) < 0.3)),
        action=here + 1,
        reward=(here + 2).astype(jnp.float32),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        final=None,
    )
    return rows, Finals(-here, None)


def filled(ring, rollouts, period):
    """A ring after some rollouts, and all rows `[rows, batch]` that were written."""
    rows, finals = rollout(0)
    one = jax.tree.map(lambda x: x[0], rows)
    one = one._replace(final=jnp.zeros(BATCH, jnp.int32) if ring.finals else None)
    state = jnp.zeros((BATCH, 2))
    replay = ring.empty(one, jax.tree.map(lambda x: x[0], finals), state)
    marks = ring.unmarked(BATCH)
    written = []
    for number in range(rollouts):
        rows, finals = rollout(number)
        entering = jnp.repeat(rows.reward[::period, :, None], 2, axis=-1)
        replay, marks = ring.add(
            replay, marks, rows, finals, entering, written=jnp.asarray(number * TIME)
        )
        written.append((rows, finals))
    return replay, marks, jax.tree.map(lambda *x: np.concatenate(x), *written)


@pytest.mark.parametrize("rollouts", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("period", [1, 2, 4])
def test_what_can_be_drawn_is_what_is_there_from_end_to_end(rollouts, period):
    ring = Ring(capacity=12, period=period, length=5, finals=4)
    replay, marks, (rows, _) = filled(ring, rollouts, period)
    count = rollouts * TIME
    whole = np.asarray(ring.whole(replay, jnp.asarray(count)))
    starts = {
        (start % 12) // period
        for start in range(0, count, period)
        if start >= count - 12 and start + 5 <= count
    }
    for item in range(ring.items):
        assert (whole[:, item] == (item in starts)).all()
    if not starts:
        return
    window = ring.sample(
        replay,
        marks,
        written=jnp.asarray(count),
        windows=64,
        exponent=0.0,
        key=jax.random.key(0),
    )
    window = jax.tree.map(np.asarray, window)
    seen = set()
    for i in range(64):
        stream, first = window.stream[i], window.rows.inputs.observation[0, i] // 100
        assert first >= count - 12 and first % period == 0
        at = (slice(first, first + 5), stream)
        expected = jax.tree.map(operator.itemgetter(at), rows)
        for found, wanted in zip(
            jax.tree.leaves(window.rows._replace(final=None)),
            jax.tree.leaves(expected),
            strict=True,
        ):
            np.testing.assert_array_equal(found[:, i], wanted)
        np.testing.assert_array_equal(
            window.memory_states[i], np.full(2, rows.reward[first, stream])
        )
        seen.add((stream, (first % 12) // period))
    assert seen == {(s, i) for s in range(BATCH) for i in starts}
    np.testing.assert_allclose(window.probability, 1 / len(seen), rtol=1e-5)


@pytest.mark.parametrize("room", [1, 2, 6])
def test_final_observations_are_the_newest_of_their_stream(room):
    ring = Ring(capacity=16, period=4, length=5, finals=room)
    replay, marks, (rows, finals) = filled(ring, 5, 4)
    window = ring.sample(
        replay,
        marks,
        written=jnp.asarray(20),
        windows=32,
        exponent=0.0,
        key=jax.random.key(1),
    )
    cut = rows.truncated & ~rows.terminated
    lost = 0
    for i in range(32):
        stream = int(window.stream[i])
        first = int(window.rows.inputs.observation[0, i]) // 100
        newest = np.flatnonzero(cut[:, stream])[-room:]
        for row in range(5):
            if not cut[first + row, stream]:
                assert not window.kept[row, i]
                continue
            assert window.kept[row, i] == (first + row in newest)
            lost += first + row not in newest
            if first + row in newest:
                where = jnp.full((1, 32), row)
                found = ring.finals_of(replay, window, where)
                wanted = finals.observation[first + row, stream]
                assert found.observation[0, i] == wanted
    assert lost or room == 6


def test_windows_may_begin_where_episodes_do():
    ring = Ring(capacity=16, period=1, length=5, finals=0, starts_only=True)
    replay, _, (rows, _) = filled(ring, 5, 1)
    whole = np.asarray(ring.whole(replay, jnp.asarray(20)))
    for stream in range(BATCH):
        for first in range(4, 20):
            start = rows.inputs.start[first, stream] and first + 5 <= 20
            assert whole[stream, first % 16] == start


def test_draws_follow_priorities():
    ring = Ring(capacity=16, period=4, length=5, finals=0)
    replay, marks, _ = filled(ring, 5, 4)
    assert (marks.priority == 1).all()
    whole = np.asarray(ring.whole(replay, jnp.asarray(20)))
    assert whole.sum() == 3 * BATCH
    priority = jnp.asarray(np.arange(1.0, 13.0).reshape(BATCH, 4), jnp.float32)
    window = ring.sample(
        replay,
        marks._replace(priority=priority),
        written=jnp.asarray(20),
        windows=4096,
        exponent=2.0,
        key=jax.random.key(0),
    )
    weight = np.where(whole, np.square(priority), 0)
    share = weight / weight.sum()
    counts = np.zeros((BATCH, 4))
    np.add.at(counts, (np.asarray(window.stream), np.asarray(window.item)), 1)
    # Stratified: no item is off by more than one draw at each of its two ends.
    assert np.abs(counts - 4096 * share).max() <= 2
    at = (np.asarray(window.stream), np.asarray(window.item))
    np.testing.assert_allclose(window.probability, share[at], rtol=1e-5)


def test_new_items_enter_with_the_largest_priority_seen():
    ring = Ring(capacity=16, period=4, length=5, finals=0)
    replay, marks, _ = filled(ring, 2, 4)
    marks = marks._replace(priority=marks.priority.at[1, 0].set(7.25))
    rows, finals = rollout(2)
    entering = jnp.zeros((1, BATCH, 2))
    _, marks = ring.add(replay, marks, rows, finals, entering, written=jnp.asarray(8))
    np.testing.assert_array_equal(marks.priority[:, 2], np.full(BATCH, 7.25))
    np.testing.assert_array_equal(marks.priority[:, 3], np.zeros(BATCH))
