"""Wherever an agent acts it keeps to the mask of that very moment.

On the probe any other action costs 1, the mask changes at every step, and what it
allows first is drawn for every episode: a late, early, kept or lost mask is paid for.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

import envs
from agents import devices, evaluate
from agents.load import Policy
from agents.running.updates import over_seeds
from tests.agents.algorithms.test_ratio_one import make_agent, redrawn

PROBE = envs.make("ProbeActionMask-v0")
LENGTH = PROBE.card.max_episode_steps


@pytest.fixture(scope="module")
def masked():
    """An agent, with parameters by which it prefers one action to the other."""
    agent = make_agent("none", env=PROBE, num_envs=8, staggered_starts=True)
    return agent, redrawn(agent)


@pytest.mark.shows("masks", "ppo")
def test_in_rollouts(masked):
    agent, params = masked
    streams = jax.jit(agent.init)(jax.random.key(0)).streams
    assert len(set(np.asarray(streams.env_state.episode_length))) > 2
    now = jax.vmap(PROBE.action_mask)(streams.env_state.env_state)
    np.testing.assert_array_equal(streams.inputs.action_mask, now)
    streams, rollout = jax.jit(agent.rollout)(params, streams, jax.random.key(1))
    steps = rollout.transitions
    assert steps.terminated.any() and not steps.reward.any()
    mask = np.asarray(steps.inputs.action_mask)
    assert (mask.sum(-1) == 1).all()
    inside = ~np.asarray(steps.inputs.start[1:])
    assert (mask[1:] != mask[:-1])[inside].all()
    first = mask[np.asarray(steps.inputs.start)]
    assert first.any(0).all()  # either action is the first, in some episode


def test_without_the_mask_it_pays(masked):
    agent, params = masked
    streams = jax.jit(agent.init)(jax.random.key(0)).streams
    inputs = streams.inputs._replace(action_mask=jnp.ones((8, 2), bool))
    action = jax.jit(agent.act)(
        params,
        streams.memory_state,
        inputs,
        key=jax.random.split(jax.random.key(1), 8),
    )[0]
    assert not np.take_along_axis(
        np.asarray(streams.inputs.action_mask), np.asarray(action)[:, None], 1
    ).all()


def evaluations_never_pay(agent, params, exploration):
    """Any agent on the probe."""

    def play(params):
        return evaluate.play_episodes(
            agent,
            params,
            key=jax.random.key(2),
            episodes=16,
            exploration=exploration,
            step_limit=LENGTH,
        )

    result = jax.jit(play)(params)
    np.testing.assert_array_equal(result.episode_return, 0)
    assert result.finished.all() and (result.episode_length == LENGTH).all()


@pytest.mark.parametrize("exploration", [None, 0.0])
def test_in_evaluations(masked, exploration):
    evaluations_never_pay(*masked, exploration)


@pytest.mark.parametrize("exploration", [None, 0.0])
def test_in_a_policy_of_ones_own_loop(masked, exploration):
    agent, params = masked
    policy = Policy(agent, params, exploration=exploration, key=jax.random.key(3))
    batch = envs.VectorEnv(PROBE, 6, action_mask=True)
    reset, step = jax.jit(batch.reset), jax.jit(batch.step)
    observation, state = reset(jax.random.key(4))
    mask, start = batch.mask(state), np.ones(6, bool)
    for time in range(2 * LENGTH + 1):
        action = policy(observation, start, action_mask=mask)
        state, result = step(jax.random.key(time), state, action)
        assert not result.reward.any()
        observation, mask, start = (
            result.observation,
            result.action_mask,
            np.asarray(result.ended),
        )
    with pytest.raises(ValueError, match="this task masks actions; pass action_mask="):
        policy(observation, start)


def test_on_several_devices(masked):
    """Each on its own share of the streams, with the masks of the whole batch."""
    agent, params = masked
    mesh = devices.choose_devices(4, agent)
    share = devices.share_of(dataclasses.replace(agent, num_minibatches=1), mesh)
    state = jax.jit(over_seeds(agent.init, 1))(jnp.stack([jax.random.key(0)]))
    state = devices.place(state, agent, mesh)

    def collect(state):
        return share.rollout(params, state.streams, state.key)[1].transitions

    collect = jax.shard_map(
        over_seeds(collect, 1),
        mesh=mesh,
        in_specs=(devices.layout(agent, state),),
        out_specs=PartitionSpec(None, None, devices.AXIS),
        check_vma=False,
    )
    steps = jax.jit(collect)(state)
    assert steps.reward.shape == (1, agent.rollout_length, 8)
    assert steps.terminated.any() and not steps.reward.any()
