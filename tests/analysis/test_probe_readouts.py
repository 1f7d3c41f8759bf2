"""The arithmetic of a probe: readouts, splits, ranks, intervals and pairs."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from analysis import interval
from analysis.probe import _together, decoding, geometry, ridge
from analysis.probe.decisions import candidates, first_decisions, partners, swap_time
from analysis.probe.disturbing import Disturbed
from analysis.probe.playing import Steps
from analysis.probe.recording import MOST, Recording, Sketch, numbers_of
from analysis.probe.swapping import Swap, together


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def steps_of(playing: np.ndarray, **fields: Any) -> Steps:
    """Steps of which only some fields matter."""
    empty = np.zeros_like(playing)
    known = {"action": empty, "reward": empty, "ended": empty, "told": None}
    known |= {"success": None, "decision": None, **fields}
    return Steps(playing=playing, **known)


def recording_of(state: np.ndarray, hidden: Any, ages: np.ndarray) -> Recording:
    """A recording of `[time, episodes, ...]` in which every episode is as long."""
    length, episodes = ages.shape
    time, episode = np.divmod(np.arange(length * episodes), episodes)
    nothing = np.zeros((length * episodes, 1))
    rows = state.reshape(length * episodes, -1)
    value = hidden.reshape(length * episodes, *hidden.shape[2:])
    return Recording(
        episode=episode,
        time=time,
        state=rows,
        untrained=nothing,
        observed=nothing,
        norm=nothing[:, 0],
        saturated=None,
        hidden={"x": (value, ages.reshape(-1))},
        unchanging=0.0,
        spread=None,
        steps=steps_of(np.ones((length, episodes), bool)),
    )


# Readouts -----------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [1e-4, 0.3, 20.0])
def test_ridge_equals_least_squares_with_a_row_per_weight(rng, penalty):
    x, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 3))
    found = ridge.ridge(x, y, np.array([penalty]))[0]
    rows = np.sqrt(40 * penalty) * np.eye(6)
    longer = np.concatenate([x, rows]), np.concatenate([y, np.zeros((6, 3))])
    wanted = np.linalg.lstsq(*longer, rcond=None)[0]
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_more_numbers_than_rows_are_no_harm(rng):
    x, y = rng.normal(size=(10, 30)), rng.normal(size=(10, 1))
    found = ridge.ridge(x, y, np.array([1e-3]))[0]
    longer = np.concatenate([x, np.sqrt(10 * 1e-3) * np.eye(30)])
    wanted = np.linalg.lstsq(longer, np.concatenate([y, np.zeros((30, 1))]))[0]
    np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_the_penalty_is_the_one_that_reads_other_rows_best(rng):
    true = rng.normal(size=(20, 1)) * (np.arange(20) < 3)[:, None]
    x, other = rng.normal(3, 2, size=(30, 20)), rng.normal(3, 2, size=(500, 20))
    y, other_y = (a @ true + rng.normal(size=(len(a), 1)) + 7 for a in (x, other))
    found = ridge.fit(x, y, other, other_y)
    errors = []
    for penalty in ridge.PENALTIES:  # written out, on standardised numbers
        scaled = (x - x.mean(0)) / x.std(0)
        inverse = np.linalg.inv(scaled.T @ scaled + 30 * penalty * np.eye(20))
        weights = inverse @ scaled.T @ (y - y.mean())
        read = (other - x.mean(0)) / x.std(0) @ weights + y.mean()
        errors.append(np.square(read - other_y).mean())
    best = int(np.argmin(errors))
    assert 0 < best < len(errors) - 1  # a choice that matters
    assert found.penalty == ridge.PENALTIES[best]
    assert np.square(found(other) - other_y).mean() == pytest.approx(errors[best])


def test_numbers_that_vary_by_rounding_alone_are_left_out(rng):
    x = rng.normal(size=(50, 2)).astype(np.float32)
    x[:, 1] = np.float32(0.3) + 1e-8 * rng.normal(size=50)
    scaled = ridge.Scaling.of(x)(x)
    np.testing.assert_allclose(scaled.std(0), [1, 0], atol=1e-6)


def test_splits_share_no_episode():
    split = ridge.split_episodes(101, 3)
    assert sorted(np.concatenate(split)) == list(range(101))
    assert [len(part) for part in split] == [60, 20, 21]


def test_no_episode_is_both_learned_from_and_judged_on(rng):
    """Each episode has a value of its own, and a state that only names the episode."""
    episodes, length = 200, 6
    names = np.broadcast_to(
        rng.normal(size=(1, episodes, 300)), (length, episodes, 300)
    )
    values = np.broadcast_to(rng.integers(0, 2, (1, episodes)), (length, episodes))
    ages = np.full((length, episodes), 3)
    recording = recording_of(names, values, ages)
    [lag] = decoding.decode(recording, ridge.split_episodes(episodes))
    assert lag.state.value < 0.75  # a split by steps would read every one of them


# Hidden variables ---------------------------------------------------------------


def test_lags_are_ranges_that_double():
    assert list(decoding.lags(9)) == [(0, 0), (1, 1), (2, 2), (3, 4), (5, 8), (9, 16)]
    assert list(decoding.lags(0)) == [(0, 0)]


def test_what_is_held_for_two_steps_is_read_for_two_steps(rng):
    episodes, length = 300, 4
    values = np.broadcast_to(rng.integers(0, 3, (1, episodes)), (length, episodes))
    ages = np.broadcast_to(np.arange(length)[:, None], (length, episodes))
    state = np.eye(3)[values] * (ages < 2)[..., None]
    state = state + 0.1 * rng.normal(size=state.shape)
    found = decoding.decode(
        recording_of(state, values, ages), ridge.split_episodes(episodes)
    )
    assert [(x.first, x.last) for x in found] == [(0, 0), (1, 1), (2, 2), (3, 4)]
    assert [x.state.value > 0.95 for x in found] == [True, True, False, False]
    for lag in found:
        assert lag.measure == "accuracy" and lag.episodes == 60
        assert lag.observed.value == lag.chance  # nothing to read
        assert 0.2 < lag.chance < 0.5
    assert found[3].state.value < 0.55
    assert found[3].state.upper - found[3].state.lower > 0.1


def test_the_share_of_a_number_that_is_explained(rng):
    episodes = 4000
    values = rng.normal(5, 2, (1, episodes))
    state = values + rng.normal(0, 2, (1, episodes))  # half of the variance is noise
    ages = np.full((1, episodes), 7)
    recording = recording_of(state[..., None], values[..., None], ages)
    [lag] = decoding.decode(recording, ridge.split_episodes(episodes))
    assert lag.measure == "R2" and lag.chance == 0
    assert lag.state.value == pytest.approx(0.5, abs=0.05)
    assert lag.observed.value == pytest.approx(0, abs=0.01)
    assert (lag.first, lag.last) == (5, 8)


def test_entries_of_an_array_are_judged_one_by_one(rng):
    values = rng.integers(0, 4, (50, 2))
    target = decoding.target_of(values)
    read = rng.normal(size=target.outputs.shape)
    assert target.sizes == [4, 4]
    above, below = decoding.judge(target, target.outputs, read, read[0])
    for row in range(50):
        right = [
            read[row, 4 * i : 4 * i + 4].argmax() == values[row, i] for i in (0, 1)
        ]
        assert above[row] == np.mean(right)
    assert below.tolist() == [1] * 50


def test_errors_of_numbers_are_in_units_of_their_spread(rng):
    values = rng.normal(size=(60, 2)) * np.array([[1.0, 100.0]])
    target = decoding.target_of(values)
    read, usual = values + 1, values.mean(0)
    above, below = decoding.judge(target, values, read, usual)
    spread = values.std(0)
    for row in range(60):
        assert above[row] == pytest.approx(sum((1 / s) ** 2 for s in spread))
        wanted = sum(((values[row] - usual) / spread) ** 2)
        assert below[row] == pytest.approx(wanted)


def test_whole_numbers_of_many_values_are_continuous():
    assert decoding.target_of(np.arange(32)).sizes == [32]
    assert decoding.target_of(np.arange(33)).sizes is None


def test_too_few_episodes_say_nothing(rng):
    ages = np.full((1, 90), 1)
    values = rng.integers(0, 2, (1, 90))
    recording = recording_of(values[..., None], values, ages)
    assert decoding.decode(recording, ridge.split_episodes(90)) == []
    found = decoding.decode(
        recording, ridge.split_episodes(90)._replace(test=np.arange(20))
    )
    assert found == []  # the part to choose on is as small


# Ranks, bounds, norms -----------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "rank"),
    [
        (np.eye(7), 7.0),
        (np.outer(np.arange(1, 6), np.arange(1, 4)), 1.0),
        (np.diag([2.0, 1.0, 1.0]), 2**1.5),  # entropy of 1/2, 1/4, 1/4
        (np.zeros((4, 3)), 0.0),
    ],
)
def test_effective_rank_of_what_is_known(matrix, rank):
    assert geometry.effective_rank(matrix) == pytest.approx(rank)
    assert geometry.effective_rank(3 * matrix) == pytest.approx(rank)


def test_the_mean_state_is_no_direction(rng):
    line = rng.normal(size=(50, 1)) * np.ones((1, 8))
    offset = 10 * rng.normal(size=(1, 8))
    assert geometry.rank_of_states(line + offset) == pytest.approx(1)


def test_only_what_a_tanh_bounds_is_saturated():
    def memory(name, **options):
        build = memory_models.builder(name, output_size=4, **options)
        return build(3, key=jax.random.key(0), columns={"x": (0, 3)})

    near, far = jnp.full((2, 4), 0.96), jnp.array([[0.96, -0.96, 0.94, 0.0], [0.0] * 4])
    share = geometry.saturated_share
    np.testing.assert_array_equal(share(memory("gru"), far), [0.5, 0])
    np.testing.assert_array_equal(share(memory("lstm"), (far, 9 * near)), [0.5, 0])
    assert share(memory("ffm"), near) is None and share(None, near) is None
    stack = memory("gru", num_layers=2)
    np.testing.assert_array_equal(share(stack, (far, near)), [0.75, 0.5])


def test_norms_are_means_over_those_that_play_on():
    time, values = np.array([0, 0, 1, 1, 2]), np.array([1.0, 3.0, 5.0, 7.0, 100.0])
    parts = [geometry.Sums.of(values[x], time[x]) for x in ([0, 2, 4], [1, 3])]
    steps, means = geometry.by_time(parts, fewest=2)
    assert steps.tolist() == [0, 1] and means.tolist() == [2, 6]


def test_a_sketch_is_linear_and_keeps_norms(rng):
    wide = jnp.asarray(rng.normal(size=(200, 3000)), jnp.float32)
    sketch = Sketch(3000)
    small = sketch(wide)
    assert small.shape == (200, MOST) and sketch.kept == MOST
    np.testing.assert_allclose(sketch(wide[:1] + wide[1:2]), small[:1] + small[1:2],
                               rtol=1e-4, atol=1e-4)  # fmt: skip
    ratio = np.square(small).sum(1) / np.square(wide).sum(1)
    assert abs(float(ratio.mean()) - 1) < 0.02
    one = jnp.ones((1, 3000))  # all of one sign would not keep this
    assert float(jnp.square(sketch(one)).sum()) < 2 * 3000
    np.testing.assert_array_equal(Sketch(10)(wide[:, :10]), wide[:, :10])


def test_all_numbers_of_a_state_count():
    state = {
        "a": jnp.array([[1 + 2j], [3 + 4j]]),
        "b": (jnp.array([5, 6]), jnp.array([[True, False]] * 2)),
    }
    wanted = [[1, 2, 5, 1, 0], [3, 4, 6, 1, 0]]
    np.testing.assert_array_equal(numbers_of(state), wanted)


# Intervals ----------------------------------------------------------------------


def test_a_share_of_few_trials_is_uncertain_even_at_its_end():
    found = interval.of_share(10, 10)
    assert found is not None and found.value == 1 and found.upper == pytest.approx(1)
    assert found.lower == pytest.approx(10 / (10 + 1.959964**2))  # Wilson, closed form
    assert interval.of_share(0, 0) is None


def test_the_mean_of_episodes_is_a_share_where_it_is_of_success():
    always = np.ones(10)
    assert interval.of_episodes("success", always) == interval.of_share(10, 10)
    assert interval.of_episodes("return", always) == (1, 1, 1)


def test_seeds_that_agree_leave_open_what_their_trials_do():
    always = [interval.Interval(1.0, 0.9, 1.0)] * 3
    assert interval.over_seeds(always, 0.0, 1.0) == (1, 1, 1)
    found = interval.over_seeds(always, 0.0, 1.0, trials=600)
    assert found == interval.of_share(600, 600) and 0.99 < found.lower < 1
    never = [interval.Interval(0.0, 0.0, 0.1)] * 3
    assert interval.over_seeds(never, 0.0, 1.0, 600) == interval.of_share(0, 600)
    differ = [interval.Interval(x, x, x) for x in (0.2, 0.6)]
    wide = interval.over_seeds(differ, 0.0, 1.0)
    assert interval.over_seeds(differ, 0.0, 1.0, 600) == wide


def test_an_accuracy_of_one_is_not_certain(rng):
    values = np.broadcast_to(rng.integers(0, 3, (1, 300)), (1, 300))
    recording = recording_of(np.eye(3)[values], values, np.full((1, 300), 1))
    lags = decoding.decode(recording, ridge.split_episodes(300))
    assert lags[0].state == interval.of_share(60, 60)
    [both] = decoding.together([lags, lags])
    assert both.state == interval.of_share(120, 120)
    assert 0 < lags[0].observed.value < 1
    exact = recording._replace(hidden={"x": (values[0] / 7, np.full(300, 1))})
    [lag] = decoding.decode(exact, ridge.split_episodes(300))
    assert lag.measure == "R2" and lag.state.value == pytest.approx(1, abs=1e-4)
    assert lag.state.upper - lag.state.lower < 1e-3  # no share of episodes


def test_scores_of_several_seeds_count_all_their_episodes():
    part = interval.of_share(200, 200)
    assert part is not None
    seeds = [[Disturbed(0.0, 0.0, part)]] * 2
    [success] = _together(seeds, "success", 200)
    assert success.score == interval.of_share(400, 400)
    assert _together(seeds, "return", 200)[0].score == (1, 1, 1)


def test_a_swap_is_told_of_the_seeds_that_have_it():
    part = interval.of_share(40, 40)
    assert part is not None
    x = Swap("x", 2, 50, 40, part, part, "success", part, part, 0.2)
    y = x._replace(variable="y", time=4)
    first, second = together([[y], [x, y._replace(time=8)]])
    assert (first.variable, first.seeds, first.time, first.streams) == ("y", 2, 6, 100)
    assert first.as_other == first.as_own == interval.of_share(80, 80)
    assert first.before == first.after == interval.of_share(100, 100)
    assert second == x
    assert together([[], []]) == []


def test_swaps_of_several_seeds_are_shares_but_for_returns():
    parts = [interval.Interval(x, x, x) for x in (0.9, 1.0)]
    swaps = [
        [Swap("x", 2, 50, 40, part, part, measure, part, part, None)]
        for measure in ("success", "return")
        for part in parts
    ]
    for found, ends in ((swaps[:2], (0.0, 1.0)), (swaps[2:], (-math.inf, math.inf))):
        [swap] = together(found)
        assert swap.as_other == interval.over_seeds(parts, 0.0, 1.0) == swap.as_own
        assert swap.before == interval.over_seeds(parts, *ends) == swap.after
    assert interval.over_seeds(parts).upper > 1  # what a share cannot be


def test_the_bootstrap_draws_whole_episodes(rng):
    hits = rng.integers(0, 2, 400).astype(float)
    found = interval.of_ratio(50 * hits, np.full(400, 50.0))  # 50 equal steps each
    half = 1.96 * hits.std() / math.sqrt(400)
    assert found.value == pytest.approx(hits.mean())
    assert found.upper - found.lower == pytest.approx(2 * half, rel=0.15)


def test_intervals_over_seeds_are_students():
    parts = [interval.Interval(x, x - 9, x + 9) for x in (0.1, 0.2, 0.3)]
    found = interval.over_seeds(parts)
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert found == pytest.approx((0.2, 0.2 - half, 0.2 + half), abs=1e-6)
    assert interval.over_seeds(parts, 0.0, 0.4)[1:] == (0.0, 0.4)
    assert interval.over_seeds(parts[:1]) == parts[0]


# Decisions and pairs ------------------------------------------------------------


def test_the_first_decision_is_one_from_memory():
    playing = np.ones((5, 2), bool)
    playing[3:, 1] = False
    decision = np.array([[1, 0], [1, 0], [0, 0], [1, 1], [1, 1]], bool)
    age = np.array([[0, 0], [0, 1], [1, 2], [2, 3], [3, 4]])
    action = np.arange(10).reshape(5, 2)
    steps = steps_of(playing, action=action, decision=decision)
    found = first_decisions(steps, age)
    assert found.found.tolist() == [True, False]
    assert (found.time[0], found.action[0]) == (3, 6)
    assert first_decisions(steps, age, since=4).action[0] == 8
    assert swap_time(steps, found, age) == 2  # seen at 1, decided at 3
    assert not first_decisions(steps_of(playing), age).found.any()


def test_partners_differ_and_are_each_others(rng):
    able = np.arange(60) < 50
    value, kind = rng.integers(0, 2, 60), rng.integers(0, 3, 60)
    partner = partners(able, value, kind)
    assert (partner[partner] == np.arange(60)).all()
    swapped = partner != np.arange(60)
    assert not swapped[50:].any()
    assert (value[swapped] != value[partner[swapped]]).all()
    assert (kind[swapped] == kind[partner[swapped]]).all()
    for one in range(3):
        values = value[able & (kind == one)]
        ones = int(values.sum())
        pairs = min(ones, len(values) - ones, len(values) // 2)
        assert swapped[kind == one].sum() == 2 * pairs


def test_who_may_swap_decides_later():
    playing = np.ones((3, 5), bool)
    playing[1:, 0] = False
    decision = np.array([[0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 1]], bool)
    age = np.full((3, 5), 2)
    age[:, 4] = 1
    value = np.arange(15).reshape(3, 5)
    steps = steps_of(playing, decision=decision)
    able, wanted = candidates(steps, first_decisions(steps, age), 1, value, age)
    # Gone, too early, as it should be, never, on what is seen after the swap.
    assert able.tolist() == [False, False, True, False, False]
    assert wanted[2] == value[2, 2]


def test_where_none_decides_those_may_swap_who_cannot_see():
    age = np.broadcast_to(np.array([0, 1, 1]), (4, 3))
    value = np.arange(12).reshape(4, 3)
    steps = steps_of(np.ones((4, 3), bool))
    first = first_decisions(steps, age)
    assert swap_time(steps, first, age) == 2
    able, wanted = candidates(steps, first, 2, value, age)
    assert able.tolist() == [False, True, True]
    assert wanted.tolist() == value[2].tolist()
