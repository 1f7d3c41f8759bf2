"""What decisions depend on: derivatives, where they lie, and what is told of them."""

import argparse
import dataclasses
import functools
import io
import json
import types

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import agents
import envs
import memory_models
from agents.base import Inputs
from agents.convert import ConfigError
from agents.networks.distributions import PolicySpec
from agents.networks.encoder import Encoder
from analysis import saliency as command
from analysis.probe.playing import Steps
from analysis.saliency import episodes as played
from analysis.saliency import picture, report, summary
from analysis.saliency.episodes import Differentiator
from analysis.saliency.gradients import (
    Dependence,
    dependence,
    needs_decision,
    seen_in,
    summed,
    with_seen,
)
from analysis.saliency.shares import Moments, half_within, moments_of, shares_of
from envs.mazes.tmaze import TMaze

LENGTH = 4


@pytest.fixture(scope="module")
def found(solved):
    """What agents that solved a T-maze decide by."""
    return command.saliency(solved, episodes=16)


# What trained agents depend on -----------------------------------------------------


def test_a_trained_memory_decides_by_the_cue(found):
    """The cue of the T-maze is on show at step 0 only."""
    for own, even in zip(
        found.shares["contribution"], found.shares["gradient"], strict=True
    ):
        assert own.by_cue["goal"].mean() > 0.5
        assert own.by_lag[:, LENGTH - 1].mean() > 0.5
        np.testing.assert_allclose(own.by_lag.sum(1), 1, rtol=1e-5)
        assert (own.even["goal"] == 1 / LENGTH).all()
        assert (even.past > 0.1).all() and not even.dead
    assert all(x.told and x.count == 16 for x in found.moments)
    assert all((x.steps == LENGTH).all() for x in found.moments)


def test_without_memory_the_past_has_no_influence_at_all(blind):
    found = command.saliency(blind, episodes=4, seed=1)
    assert found.trained.seeds == [1]
    for measure in ("contribution", "gradient"):
        shares = found.shares[measure][0]
        assert shares.dead == found.moments[0].count == 4
        assert not shares.size.any() and not len(shares.by_lag)
    gradient = found.example.found.gradient
    assert not gradient[:, :LENGTH].any() and (gradient[:, LENGTH] > 0).all()
    assert any("exactly 0" in note for note in summary.notes(found))
    assert summary.density(found, "gradient") is None
    assert "nothing of the past" in picture.draw(found).axes[0].texts[0].get_text()


# Derivatives -----------------------------------------------------------------------


def small(name, env, memory="min_gru", **settings):
    if name == "ppo":
        settings["num_minibatches"] = 2
    return agents.make(
        name,
        env=env,
        memory=memory_models.builder(memory, output_size=4),
        num_envs=2,
        encoder_size=8,
        head_size=8,
        **settings,
    )


def weights(agent):
    """Parameters of a network that has learned nothing."""
    build = jax.jit(lambda key: eqx.filter(agent.build_network(key), eqx.is_array))
    return build(jax.random.key(0))


def sequence(agent, time, seed=0):
    """Inputs and actions of some streams that start at the first step."""
    rng = np.random.default_rng(seed)
    spaces = agent.env.observation_space, agent.env.action_space
    for space in spaces:
        space.seed(seed)
    draws = [[space.sample() for _ in range(2 * time)] for space in spaces]
    observation, action = (
        jax.tree.map(lambda *x: jnp.stack(x).reshape(time, 2, *x[0].shape), *draw)
        for draw in (jax.tree.map(jnp.asarray, draw) for draw in draws)
    )
    inputs = Inputs(
        observation=observation,
        start=jnp.zeros((time, 2), bool).at[0].set(True),
        previous_action=jnp.roll(action, 1, 0) if agent.sees_previous_action else None,
        previous_reward=(
            jnp.asarray(rng.normal(size=(time, 2))) if agent.previous_reward else None
        ),
    )
    return inputs, action


def test_derivatives_are_those_of_finite_differences(x64):
    """A slow reference: every number that a small GRU saw, moved a little each way."""
    agent = small("ppo", envs.make("TMaze-v0", length=5), memory="gru")
    params = weights(agent)
    params = jax.tree.map(
        lambda x: jnp.asarray(x, jnp.float64) * 3 if x.dtype == jnp.float32 else x,
        params,
    )
    inputs, action = sequence(agent, 5)
    observation = inputs.observation.astype(jnp.float64)
    observation += 0.3 * jax.random.normal(jax.random.key(1), observation.shape)
    inputs = inputs._replace(observation=observation)
    moments = jnp.array([[2, 4], [4, -1]], jnp.int32)
    usual = {"observation": observation.mean(1, keepdims=True)}
    found = jax.jit(
        lambda params, inputs: dependence(agent, params, inputs, action, moments, usual)
    )(params, inputs)

    @jax.jit
    def decide(observation):
        network = agent.network(params)
        state = agent.initial_memory(params, 2)
        changed = inputs._replace(observation=observation)
        return network.decision(state, changed, action)[..., 0]

    slopes = np.zeros((5, 2, 5, 2))  # of each decision, by each number seen
    for step, number in np.ndindex(5, 2):
        change = jnp.zeros_like(observation).at[step, :, number].set(1e-5)
        both = decide(observation + change), decide(observation - change)
        slopes[:, :, step, number] = (both[0] - both[1]) / 2e-5
    unusual = np.asarray(observation - usual["observation"])
    for m, stream in np.ndindex(2, 2):
        moment = int(moments[m, stream])
        if moment < 0:
            assert not found.gradient[m, stream].any()
            continue
        slope = slopes[moment, stream]
        wanted = np.linalg.norm(slope, axis=-1)
        np.testing.assert_allclose(found.gradient[m, stream], wanted, rtol=1e-6)
        wanted = np.abs((slope * unusual[:, stream]).sum(-1))
        np.testing.assert_allclose(
            found.contribution[m, stream], wanted, rtol=1e-6, atol=1e-9
        )
        assert (found.gradient[m, stream][: moment + 1] > 1e-5).all()
        assert not found.gradient[m, stream][moment + 1 :].any()


def test_the_numbers_of_a_box_action_count_together():
    weights = jnp.array([[[1.0, 2.0], [0.0, 3.0]], [[4.0, 0.0], [0.0, 0.0]]])

    class Linear:  # two numbers per action, by all steps so far
        def decision(self, state, inputs, action):
            made = jnp.einsum("tbi,tip->tbp", inputs.observation, weights)
            return jnp.cumsum(made, axis=0)

    env = types.SimpleNamespace(observation_space=gymnasium.spaces.Box(-1, 1, (2,)))
    agent = types.SimpleNamespace(
        env=env, network=lambda params: Linear(), initial_memory=lambda *_: None
    )
    seen = jnp.ones((2, 1, 2))
    inputs = Inputs(observation=seen, start=jnp.array([[True], [False]]))
    moments = jnp.array([[1], [0]], jnp.int32)
    usual = {"observation": jnp.zeros((2, 1, 2))}
    found = dependence(agent, None, inputs, None, moments, usual)
    np.testing.assert_allclose(found.gradient[:, 0], [[14**0.5, 4], [14**0.5, 0]])
    np.testing.assert_allclose(found.contribution[:, 0], [[26**0.5, 4], [26**0.5, 0]])


AGENTS = {
    "ppo": ("ProbePreviousAction-v0", {"previous_reward": True}),
    "dqn": ("ProbeCopyBit-v0", {}),
    "sac": ("ProbeContinuousAction-v0", {}),
}


@pytest.mark.parametrize("name", AGENTS)
def test_what_is_differentiated_is_what_acted(name):
    env, settings = AGENTS[name]
    agent = small(name, envs.make(env), **settings)
    params = weights(agent)
    inputs, action = sequence(agent, 3)

    @jax.jit
    def both(params, inputs, action):
        network, state = agent.network(params), agent.initial_memory(params, 2)
        decided = network.decision(
            state, with_seen(agent, inputs, seen_in(agent, inputs)), action
        )

        def step(memory, element):
            inputs, action = element
            keys = jax.random.split(jax.random.key(0), 2)
            extras = agent.act(params, memory, inputs, key=keys, exploration=0.0)[2]
            memory, policy, *_ = network.step(memory, inputs)
            if name == "dqn":
                return memory, jnp.take_along_axis(extras.values, action[:, None], 1)
            if name == "sac":
                return memory, extras.raw_action
            log_prob = policy.log_prob(action)
            return memory, (log_prob - jnp.log1p(-jnp.exp(log_prob)))[:, None]

        return decided, jax.lax.scan(step, state, (inputs, action))[1]

    decided, acted = both(params, inputs, action)
    assert np.std(acted) > 0
    np.testing.assert_allclose(decided, acted, rtol=1e-4, atol=1e-5)


def test_every_input_can_be_changed_as_the_encoder_takes_it():
    spaces = gymnasium.spaces
    space = spaces.Dict(
        {
            "z": spaces.Discrete(3, start=2),
            "pixels": spaces.Box(0, 255, (8, 8, 3), np.uint8),
            "a": spaces.MultiDiscrete([2, 3]),
            "bytes": spaces.Box(0, 255, (2,), np.uint8),
            "pair": spaces.Tuple((spaces.Box(-1, 1, (2, 2)), spaces.MultiBinary(2))),
        }
    )
    action_space = spaces.MultiDiscrete([2, 4])
    env = types.SimpleNamespace(observation_space=space, action_space=action_space)
    agent = types.SimpleNamespace(
        env=env, sees_previous_action=True, previous_reward=True
    )
    inputs, _ = sequence(agent, 3)

    @jax.jit
    def features(inputs, scales):
        encoder = Encoder(
            space,
            PolicySpec(action_space),
            size=4,
            raw_keys=("z", "bytes"),
            previous_action=True,
            previous_reward=True,
            key=jax.random.key(0),
        )
        seen = jax.tree.map(jnp.multiply, seen_in(agent, inputs), scales)
        return encoder(inputs), encoder(with_seen(agent, inputs, seen)), seen

    names = ["z", "pixels", "a", "bytes", "pair/0", "pair/1"]
    names += ["previous_action", "previous_reward"]
    ones = dict.fromkeys(names, 1.0)
    plain, same, seen = features(inputs, ones)
    np.testing.assert_allclose(plain, same, rtol=1e-5, atol=1e-6)
    assert set(seen) == set(names)
    assert seen["z"].shape == (3, 2, 3) and seen["a"].shape == (3, 2, 5)
    assert seen["pixels"].max() <= 1 and seen["bytes"].max() <= 1
    for name in names:
        changed = features(inputs, ones | {name: 0.5})[1]
        assert np.abs(changed - plain).max() > 1e-3, name


def test_standardised_numbers_count_in_standard_deviations():
    agent = small("ppo", envs.make("TMaze-v0", length=2), normalize_observation=True)
    params = weights(agent)
    inputs, action = sequence(agent, 3)
    moments = jnp.full((1, 2), 2, jnp.int32)

    @jax.jit
    def norms(params, inputs):
        usual = {"observation": inputs.observation}
        return dependence(agent, params, inputs, action, moments, usual).gradient

    def with_scale(scale):
        statistics = params.statistics
        known = statistics.observation["observation"]
        known = dataclasses.replace(known, variance=known.variance * scale**2)
        changed = dataclasses.replace(statistics, observation={"observation": known})
        given = inputs._replace(observation=inputs.observation * scale)
        return norms(dataclasses.replace(params, statistics=changed), given)

    np.testing.assert_allclose(with_scale(1.0), with_scale(4.0), rtol=1e-4)


def test_log_odds_do_not_vanish_and_a_forced_action_is_no_decision():
    spec = PolicySpec(gymnasium.spaces.Discrete(3))
    all_, one = jnp.ones(3, bool), jnp.array([True, False, False])

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0))
    @jax.value_and_grad
    def odds(logits, mask):
        policy = spec.distribution(logits, jnp.zeros(0), mask)
        return policy.decision(jnp.zeros((), jnp.int32))[0]

    logits = jnp.array([[1.0, 0.0, -1.0], [30.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    values, slopes = odds(logits, jnp.stack([all_, all_, one]))
    probability = np.exp(1) / np.exp([1.0, 0.0, -1.0]).sum()
    wanted = [np.log(probability / (1 - probability)), 30 - np.log(2), 0]
    np.testing.assert_allclose(values, wanted, rtol=1e-5)
    np.testing.assert_allclose(slopes[:, 0], [1, 1, 0], rtol=1e-5)
    assert not slopes[2].any()


def test_a_network_that_does_not_tell_what_it_decides_by_is_refused():
    with pytest.raises(ConfigError, match="has no decision"):
        needs_decision(types.SimpleNamespace())


# Groups of episodes ----------------------------------------------------------------


def steps_of(inputs, action, playing):
    return Steps(
        playing=np.asarray(playing),
        action=np.asarray(action),
        reward=np.zeros(playing.shape),
        ended=np.zeros(playing.shape, bool),
        success=None,
        decision=None,
        told={"inputs": jax.tree.map(np.asarray, inputs)},
    )


def test_groups_of_episodes_give_what_all_give_together(monkeypatch):
    agent = small("ppo", envs.make("TMaze-v0", length=2))
    params = weights(agent)
    inputs, action = sequence(agent, 4)
    inputs = jax.tree.map(lambda x: jnp.concatenate([x, x[::-1, :1]], 1), inputs)
    action = jnp.concatenate([action, action[:, :1]], 1)
    playing = np.ones((4, 3), bool)
    playing[2:, 1] = False
    steps = steps_of(inputs, action, playing)
    moments = np.array([[3, 1, 2]], np.int32)
    differentiate = Differentiator(agent)
    together = differentiate(params, steps, moments)
    assert together.gradient.shape == (1, 3, 4)
    monkeypatch.setattr(played, "BUDGET", 2 * 4 * 3)
    assert [g.tolist() for g in played._groups(steps)] == [[0, 1], [2, 0]]
    parts = differentiate(params, steps, moments)
    for whole, part in zip(together, parts, strict=True):
        np.testing.assert_allclose(part, whole, rtol=1e-4, atol=1e-7)


def test_the_rest_of_a_shorter_playing_is_no_part_of_episodes():
    flags, numbers = np.array([[True], [True]]), np.array([[1], [2]])
    assert played._longer(flags, 3).tolist() == [[True], [True], [False]]
    assert played._longer(numbers, 3).tolist() == [[1], [2], [2]]
    assert played._longer(numbers, 2).tolist() == [[1], [2]]


def test_what_is_usual_is_the_mean_of_the_episodes_that_go_on():
    agent = small("ppo", envs.make("TMaze-v0", length=2))
    inputs, action = sequence(agent, 3)
    flags = np.array([[True, True], [True, False], [False, False]])
    usual = Differentiator(agent)._usual(steps_of(inputs, action, flags))
    x = np.asarray(inputs.observation)
    found = usual["observation"][:, 0]
    np.testing.assert_allclose(found[0], x[0].mean(0), rtol=1e-6)
    np.testing.assert_allclose(found[1], x[1, 0], rtol=1e-6)
    assert not found[2].any()
    total = summed(agent, inputs, jnp.asarray(flags))["observation"]
    assert total.shape == (3, 1, 2)


# Moments and shares ----------------------------------------------------------------


def test_the_decisions_that_a_task_names_are_the_moments():
    flags, named = np.ones((5, 3), bool), np.zeros((5, 3), bool)
    flags[3:, 1] = False
    named[[1, 3, 4], 0] = named[4, 1] = True
    found = moments_of(flags, named, 2)
    assert found.told and found.left_out == 1 and found.count == 2
    np.testing.assert_array_equal(found.steps, [[1, -1, -1], [4, -1, -1]])


@pytest.mark.parametrize("named", [None, np.zeros((5, 2), bool)])
def test_without_named_decisions_all_steps_with_a_past_are_moments(named):
    flags = np.ones((5, 2), bool)
    flags[2:, 1] = False
    found = moments_of(flags, named, 3)
    assert not found.told and found.left_out == 1
    np.testing.assert_array_equal(found.steps.T, [[1, 3, 4], [1, -1, -1]])


def test_a_seed_without_any_moment_depends_on_nothing():
    agent = small("ppo", envs.make("TMaze-v0", length=2))
    inputs, action = sequence(agent, 3)
    flags = np.array([[True, True], [False, False], [False, False]])
    moments = moments_of(flags, None, 16)
    assert moments.count == 0
    steps = steps_of(inputs, action, flags)
    found = Differentiator(agent)(weights(agent), steps, moments.steps)
    shares = shares_of(found.gradient, moments, {"x": np.zeros((3, 2, 1), int)})
    assert not found.gradient.any() and not len(shares.past) and not shares.dead


def test_one_moment_is_the_last():
    assert moments_of(np.ones((6, 1), bool), None, 1).steps.tolist() == [[5]]


def test_shares_by_hand():
    moments = Moments(np.array([[1, 2, 0], [3, -1, 2]], np.int32), True, 0)
    strength = np.zeros((2, 3, 4))
    strength[0, 0] = [3, 1, 0, 0]  # step 1: three quarters in the past
    strength[1, 0] = [1, 0, 3, 0]  # step 3: all of it
    strength[0, 1] = [0, 0, 5, 0]  # step 2: none
    strength[0, 2] = [7, 0, 0, 0]  # no past
    strength[1, 2] = [0, 0, 0, 0]  # nothing at all
    ages = {"x": np.full((4, 3, 2), 99)}
    ages["x"][3, 0] = [1, 3]  # two cues of the decision at step 3: steps 2 and 0
    ages["x"][1, 0] = [0, 4]  # on show now, and before the episode
    found = shares_of(strength, moments, ages)
    np.testing.assert_allclose(found.size, [(3 + 4) / 2, 0, 0])
    np.testing.assert_allclose(found.past, [(0.75 + 1) / 2, 0])
    np.testing.assert_allclose(found.by_lag, [[(1 + 0.75) / 2, 0, 0.25 / 2]])
    np.testing.assert_allclose(found.by_cue["x"], [1.0])
    np.testing.assert_allclose(found.even["x"], [2 / 3])
    assert found.dead == 2


def test_a_cue_that_was_never_seen_has_no_share():
    moments = Moments(np.array([[3]], np.int32), True, 0)
    ages = np.array([-1, -1, -1, -1])[:, None, None]
    strength = np.ones((1, 1, 4))
    found = shares_of(strength, moments, {"x": ages})
    assert np.isnan(found.by_cue["x"]).all() and np.isnan(found.even["x"]).all()
    ages = np.array([-1, -1, 0, 1])[:, None, None]
    found = shares_of(strength, moments, {"x": ages})
    assert found.by_cue["x"] == found.even["x"] == pytest.approx(1 / 3)


def test_half_of_the_past_lies_within_a_lag():
    assert half_within(np.array([0.2, 0.2, 0.2, 0.4])) == 3
    assert half_within(np.array([0.6, 0.4])) == 1
    assert half_within(np.array([0.0, 0.0, 1.0])) == 3


# What is told and written ------------------------------------------------------------


def test_the_report_of_a_solved_task(found):
    stream = io.StringIO()
    report.tell(found, Console(file=stream, width=200, markup=False))
    text = stream.getvalue()
    assert "what ppo with ffm decides by" in text and "greedily" in text
    assert "on goal" in text and "(even: 0.25)" in text and "together" in text
    assert "32 decisions, those that the task names as such." in text
    assert "over seeds (Student's t)" in text and "exactly 0" not in text


def test_the_files_of_a_solved_task(found):
    files = report.write(found)
    folder = found.run / "analysis"
    names = ["saliency.png", "saliency_film.png", "saliency_memory.png"]
    assert files == [folder / name for name in [*names, "saliency.json"]]
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in names)
    told = json.loads(files[-1].read_text())
    lags = told["contribution"]["by_lag"]
    assert [x["lag"] for x in lags] == [1, 2, 3, 4] and lags[3]["value"] > 0.5
    assert told["decisions"] == [16, 16] and told["decisions_told"] == [True, True]
    cue = told["contribution"]["on_cue"]["goal"]
    assert len(cue) == 2 and cue[0]["share"] > 0.5 and cue[0]["even"] == 0.25
    events = EventAccumulator(str(folder / "saliency")).Reload()
    assert set(events.Tags()["images"]) == {"saliency", *(x[:-4] for x in names)}
    curve = events.Scalars("saliency/contribution by lag")
    assert [point.step for point in curve] == [1, 2, 3, 4]
    assert curve[3].value == pytest.approx(lags[3]["value"], 1e-5)


def test_a_seed_that_reached_no_decision_is_told(found):
    """Not that the task names none."""
    told, other = found.moments
    mixed = dataclasses.replace(
        found, moments=[told, other._replace(told=False, steps=other.steps[:, :3])]
    )
    first = summary.notes(mixed)[0]
    assert first.startswith("no episode of seed 1 reached a decision that tmaze names")
    assert first.endswith("19 in all.")


@pytest.mark.parametrize(
    ("memory", "stops"), [("hcam", ["at the chunks of the memory"]), ("gru", [])]
)
def test_where_gradients_stop_is_told(memory, stops):
    agent = small("ppo", envs.make("TMaze-v0", length=2), memory=memory)
    plan = types.SimpleNamespace(agent=agent)
    found = types.SimpleNamespace(trained=types.SimpleNamespace(plan=plan))
    assert summary._stops(found) == stops


def test_the_example_is_the_first_episode_and_what_its_memory_kept(found):
    example = found.example
    assert example.moments.tolist() == [LENGTH]
    assert example.found.gradient.shape == (1, LENGTH + 1)
    decay = example.looks["decay"]
    assert decay.shape[0] == LENGTH + 1
    assert not decay[0].any() and (decay[1:] > 0).all()
    first, last = example.frame(0), example.frame(LENGTH)
    assert first.shape == last.shape and (first != last).any()
    np.testing.assert_allclose(picture.shares(example, "gradient").sum(1), 1, rtol=1e-6)


def test_a_film_shows_the_decision_and_what_it_depends_on():
    row = np.zeros(100)
    row[[7, 60, 61, 99]] = [0.5, 0.2, 0.01, 0.9]
    steps = picture.frames_of(row, 90)
    assert {7, 60, 90, 0} <= set(steps) and len(steps) == picture.FRAMES
    assert steps == sorted(steps) and max(steps) == 90
    assert picture.frames_of(np.ones(3), 2) == [0, 1, 2]
    many = np.zeros(100)
    many[10:30] = np.linspace(0.05, 0.2, 20)
    assert set(range(24, 30)) <= set(picture.frames_of(many, 90))


def test_what_memories_show_is_drawn_attention_first():
    time = 5
    attention = np.tril(np.ones((time, time)))[:, None].repeat(2, 1)
    attention = np.concatenate([np.full((time, 2, 3), 9.0), attention], axis=2)
    looks = {
        "layer_0/update": np.ones((time, 300)),
        "layer_1/attention": attention,
        "layer_1/chunks": np.zeros((time, 2), np.int32),
    }
    example = dataclasses.replace(EXAMPLE, looks=looks)
    axes = [x for x in picture.draw_looks(example).axes if x.get_title()]
    titles = [x.get_title() for x in axes]
    assert titles == [
        "layer_1/attention, mean of 2 heads",
        "layer_1/chunks",
        "layer_0/update, 128 of 300",
    ]
    drawn = axes[0].images[0].get_array()
    np.testing.assert_array_equal(drawn, np.tril(np.ones((time, time))))
    assert axes[2].images[0].get_array().shape == (128, time)


NOTHING = Dependence(np.zeros((1, 5)), np.zeros((1, 5)))
EXAMPLE = command.Example(np.array([4]), NOTHING, None, {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"episodes": 1}, "at least 2"),
        ({"exploration": 0.3}, "exploration None"),
        ({"exploration": "often"}, "exploration='often'"),
        ({"seed": 7}, "holds the seeds"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(blind, settings, message):
    with pytest.raises(ConfigError, match=message):
        command.saliency(blind, **settings)


def test_an_error_of_ones_own_keeps_its_place(blind, monkeypatch):
    def step(self, key, state, action):
        raise ValueError("a mistake in my task")

    monkeypatch.setattr(TMaze, "step", step)
    with pytest.raises(ValueError, match="a mistake in my task") as caught:
        command.saliency(blind, episodes=2)
    assert not isinstance(caught.value, ConfigError)
    assert caught.traceback[-1].path.samefile(__file__)


def test_the_command_plays_as_it_is_told(blind, capsys):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    words = [str(blind), "--episodes", "3", "--seed", "0", "--exploration", "null"]
    command.main(parser.parse_args(words))
    text = capsys.readouterr().out
    assert "3 episodes each, as the policy samples" in text
    assert "none shows nothing of what it looks at" in text
    assert "wrote" in text and "saliency.json" in text
