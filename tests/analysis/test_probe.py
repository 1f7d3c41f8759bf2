"""What a probe says of a run that solved a T-maze, and of small agents."""

import argparse
import gc
import itertools
import json
import weakref
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import envs
from agents import evaluate
from agents.convert import ConfigError
from agents.keys import Use, key_for
from agents.load import load_plan
from agents.running.configuration.config import build
from agents.running.overrides import compose_config
from agents.running.trained import restore
from analysis import probe
from analysis.interval import Interval, of_share
from analysis.probe import (
    decoding,
    disturbing,
    geometry,
    picture,
    playing,
    recording,
    twins,
)
from analysis.probe.decoding import Lag, Unseen
from analysis.probe.disturbing import Disturber
from analysis.probe.playing import Steps, where_streams
from analysis.probe.recording import Recorder, features_of
from analysis.probe.ridge import split_episodes
from analysis.probe.seeds import Recorded
from analysis.probe.swapping import Swapper
from analysis.runs import read_run

EPISODES = 200
SIZES = {"episodes": 50, "limit": 5}


def built(*words: str) -> tuple[Any, Any, Any]:
    """Plan, fresh parameters and key of a small agent that needs no training."""
    plan = build(compose_config(["memory.output_size=8", *words]))
    key = jax.random.key(3)
    return plan, jax.jit(lambda key: plan.agent.init(key).params)(key), key


def redrawn(*words: str) -> tuple[Any, Any, Any]:
    """The same with large weights, so that what it does depends on what it sees."""
    plan, params, key = built(*words)
    return plan, jax.tree.map(lambda x: jax.random.normal(key, x.shape), params), key


@pytest.fixture(scope="module")
def policy():
    """A policy on a T-maze of 4."""
    return built("env.length=4", "memory=ffm")


@pytest.fixture(scope="module")
def recorded(policy):
    """What that remembers, written down."""
    plan, params, key = policy
    return Recorder(plan, **SIZES)(params, seed_key=key)


@pytest.fixture(scope="module")
def held():
    """How many recordings were held whenever another one began."""
    return []


@pytest.fixture(scope="module")
def report(solved, held):
    """The probe of a run that solved it, both seeds."""
    states, record = [], Recorder.__call__

    def watched(self, params, *, seed_key):
        gc.collect()
        held.append(sum(state() is not None for state in states))
        recording = record(self, params, seed_key=seed_key)
        states.append(weakref.ref(recording.state))
        return recording

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recorder, "__call__", watched)
        return probe.probe_run(solved, episodes=EPISODES)


# Of the whole -------------------------------------------------------------------


def test_the_goal_is_in_the_memory_at_every_lag_and_not_in_what_is_seen(report):
    lags = {lag.first: lag for lag in report.lags}
    assert sorted(lags) == [0, 1, 2, 3]
    for first, lag in lags.items():
        assert lag.variable == "goal" and lag.episodes == 80
        assert lag.state.value >= 0.95
        assert lag.observed.value == 1.0 if first == 0 else lag.observed.value < 0.75
        assert lag.chance < 0.75


def test_behaviour_follows_the_memory(report):
    [swap] = report.swaps
    assert (swap.variable, swap.time) == ("goal", 2)
    assert swap.streams > 2 * EPISODES * 0.8 and swap.differing >= 0.95 * swap.streams
    assert swap.as_other.value >= 0.95 and swap.as_own.value <= 0.05
    assert swap.before.value >= 0.95 and swap.after.value <= 0.05
    assert swap.implied <= 0.05 and swap.measure == "success"


def test_noise_is_on_all_but_the_cue(report):
    shares = [x.share for x in report.disturbed]
    assert shares == pytest.approx([0] + [0.8] * 5)  # one of five observations is a cue
    assert report.disturbed[0].score.value == pytest.approx(1)
    assert report.references == {"memoryless": 0.5, "recall": 1.0}


def test_shape_of_the_states(report):
    shape = report.geometry
    assert shape.numbers == shape.kept == 256 and shape.saturated is None
    assert 1 < shape.rank.value < 20
    assert shape.steps.tolist() == [0, 1, 2, 3, 4] and (shape.norm > 0).all()
    assert shape.unchanging < 0.5


def test_what_is_written(report, tmp_path):
    probe.write(report, tmp_path)
    read = json.loads((tmp_path / "probe.json").read_text())
    assert read["swaps"][0]["as_other"]["value"] >= 0.95
    assert read["lags"][1]["state"].keys() == {"value", "lower", "upper"}
    assert (tmp_path / "probe.png").read_bytes()[:4] == b"\x89PNG"
    events = EventAccumulator(str(tmp_path / "probe")).Reload()
    points = events.Scalars("probe/goal_accuracy/state")
    assert [point.step for point in points] == [0, 1, 2, 3]
    assert [p.value for p in points] == pytest.approx(
        [x.state.value for x in report.lags]
    )
    assert events.Tags()["images"] == ["probe"]


@pytest.mark.parametrize("longest", [128, 2000])
def test_names_of_lags_do_not_overlap(longest):
    one = Interval(0.5, 0.4, 0.6)
    lags = [
        Lag("x", "R2", first, last, 60, 0.0, one, one, one)
        for first, last in decoding.lags(longest)
    ]
    figure = Figure(figsize=(4.6, 3.3), layout="constrained")
    picture._readouts(figure.subplots(), lags)
    figure.draw_without_rendering()
    boxes = [x.get_window_extent() for x in figure.axes[0].get_xticklabels()]
    assert len(boxes) == len(lags)
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_bars_of_shares_reach_from_nought_to_one(report):
    bars = picture.draw(report).axes[-1]
    assert bars.get_ylim() == (0, 1.1) and bars.get_ylabel() == "share"


def test_every_table_is_told(report, capsys):
    from rich.console import Console

    probe.tell(report, Console(markup=False, width=300))
    told = capsys.readouterr().out
    words = ("goal", "3-4", "untrained memory", "effective rank", "as the other")
    for word in (*words, "success with own"):
        assert word in told
    assert "over seeds (Student's t)" in told


def test_seeds_are_recorded_one_after_the_other(report, held):
    assert report.described.endswith("200 episodes each, greedily")
    assert held == [0, 0]


def test_seeds_one_by_one_come_to_what_all_recordings_do(solved, report):
    plan = load_plan(solved)
    trained, recorder = restore(solved, plan), Recorder(plan, episodes=200, limit=5)
    recordings = [
        recorder(jax.tree.map(lambda x, i=i: x[i], trained.params), seed_key=key)
        for i, key in enumerate(trained.keys)
    ]
    lags = [
        decoding.decode(x, split_episodes(200, i)) for i, x in enumerate(recordings)
    ]
    assert report.lags == decoding.together(lags)
    time, norm = (
        np.concatenate([getattr(x, name) for x in recordings])
        for name in ("time", "norm")
    )
    total = np.bincount(time, weights=norm.astype(np.float64))
    found = report.geometry
    assert found.steps.tolist() == np.unique(time).tolist()
    assert found.norm.tolist() == (total / np.bincount(time)).tolist()
    ranks = [geometry.rank_of_states(x.state) for x in recordings]
    assert found.rank.value == np.mean(ranks) and found.kept == found.numbers
    assert found.unchanging == np.mean([x.unchanging for x in recordings])


def test_what_was_not_seen_yet_is_not_read_as_if_it_had_been():
    words = ("env=tmaze_active", "env.length=2", "memory=ffm")
    plan, params, key = built(*words, "evaluation.exploration=null")
    recording = Recorder(plan, episodes=300, limit=12)(params, seed_key=key)
    junction, side = recording.observed[:, :2].T
    shown, had = (junction == 0) & (side != 0), []
    known = np.zeros(300, bool)
    for episode, now in zip(recording.episode, shown, strict=True):
        known[episode] |= now
        had.append(known[episode])
    age = recording.hidden["goal"][1]
    assert ((age >= 0) == had).all() and (age[shown] == 0).all()
    steps, never = had.count(False), 300 - known.sum()
    assert steps > 0 and 0 < never < 300
    assert decoding.unseen(recording) == [("goal", steps, len(had), never)]
    split = split_episodes(300)
    for lag in decoding.decode(recording, split):
        rows = (age >= lag.first) & (age <= lag.last) & np.array(had)
        episodes = np.unique(recording.episode[rows])
        assert lag.episodes == np.isin(split.test, episodes).sum()


def test_what_is_left_out_is_told(solved, report):
    assert report.unseen == [("goal", 0, report.unseen[0].of, 0)]
    plan = load_plan(solved)
    given = restore(solved, plan), Recorder(plan, episodes=200, limit=5), []
    assert not any("seen yet" in note for note in report.notes)
    parts = [[Unseen("goal", 5, 400, 1)], [Unseen("goal", 2, 1000, 3)]]
    unseen = decoding.all_unseen(parts)
    notes = probe._notes(report._replace(unseen=unseen), *given)
    told = "goal had not been seen yet at 7 of 1,400 steps, and never was in 4 episodes"
    assert any(note.startswith(told) for note in notes)


def test_in_how_many_seeds_memories_were_swapped_is_told(solved, report):
    plan = load_plan(solved)
    given = restore(solved, plan), Recorder(plan, episodes=200, limit=5)
    empty = Recorded([], [], 1, 1.0, 1.0, 0.0, None, None, False)
    [swap] = report.swaps
    assert swap.seeds == 2
    for seeds, told in ((2, []), (1, ["goal: memories were swapped in 1 of 2 seeds"])):
        one = report._replace(swaps=[swap._replace(seeds=seeds)])
        notes = [x for x in probe._notes(one, *given, [empty] * 2) if "of 2" in x]
        assert [x.partition(";")[0] for x in notes] == told


# What cannot be probed ----------------------------------------------------------


def test_without_a_state_there_is_nothing_to_probe(blind):
    with pytest.raises(ConfigError, match=r"has no memory state to probe: none keeps"):
        probe.probe_run(blind)


def test_few_episodes_are_refused(solved):
    with pytest.raises(ConfigError, match="--episodes 99 are too few"):
        probe.probe_run(solved, episodes=99)


def test_command_line(solved):
    parser = argparse.ArgumentParser()
    probe.add_arguments(parser)
    asked = parser.parse_args([str(solved), "--seed", "7"])
    with pytest.raises(ConfigError, match="holds the seeds 0 to 1, not 7"):
        probe.main(asked)


# Without memory nothing of it matters -------------------------------------------


@pytest.fixture(scope="module")
def forgetful():
    """A policy that acts on what it sees and keeps nothing."""
    return redrawn("env=repeat_previous_easy", "memory=none")


def test_without_memory_swaps_change_nothing(forgetful):
    plan, params, key = forgetful
    swapper = Swapper(plan, episodes=50, limit=8)
    own = np.arange(50)
    alone, swapped = (
        swapper.play(params, x, 2, seed_key=key) for x in (own, np.roll(own, 1))
    )
    for a, b in zip(jax.tree.leaves(alone), jax.tree.leaves(swapped), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_action_is_chosen_on_the_true_observation(forgetful):
    plan, params, key = forgetful
    disturber = Disturber(plan, episodes=50, limit=8)
    calm, noisy = (
        disturber.play(params, x, np.float32(1), seed_key=key)[0] for x in (0.0, 100.0)
    )
    assert len(np.unique(calm.action)) > 1  # it does act on what it sees
    np.testing.assert_array_equal(calm.action, noisy.action)
    assert noisy.told[noisy.playing].any() and not calm.told.any()


# Playing ------------------------------------------------------------------------


def test_episodes_are_those_of_an_evaluation(monkeypatch):
    """Of different lengths, some beyond the limit, in several chunks."""
    monkeypatch.setattr(playing, "CHUNK", 4)
    words = ("env=mine_sweeper_easy", "memory=elman", "partial.flicker=0.3")
    plan, params, key = redrawn(*words)
    sizes = {"episodes": 200, "limit": 6}
    swapper, own = Swapper(plan, **sizes), np.arange(200)
    steps = swapper.play(params, own, 0, seed_key=key)
    played = evaluate.play_episodes(
        plan.agent,
        params,
        key=key_for(key, Use.EVALUATION),
        episodes=200,
        exploration=0.0,
        step_limit=6,
    )
    assert len(np.unique(played.episode_length)) > 3 and not played.finished.all()
    np.testing.assert_array_equal(steps.playing.sum(0), played.episode_length)
    np.testing.assert_allclose(steps.returns, played.episode_return, atol=1e-6)
    np.testing.assert_array_equal(steps.successes, played.success)
    np.testing.assert_array_equal(steps.measured("return"), steps.returns)


def test_success_is_that_of_the_last_step():
    success = np.array([[1, 0], [0, 0], [0, 1]], bool)
    playing_ = np.array([[1, 1], [0, 1], [0, 1]], bool)
    nothing = np.zeros((3, 2))
    steps = Steps(playing_, nothing, nothing + 2, nothing, success, None, None)
    assert steps.measured("success").tolist() == [1, 1]
    assert steps.returns.tolist() == [2, 6]


def test_what_is_written_down_is_what_was_remembered_then(policy, recorded):
    """Stepped through by hand, for one stream."""
    plan, params, key = policy
    keys = jax.random.split(jax.random.key(0), 1)  # greedy: not used
    act = jax.jit(
        lambda memory, inputs: plan.agent.act(
            params, memory, inputs, key=keys, exploration=0.0
        )[:2]
    )
    env, key = plan.evaluation_env, key_for(key, Use.EVALUATION)
    reset = jax.random.fold_in(key_for(key, Use.FIRST_STATES), 7)
    observation, state = env.reset(reset)
    inputs = plan.agent.first_inputs(observation[None], None, 1)
    memory = plan.agent.initial_memory(params, 1)
    mine = recorded.episode == 7
    for time in range(5):
        row = np.flatnonzero(mine & (recorded.time == time))[0]
        action, memory = act(memory, inputs)
        flat = np.concatenate([x.ravel() for x in jax.tree.leaves(memory)])
        np.testing.assert_allclose(recorded.state[row], flat, atol=1e-5)
        assert recorded.norm[row] == pytest.approx(np.linalg.norm(flat), rel=1e-5)
        value, age = recorded.hidden["goal"]
        assert (value[row], age[row]) == (state.goal, time)
        np.testing.assert_array_equal(recorded.observed[row][:2], observation)
        assert recorded.observed[row][2] == (time == 0)
        observation, state, *_ = jax.jit(env.step)(key, state, action[0])
        inputs = inputs._replace(
            observation=observation[None], start=jnp.zeros(1, bool)
        )


def test_the_untrained_memory_is_another_that_read_the_same(recorded):
    assert recorded.untrained.shape == recorded.state.shape
    assert np.abs(recorded.untrained - recorded.state).max() > 0.1
    # Before anything differs between two episodes it holds the same in both.
    goal = recorded.hidden["goal"][0]
    for side in (-1, 1):
        same = recorded.untrained[(recorded.time == 0) & (goal == side)]
        assert np.abs(same - same[:1]).max() < 1e-6


def test_spread_is_that_of_all_observations(recorded):
    wanted = recorded.observed[:, :2].std(0)
    np.testing.assert_allclose(recorded.spread, wanted, rtol=1e-4)


def test_numbers_that_never_change_are_counted():
    """Not those of streams whose episode is over."""
    plan, params, key = built("env=mine_sweeper_easy", "memory=frame_stack")
    found = Recorder(plan, episodes=20, limit=8)(params, seed_key=key)
    assert not found.steps.playing.all()
    constant = (found.state == found.state[:1]).all(0).mean()
    assert 0.01 < constant < 0.9
    assert found.unchanging == pytest.approx(constant)


def test_inputs_hold_no_previous_action_at_a_start():
    plan = build(compose_config(["agent.previous_action=true", "env.length=4"]))
    agent = plan.agent
    inputs = agent.first_inputs(jnp.ones((2, 2)), None, 2)
    inputs = inputs._replace(
        start=jnp.array([True, False]), previous_action=jnp.array([3, 3])
    )
    wanted = [[1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0, 1]]
    np.testing.assert_array_equal(features_of(agent, inputs), wanted)


def test_fewer_steps_are_written_down_where_they_would_not_fit(policy, monkeypatch):
    plan, params, key = policy
    monkeypatch.setattr(recording, "BUDGET", 50 * (2 * 256 + 3) * 2)
    recorder = Recorder(plan, **SIZES)
    assert recorder.limit == 2
    found = recorder(params, seed_key=key)
    assert found.steps.playing.shape[0] == 2 and not found.steps.ended.any()


# Noise --------------------------------------------------------------------------


def test_the_memory_reads_noise_but_its_cue_as_it_is(policy):
    plan, params, key = policy
    spread = np.full(2, 0.4, np.float32)
    for limit in (1, 2):  # the cue alone; one more
        disturber = Disturber(plan, episodes=EPISODES, limit=limit)
        calm, noisy = (
            disturber.play(params, x, spread, seed_key=key)[1] for x in (0.0, 5.0)
        )
        pairs = zip(jax.tree.leaves(calm), jax.tree.leaves(noisy), strict=True)
        distance = max(np.abs(a - b).max() for a, b in pairs)
        assert distance == 0 if limit == 1 else distance > 0.01


def test_noise_is_as_strong_as_it_says_and_stays_in_the_space():
    space = spaces.Dict(
        {
            "free": spaces.Box(-np.inf, np.inf, (2,)),
            "bound": spaces.Box(0.0, 1.0, (1,)),
            "pixel": spaces.Box(0, 255, (1,), np.uint8),
            "choice": spaces.Discrete(4, start=2),
            "choices": spaces.MultiDiscrete([3, 5]),
        }
    )
    n = 4000
    seen = {
        "free": jnp.zeros((n, 2)),
        "bound": jnp.full((n, 1), 0.5),
        "pixel": jnp.full((n, 1), 128, jnp.uint8),
        "choice": jnp.full(n, 2, jnp.int32),
        "choices": jnp.full((n, 2), 1, jnp.int32),
    }
    spread = {
        "free": np.array([1.0, 3.0], np.float32),
        "bound": np.ones(1, np.float32),
        "pixel": np.full(1, 10, np.float32),
        "choice": np.float32(1),
        "choices": np.ones(2, np.float32),
    }
    key = jax.random.key(0)
    noisy = disturbing.disturbed(space, seen, spread, jnp.float32(2.0), key=key)
    np.testing.assert_allclose(noisy["free"].std(0), [2, 6], rtol=0.05)
    assert noisy["bound"].min() == 0 and noisy["bound"].max() == 1
    assert noisy["pixel"].dtype == jnp.uint8
    assert np.std(np.asarray(noisy["pixel"], float)) == pytest.approx(20, rel=0.05)
    replaced = 1 - np.exp(-2)
    assert np.mean(noisy["choice"] != 2) == pytest.approx(0.75 * replaced, abs=0.03)
    assert set(np.asarray(noisy["choice"])) == {2, 3, 4, 5}
    found = np.mean(noisy["choices"] != 1, axis=0)
    np.testing.assert_allclose(found, replaced * np.array([2 / 3, 4 / 5]), atol=0.03)
    calm = disturbing.disturbed(space, seen, spread, jnp.float32(0.0), key=key)
    jax.tree.map(np.testing.assert_array_equal, calm, seen)


def test_that_none_succeeds_under_noise_is_not_certain(policy, monkeypatch):
    plan, params, key = policy
    monkeypatch.setattr(disturbing, "STRENGTHS", (0.0,))
    disturber = Disturber(plan, episodes=20, limit=2)  # none is over by then
    monkeypatch.setattr(disturber, "_measure", "success")
    [found] = disturber(params, np.full(2, 0.4, np.float32), seed_key=key)
    assert found.score == of_share(0, 20) and found.score.upper > 0.1


def test_a_cue_is_what_has_age_nought():
    start = jnp.array([True, False, False])
    hidden = {"a": (start, jnp.array([1, 0, 2])), "b": (start, jnp.array([1, 1, 3]))}
    assert disturbing.on_show(hidden, start).tolist() == [False, True, False]
    assert disturbing.on_show({}, start).tolist() == [True, False, False]


def test_streams_are_chosen_one_by_one():
    new, old = {"x": jnp.ones((3, 2, 2))}, {"x": jnp.zeros((3, 2, 2))}
    found = where_streams(jnp.array([True, False, True]), new, old)
    assert found["x"][:, 0, 0].tolist() == [1, 0, 1]


# Twins --------------------------------------------------------------------------

PIXELS = ("env=tmaze_active_pixels", "env.length=4")


def saved(folder, words, value, half):
    """A folder that tells the result of a run."""
    folder.mkdir()
    config = compose_config([*PIXELS, *words])
    (folder / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(config)))
    together = {"return": value, "return_lower": value - half}
    together["return_upper"] = value + half
    told = {"ended": "complete", "measure": "return", "references": {}, "seeds": []}
    (folder / "result.json").write_text(json.dumps({**told, "together": together}))
    return str(folder)


def test_gap_and_bias(tmp_path):
    seen = "env.partial_obs=false"
    run = saved(tmp_path / "run", ["memory=gru"], 0.5, 0.03)
    same = saved(tmp_path / "same", ["memory=gru", seen], 0.9, 0.04)
    none = saved(tmp_path / "none", ["memory=none", seen], 1.0, 0.0)
    plan = build(read_run(run).config)
    env, config = plan.evaluation_env, plan.config
    found = twins.compare_twin(env, config, read_run(run), [same, none])
    assert found is not None and found.told == "env.partial_obs=false"
    assert found.memoryless == (0.5, 1.0) and found.recall == (1.0, 1.0)
    assert found.gap == pytest.approx((0.4, 0.35, 0.45))
    assert found.bias == pytest.approx((-0.1, -0.14, -0.06))
    bare = twins.compare_twin(env, config, read_run(run))
    assert bare is not None and bare.gap is None and bare.bias is None
    with pytest.raises(ConfigError, match="was not trained on the fully observable"):
        twins.compare_twin(env, config, read_run(run), [run])
    other = saved(tmp_path / "other", ["memory=lstm", seen], 0.9, 0.0)
    for given in ([same, other], [same, none, none], [same, same]):
        with pytest.raises(ConfigError, match=r"this memory, gru with .* one of none"):
            twins.compare_twin(env, config, read_run(run), given)


def test_which_tasks_have_a_twin(solved):
    plain = compose_config([])
    assert twins.twin_of(envs.make("TMaze-v0"), plain) is None
    hidden = compose_config(["partial.flicker=0.2"])
    assert twins.twin_of(envs.make("TMaze-v0"), hidden) == {"partial.flicker": 0.0}
    dropped = {"partial": {"drop": ["x"], "noise": 0.0, "flicker": 0.0, "delay": 0}}
    assert twins.twin_of(envs.make("TMaze-v0"), dropped) == {"partial.drop": ()}
    pixels = envs.make("TMazeActivePixels-v0", partial_obs=False)
    assert twins.twin_of(pixels, plain) is None
    with pytest.raises(ConfigError, match="has no fully observable twin"):
        probe.probe_run(solved, twins=[str(solved)])
