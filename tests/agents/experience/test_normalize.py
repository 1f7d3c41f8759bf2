"""Running statistics and normalised rewards against plain numpy."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.devices import AXIS
from agents.experience.normalize import (
    CLIP,
    HISTORY,
    Moments,
    Statistics,
    discounted_returns,
    normalized,
    split_trainable,
    with_statistics,
)
from agents.experience.rollout import Rollout, as_sequences
from agents.keys import Use, key_for
from tests.agents.algorithms.test_ratio_one import (
    CASES,
    first_streams,
    make_agent,
    redrawn,
)


def test_moments_are_those_of_all_samples():
    """Samples far from 0, in batches whose means differ."""
    rng = np.random.default_rng(0)
    batches = [
        rng.normal([1e4, -3.0, 0.0], [1.0, 5.0, 1e-2], (size, 16, 3)) + shift
        for size, shift in ((8, 0.0), (8, 2.0), (8, -1.0))
    ]
    moments = Moments.unseen((3,))
    for batch in batches:
        moments = moments.updated(jnp.asarray(batch, jnp.float32))
    samples = np.concatenate(batches).astype(np.float32).astype(np.float64)
    samples = samples.reshape(-1, 3)
    np.testing.assert_allclose(moments.mean, samples.mean(0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(moments.variance, samples.var(0), rtol=1e-3)
    assert float(moments.count) == len(samples)
    np.testing.assert_allclose(
        moments.standardized(jnp.asarray(samples[:5], jnp.float32)),
        (samples[:5] - samples.mean(0)) / samples.std(0),
        atol=5e-3,
    )
    outliers = moments.standardized(jnp.full((1, 3), 1e9))
    np.testing.assert_array_equal(outliers, CLIP)


def test_moments_over_devices_are_those_of_the_whole_batch():
    rng = np.random.default_rng(0)
    samples = jnp.asarray(rng.normal(3.0, 2.0, (4, 8, 5, 2)), jnp.float32)
    moments = Moments.unseen((2,)).updated(samples[0] + 1)
    whole = moments.updated(samples)
    parts = jax.vmap(
        lambda part: moments.updated(part, lambda x: jax.lax.psum(x, "device")),
        axis_name="device",
    )(samples)
    for part, expected in zip(
        jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True
    ):
        for row in np.asarray(part):
            np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_statistics_still_move_after_a_billion_steps():
    old = Moments(jnp.asarray(1e9), jnp.asarray(1000.0), jnp.asarray(1.0))
    samples = jnp.asarray([1007.0, 1013.0] * 32)
    moments = jax.lax.fori_loop(0, 20_000, lambda _, m: m.updated(samples), old)
    np.testing.assert_allclose(moments.mean, 1010.0, atol=0.1)
    np.testing.assert_allclose(moments.variance, 9.0, rtol=0.02)


def test_a_new_batch_weighs_its_share_of_the_history():
    old = Moments(jnp.asarray(1e9), jnp.asarray(0.0), jnp.asarray(1.0))
    moved = old.updated(jnp.full(64, 10.0))
    np.testing.assert_allclose(moved.mean, 10.0 / HISTORY, rtol=1e-4)


def test_what_never_changes_is_standardised_too():
    moments = Moments(jnp.asarray(64.0), jnp.asarray(3.0), jnp.asarray(0.0))
    assert 0 < float(moments.deviation()) < 0.01
    assert float(moments.standardized(jnp.asarray(3.0))) == 0.0


def test_samples_that_are_not_finite_change_nothing():
    """Nor those whose squares are not: the last column."""
    moments = Moments.unseen((4,)).updated(jnp.ones((4, 4)))
    poisoned = moments.updated(jnp.asarray([[2.0, jnp.nan, jnp.inf, 1e30]]))
    np.testing.assert_array_equal(poisoned.mean[1:], moments.mean[1:])
    np.testing.assert_array_equal(poisoned.variance[1:], moments.variance[1:])
    np.testing.assert_allclose(poisoned.mean[0], 1.2, rtol=1e-6)


def test_an_agent_split_over_devices_has_the_statistics_of_the_whole(two_rollouts):
    """Two shares of its streams, each of which sees half of what it normalises by."""
    agent, params, streams, *_ = two_rollouts
    stage = two_rollouts.stages[0]
    share = dataclasses.replace(agent, num_envs=3, num_minibatches=1, axis_name=AXIS)
    rollout = Rollout(stage.raw.transitions, None, None)

    def halves(axis, tree):
        return jax.tree.map(lambda x: jnp.stack(jnp.split(x, 2, axis)), tree)

    stats = functools.partial(normalized, share)
    parts = jax.jit(jax.vmap(stats, (None, 0, 0), axis_name=AXIS))(
        params, halves(0, streams), halves(1, rollout)
    )
    for name in ("observation", "reward"):
        for found, expected in zip(
            jax.tree.leaves(getattr(parts[0], name)),
            jax.tree.leaves(getattr(stage.statistics, name)),
            strict=True,
        ):
            for device in np.asarray(found):
                np.testing.assert_allclose(device, expected, rtol=1e-5, atol=1e-6)
    # And the halves are not alike, or either would do.
    reward = np.asarray(stage.raw.transitions.reward)
    assert abs(reward[:, :3].std() / reward[:, 3:].std() - 1) > 1e-3


def numpy_returns(reward, ended, initial, gamma):
    """Each episode's rewards so far, the earlier ones discounted."""
    returns, running = np.zeros(reward.shape), np.array(initial, np.float64)
    for t in range(len(reward)):
        for b in range(reward.shape[1]):
            running[b] = returns[t, b] = reward[t, b] + gamma * running[b]
            if ended[t, b]:
                running[b] = 0
    return returns, running


def test_discounted_returns_restart_with_the_episode():
    rng = np.random.default_rng(0)
    reward, ended = rng.normal(size=(20, 3)), rng.random((20, 3)) < 0.2
    initial = rng.normal(size=3)
    expected = numpy_returns(reward, ended, initial, 0.9)
    arrays = [jnp.asarray(x, jnp.float32) for x in (reward, initial)]
    found = discounted_returns(arrays[0], jnp.asarray(ended), arrays[1], 0.9)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


class Stage(NamedTuple):
    """A rollout before and after its rewards were scaled, and what came of it."""

    raw: Any
    statistics: Any
    streams: Any
    batch: Any
    last_value: Any


class Rollouts(NamedTuple):
    """An agent, where it began, and two stages in a row."""

    agent: Any
    params: Any
    streams: Any
    collect: Callable[..., Stage]
    stages: tuple[Stage, Stage]


@pytest.fixture(scope="module")
def two_rollouts():
    """Two rollouts in a row of an agent that normalises."""
    agent = make_agent(**{**CASES["normalised"], "learning_rate": 1e-30})
    params, streams = redrawn(agent), first_streams(agent)

    @jax.jit
    def collect(params, streams, key):
        streams, raw = agent.rollout(params, streams, key)
        statistics, streams, scaled = normalized(agent, params, streams, raw)
        batch = agent.advantages(params, streams, scaled)
        last_value = agent.network(params).value(streams.memory_state, streams.inputs)
        return Stage(raw, statistics, streams, batch, last_value)

    unseen = Statistics(params.statistics.observation, Moments.unseen(()))
    params = with_statistics(params, unseen)
    first = collect(params, streams, jax.random.key(1))
    then = with_statistics(params, first.statistics)
    second = collect(then, first.streams, jax.random.key(2))
    return Rollouts(agent, params, streams, collect, (first, second))


def test_rewards_and_targets_equal_a_numpy_loop(two_rollouts):
    """Scale, advantages and targets, over two rollouts with ends of every kind."""
    agent = two_rollouts.agent
    running, all_returns = np.zeros(agent.num_envs), []
    for stage in two_rollouts.stages:
        steps = stage.raw.transitions
        terminated, truncated = map(np.asarray, (steps.terminated, steps.truncated))
        assert terminated.any() and truncated.any()
        ended = terminated | truncated
        returns, running = numpy_returns(
            np.asarray(steps.reward, np.float64), ended, running, agent.gamma
        )
        all_returns.append(returns)
        np.testing.assert_allclose(stage.streams.discounted_return, running, atol=1e-5)
        deviation = np.concatenate(all_returns).std()
        assert not 0.95 < deviation < 1.05  # or dividing would not show
        reward = np.asarray(steps.reward, np.float64) / deviation
        value = np.asarray(steps.extras.value, np.float64)
        expected = np.zeros_like(reward)
        for t in range(agent.rollout_length):
            for b in range(agent.num_envs):
                expected[t, b] = lambda_return(agent, stage, reward, t, b, value)
        target = np.asarray(stage.batch.target)
        length = agent.sequence_length
        for index in range(target.shape[1]):
            stretch, stream = divmod(index, agent.num_envs)
            part = expected[stretch * length : (stretch + 1) * length, stream]
            np.testing.assert_allclose(target[:, index], part, atol=1e-4)


def lambda_return(agent, stage, reward, t, b, value):
    """The lambda-return from step t of stream b, recursively by its definition."""
    steps = stage.raw.transitions
    if bool(steps.terminated[t, b]):
        return reward[t, b]
    if bool(steps.truncated[t, b]):
        return reward[t, b] + agent.gamma * float(steps.bootstrap_value[t, b])
    if t == len(reward) - 1:
        return reward[t, b] + agent.gamma * float(stage.last_value[b])
    after = lambda_return(agent, stage, reward, t + 1, b, value)
    mixed = (1 - agent.gae_lambda) * value[t + 1, b] + agent.gae_lambda * after
    return reward[t, b] + agent.gamma * mixed


def test_statistics_are_those_of_the_observations(two_rollouts):
    """The keys that are float boxes, and no others."""
    before, stage = two_rollouts.params.statistics, two_rollouts.stages[0]
    observations = stage.raw.transitions.inputs.observation
    assert set(before.observation) == {"vector"}
    old, new = before.observation["vector"], stage.statistics.observation["vector"]
    samples = np.asarray(observations["vector"], np.float64).reshape(-1, 3)
    known, mean = float(old.count), np.asarray(old.mean, np.float64)
    total = known + len(samples)
    expected = (known * mean + samples.sum(0)) / total
    second = known * (np.asarray(old.variance, np.float64) + mean**2)
    variance = (second + (samples**2).sum(0)) / total - expected**2
    np.testing.assert_allclose(new.mean, expected, atol=1e-5)
    np.testing.assert_allclose(new.variance, variance, rtol=1e-5)


def test_an_update_learns_with_the_statistics_that_acted(two_rollouts):
    """At learning rate 0 every minibatch sees ratio one; then the statistics move."""
    agent, params, streams, collect, _ = two_rollouts
    state = jax.eval_shape(agent.init, jax.random.key(0))
    trainable = split_trainable(params)[0]
    state = state._replace(
        params=params,
        optimizer_state=agent.optimizer.init(trainable),
        streams=streams,
        key=jax.random.key(3),
        updates=jnp.zeros((), jnp.int32),
    )
    after, metrics = jax.jit(agent.update)(state)
    assert abs(float(metrics["policy/kl"])) < 1e-6
    rollout_key = key_for(jax.random.fold_in(state.key, 0), Use.ROLLOUT)
    stage = collect(params, streams, rollout_key)
    for found, expected in zip(
        jax.tree.leaves(after.params.statistics),
        jax.tree.leaves(stage.statistics),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        after.streams.discounted_return, stage.streams.discounted_return, rtol=1e-5
    )
    # What is told stays raw.
    episodes = jax.tree.map(float, stage.raw.statistics)
    raw_return = episodes.episode_return / episodes.episodes
    np.testing.assert_allclose(metrics["train/return"], raw_return, rtol=1e-5)
    # And what is learned is on their scale.
    value = np.asarray(stage.raw.transitions.extras.value, np.float64)
    order = as_sequences(jnp.asarray(value), agent.sequence_length)
    error = np.asarray(stage.batch.target) - np.asarray(order)
    np.testing.assert_allclose(
        metrics["loss/value"], 0.5 * np.mean(error**2), rtol=1e-4
    )
    explained = 1 - error.var() / np.asarray(stage.batch.target).var()
    np.testing.assert_allclose(
        metrics["value/explained_variance"], explained, atol=1e-5
    )
    # The optimiser knows weights only, and there is no gradient beside them.
    weights = len(jax.tree.leaves(params)) - len(jax.tree.leaves(params.statistics))
    assert len(jax.tree.leaves(trainable)) == weights
    kept = jax.tree.leaves(jax.eval_shape(agent.init, state.key).optimizer_state)
    assert sum(leaf.ndim > 0 for leaf in kept) == 2 * weights
