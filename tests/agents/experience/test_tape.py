"""Windows with every pattern of ends, against lists and loops in plain Python."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.base import Inputs
from agents.experience.returns import lambda_returns, n_step_returns, rests_on
from agents.experience.tape import Finals, lay_out, on_tape, rows_of_finals

ROWS = 4
ENDS = np.array(list(itertools.product(range(4), repeat=ROWS))).T
"""All patterns of going on, terminating, being truncated and both, [rows, patterns]."""
TERMINATED, TRUNCATED = (ENDS == 1) | (ENDS == 3), ENDS >= 2
CUT = TRUNCATED & ~TERMINATED


def some(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def listed(cut, kept, room):
    """Who stands where, by appending: (row, whether it is its final observation)."""
    tape = []
    for row, (is_cut, is_kept) in enumerate(zip(cut, kept, strict=True)):
        tape.append((row, False))
        if is_cut and is_kept and sum(final for _, final in tape) < room:
            tape.append((row, True))
    return [*tape, (len(cut), False)]


@pytest.mark.parametrize("room", [0, 1, 2, ROWS])
def test_every_row_and_final_observation_has_its_place(room):
    kept = np.random.default_rng(0).random(CUT.shape) < 0.8
    kept &= room > 0
    computed = lay_out(jnp.asarray(CUT), jnp.asarray(kept), room)
    layout = jax.tree.map(np.asarray, computed)
    for window in range(CUT.shape[1]):
        cut, here = CUT[:, window], kept[:, window]
        tape = listed(cut, here, room)
        for row in range(ROWS):
            assert layout.known[row, window] == (not cut[row] or (row, True) in tape)
            assert layout.place[row, window] == tape.index((row, False))
        if room == 0:
            assert layout.row is None
            continue
        for place, (row, final) in enumerate(tape):
            assert layout.row[place, window] == row
            assert layout.final[place, window] == final
            assert layout.nth[place, window] == sum(f for _, f in tape[:place])
        assert not layout.final[len(tape) :, window].any()
    if room:
        found = np.asarray(rows_of_finals(computed, room))
        for window in range(CUT.shape[1]):
            tape = listed(CUT[:, window], kept[:, window], room)
            rows = [row for row, final in tape if final]
            assert found[: len(rows), window].tolist() == rows


def test_a_final_observation_is_seen_as_the_step_that_led_there_left_it():
    windows, room = CUT.shape[1], 2
    kept = np.ones_like(CUT)
    layout = lay_out(jnp.asarray(CUT), jnp.asarray(kept), room)
    rows = 100 * np.arange(ROWS + 1)[:, None] + np.arange(windows)
    numbers = jnp.asarray(rows, jnp.float32)
    inputs = Inputs(
        observation={"x": numbers},
        start=jnp.ones((ROWS + 1, windows), bool),
        previous_action=jnp.asarray(rows + 1, jnp.int32),
        previous_reward=numbers + 2,
        action_mask=jnp.zeros((ROWS + 1, windows, 3), bool),
    )
    row = np.asarray(rows_of_finals(layout, room))
    finals = Finals(
        observation={"x": jnp.asarray(row * 100.0 + 7, jnp.float32)},
        action_mask=jnp.ones((room, windows, 3), bool),
    )
    action, reward = jnp.asarray(rows[:-1] + 3, jnp.int32), numbers[:-1] + 4
    tape = on_tape(layout, inputs, action, reward, finals)
    tape = jax.tree.map(np.asarray, tape)
    for window in range(windows):
        places = listed(CUT[:, window], kept[:, window], room)
        for place, (row, final) in enumerate(places):
            number = rows[row, window]
            at = (place, window)
            assert tape.observation["x"][at] == (row * 100 + 7 if final else number)
            assert tape.start[at] == (not final)
            assert tape.previous_action[at] == number + (3 if final else 1)
            assert tape.previous_reward[at] == number + (4 if final else 2)
            assert tape.action_mask[at].all() == final


def test_without_truncation_nothing_moves():
    inputs = Inputs(observation=jnp.ones((ROWS + 1, 3)), start=jnp.ones((ROWS + 1, 3)))
    never = jnp.zeros((ROWS, 3), bool)
    layout = lay_out(never, never, 0)
    assert on_tape(layout, inputs, None, jnp.ones((ROWS, 3)), None) is inputs
    assert layout.known.all()


def by_definition(t, rewards, following, steps, gamma):
    """R^n from its definition, and whether a row before `steps` stopped it."""
    total, discount = 0.0, 1.0
    for k in range(t, min(t + steps, ROWS)):
        total += discount * rewards[k]
        discount *= gamma
        ended = TERMINATED[k, following[1]] or TRUNCATED[k, following[1]]
        if TERMINATED[k, following[1]]:
            return total, k
        if ended or k == min(t + steps, ROWS) - 1:
            return total + discount * following[0][k], k
    raise AssertionError


@pytest.mark.parametrize("steps", [1, 2, 3, ROWS + 2])
def test_n_step_returns_are_their_definition(steps):
    reward, value = some(*ENDS.shape), some(*ENDS.shape) + 3
    known = np.random.default_rng(1).random(ENDS.shape) < 0.7
    result, sound = n_step_returns(
        reward=jnp.asarray(reward),
        next_value=jnp.asarray(value),
        terminated=jnp.asarray(TERMINATED),
        truncated=jnp.asarray(TRUNCATED),
        known=jnp.asarray(known),
        gamma=0.9,
        steps=steps,
    )
    for window in range(ENDS.shape[1]):
        for t in range(ROWS):
            expected, last = by_definition(
                t, reward[:, window], (value[:, window], window), steps, 0.9
            )
            np.testing.assert_allclose(result[t, window], expected, rtol=1e-5)
            rests = TERMINATED[last, window] or known[last, window]
            assert sound[t, window] == rests


@pytest.mark.parametrize("trace", [0.0, 0.7, 1.0])
def test_lambda_returns_mix_the_n_step_ones(trace):
    """(1 - lambda) sum_n lambda^(n-1) R^n, where the last one takes what is left."""
    reward, value = some(*ENDS.shape), some(*ENDS.shape) + 3
    result = lambda_returns(
        reward=jnp.asarray(reward),
        next_value=jnp.asarray(value),
        terminated=jnp.asarray(TERMINATED),
        truncated=jnp.asarray(TRUNCATED),
        gamma=0.9,
        trace=trace,
    )
    for window in range(ENDS.shape[1]):
        for t in range(ROWS):
            mixed, left = 0.0, 1.0
            for n in range(1, ROWS + 1):
                part, last = by_definition(
                    t, reward[:, window], (value[:, window], window), n, 0.9
                )
                stopped = last < t + n - 1 or ENDS[last, window] or last == ROWS - 1
                share = left if stopped else left * (1 - trace)
                mixed, left = mixed + share * part, left - share
                if stopped:
                    break
            np.testing.assert_allclose(result[t, window], mixed, rtol=1e-5)


def test_what_a_lambda_return_rests_on():
    known = np.random.default_rng(2).random(ENDS.shape) < 0.7
    known |= ~CUT  # all else is always known
    found = np.asarray(
        rests_on(
            jnp.asarray(known),
            terminated=jnp.asarray(TERMINATED),
            truncated=jnp.asarray(TRUNCATED),
        )
    )
    for window in range(ENDS.shape[1]):
        for t in range(ROWS):
            ends = np.flatnonzero(ENDS[t:, window])
            last = t + ends[0] if len(ends) else ROWS - 1
            assert found[t, window] == (TERMINATED | known)[last, window]
    assert 0 < found.mean() < 1
