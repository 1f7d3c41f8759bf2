"""Classes of a user's own, as small as each contract allows, and their names.

Imported as a plugin this module registers them, as a user's package would.
"""

import dataclasses
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

import agents
import envs
import memory_models
from memory_models.recurrences.gru import GatedRecurrentUnit
from tests.agents.toy import Toy


@dataclasses.dataclass(frozen=True)
class OwnTask(Toy):
    steps: int = 3


class OwnMemory(GatedRecurrentUnit):
    """With its options, and nothing else."""


class State(NamedTuple):
    params: Any
    streams: Any
    key: Any
    updates: Any


class Preferences(eqx.Module):
    """A policy that sees nothing, and neither learns nor remembers."""

    logits: jax.Array

    def initial_state(self, batch):
        return jnp.zeros((batch, 1), jnp.float32)


@dataclasses.dataclass(frozen=True)
class OwnAgent(agents.Agent):
    """Keeps the contract and has none of PPO's settings."""

    steps: int = 4

    @property
    def steps_per_update(self):
        return self.num_envs * self.steps

    def build_network(self, key):
        return Preferences(jax.random.normal(key, (int(self.env.action_space.n),)))

    def init(self, key):
        params = eqx.filter(self.build_network(key), eqx.is_array)
        _, streams = self.vector_env.reset(key)
        return State(params, streams, key, jnp.zeros((), jnp.int32))

    def act(self, params, memory_state, inputs, *, key, exploration=None):
        logits = self.network(params).logits
        drawn = jax.vmap(lambda k: jax.random.categorical(k, logits))(key)
        return drawn.astype(jnp.int32), memory_state, None

    def update(self, state):
        key = jax.random.fold_in(state.key, state.updates)

        def step(streams, step_key):
            actions = jnp.zeros(self.num_envs, jnp.int32)
            streams, out = self.vector_env.step(step_key, streams, actions)
            return streams, out.reward

        streams, rewards = jax.lax.scan(
            step, state.streams, jax.random.split(key, self.steps)
        )
        metrics = {"loss/total": -jnp.mean(rewards)}
        return state._replace(streams=streams, updates=state.updates + 1), metrics


def register():
    envs.register("OwnTask-v0", OwnTask)
    memory_models.register("own_memory", OwnMemory)
    agents.register("own_agent", OwnAgent)
