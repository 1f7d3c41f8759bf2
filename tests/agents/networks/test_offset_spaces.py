"""Discrete spaces that do not begin at zero: the same task, told in other numbers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

import agents
import envs
import memory_models
from tests.agents.running.own_classes import Colour


@dataclasses.dataclass(frozen=True)
class Offset(Colour):
    """`Colour` whose observations and actions are counted from other numbers."""

    seen: int = 0
    chosen: int = 0

    def reset(self, key):
        observation, state = super().reset(key)
        return observation + self.seen, state

    def step(self, key, state, action):
        observation, *rest = super().step(key, state, action - self.chosen)
        return observation + self.seen, *rest

    @property
    def observation_space(self):
        return spaces.Discrete(4, start=self.seen)

    @property
    def action_space(self):
        return spaces.Discrete(3, start=self.chosen)


def trained(env):
    agent = agents.make(
        "ppo",
        env=env,
        memory=memory_models.builder("gru", output_size=4),
        num_envs=4,
        rollout_length=8,
        num_minibatches=1,
        num_epochs=2,
        encoder_size=4,
        previous_action=True,
        reconstruction_weight=0.5,
    )
    state, metrics = jax.jit(lambda key: agent.update(agent.init(key)))(
        jax.random.key(0)
    )
    return [np.asarray(leaf) for leaf in jax.tree.leaves((state.params, metrics))]


def test_training_is_the_same_in_every_bit():
    """Encoder, previous action, decoder, sampling, log-probabilities and a blank."""
    plain, offset = (
        trained(envs.make_partial(env, flicker=0.3))
        for env in (Offset(), Offset(seen=5, chosen=2))
    )
    for one, other in zip(plain, offset, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_space_below_zero_passes_the_check():
    env = Offset(seen=-9, chosen=-4)
    envs.check_env(env, fast=True)
    action = envs.spaces.sample(env.action_space, jax.random.key(0))
    assert env.action_space.contains(np.int64(action)) and action.dtype == jnp.int32
