"""Streams that begin spread over their episodes, as if they had always played."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from agents.base import Inputs
from agents.experience.stagger import LONGEST, UNBOUNDED, spread_of, steps_to_play
from agents.keys import Use, key_for
from tests.agents.algorithms.test_ratio_one import make_agent
from tests.agents.toy import Toy

LENGTH = 11
"""Of the corridor; every episode takes one step more."""


@pytest.fixture(scope="module")
def staggered():
    """An agent on a task whose episodes all last 12 steps, and two first states."""
    agent = make_agent(
        "gru",
        env=envs.make("TMaze-v0", length=LENGTH),
        num_envs=48,
        staggered_starts=True,
        normalize_reward=True,
    )
    init = jax.jit(agent.init)
    return agent, init(jax.random.key(0)), init(jax.random.key(1)), init


class Playing(NamedTuple):
    """Streams that are not staggered: their first states, and one step on."""

    first: Callable[..., Any]
    on: Callable[..., Any]


@pytest.fixture(scope="module")
def ragged():
    """An agent whose episodes last 1 to 9 steps, its `init`, and the same by hand."""
    agent = make_agent("none", num_envs=48, staggered_starts=True)
    together = dataclasses.replace(agent, staggered_starts=False)
    one = dataclasses.replace(
        together, rollout_length=1, sequence_length=1, num_minibatches=1
    )
    playing = Playing(
        first=jax.jit(lambda key: together.init(key).streams),
        on=jax.jit(lambda *arguments: one.rollout(*arguments)[0]),
    )
    return agent, jax.jit(agent.init), playing


def test_streams_are_spread_over_every_phase(staggered):
    _, state, other, init = staggered
    played = np.asarray(state.streams.env_state.episode_length)
    assert set(played) == set(range(LENGTH + 1))
    np.testing.assert_array_equal(played, state.streams.env_state.env_state.time)
    np.testing.assert_array_equal(state.streams.inputs.start, played == 0)
    assert not np.array_equal(played, other.streams.env_state.episode_length)
    again = init(jax.random.key(0))
    np.testing.assert_array_equal(played, again.streams.env_state.episode_length)


@pytest.mark.shows("staggered starts", "ppo")
def test_memory_and_returns_are_those_of_the_steps_played(staggered):
    """In the corridor the history does not depend on the actions: it is known."""
    agent, state, *_ = staggered
    streams = state.streams
    played = np.asarray(streams.env_state.episode_length)
    goal = streams.env_state.env_state.goal.astype(jnp.float32)
    observation = jnp.zeros((LENGTH, agent.num_envs, 2)).at[0, :, 1].set(goal)
    start = jnp.zeros((LENGTH, agent.num_envs), bool).at[0].set(True)
    network = agent.network(state.params)
    memory = agent.initial_memory(state.params, agent.num_envs)
    step = jax.jit(lambda state, inputs: network.step(state, inputs)[0])
    for time in range(LENGTH + 1):
        for found, expected in zip(
            jax.tree.leaves(streams.memory_state), jax.tree.leaves(memory), strict=True
        ):
            rows = played == time
            np.testing.assert_allclose(found[rows], expected[rows], atol=1e-6)
        if time < LENGTH:
            memory = step(memory, Inputs(observation[time], start[time]))
    episode_return = np.asarray(streams.env_state.episode_return)
    discounted = np.asarray(streams.discounted_return)
    assert (episode_return[played == 0] == 0).all() and (episode_return < 0).any()
    one_step = played == 1
    np.testing.assert_allclose(discounted[one_step], episode_return[one_step])
    lagging = episode_return < -1.5 / LENGTH
    assert (discounted[lagging] > episode_return[lagging]).all()
    assert (discounted[lagging] < 0).all()


def test_ends_are_scattered_and_every_recorded_episode_is_whole(staggered):
    agent, state, *_ = staggered
    streams, rollout = jax.jit(agent.rollout)(
        state.params, state.streams, jax.random.key(2)
    )
    ends = np.asarray(rollout.transitions.terminated).sum(1)
    assert ends.min() > 0 and ends.max() < agent.num_envs / 4
    episodes = rollout.statistics
    assert float(episodes.episodes) == agent.num_envs * 24 / (LENGTH + 1)
    assert float(episodes.episode_length) == (LENGTH + 1) * int(episodes.episodes)
    # Rewards before the rollout count too: without them returns would be too high.
    inside = np.asarray(rollout.transitions.reward).sum()
    before = np.asarray(state.streams.env_state.episode_return).sum()
    after = np.asarray(streams.env_state.episode_return).sum()
    assert before < 0
    whole = inside + before - after
    np.testing.assert_allclose(episodes.episode_return, whole, rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_ragged_episodes_start_over_on_the_way(ragged, seed):
    """Where every stream stands is where it would, had they all played on together."""
    agent, init, play = ragged
    state = init(jax.random.key(seed))
    spread = spread_of(agent.env.card)
    lengths = key_for(state.key, Use.STAGGER_LENGTHS)
    index = state.streams.env_state.index
    played = np.asarray(steps_to_play(lengths, index, spread))
    assert set(played) == set(range(spread))
    standing = state.streams._replace(memory_state=None)
    streams = play.first(jax.random.key(seed))
    for time in range(spread):
        now = streams._replace(memory_state=None)
        for found, expected in zip(
            jax.tree.leaves(standing), jax.tree.leaves(now), strict=True
        ):
            rows = played == time
            np.testing.assert_array_equal(found[rows], expected[rows])
        key = jax.random.fold_in(key_for(state.key, Use.STAGGER_STEPS), time)
        streams = play.on(state.params, streams, key)
    # Episodes are shorter than the spread, so some streams are in a later one.
    length = np.asarray(standing.env_state.episode_length)
    assert (length < played).any() and (length == played).any()


def test_the_spread_is_bounded():
    card = Toy().card
    for steps, expected in ((9, 9), (None, UNBOUNDED), (10**9, LONGEST)):
        changed = card.__class__(**{**vars(card), "max_episode_steps": steps})
        assert spread_of(changed) == expected
