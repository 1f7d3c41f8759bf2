"""A learned initial state is trained by PPO, through starts inside sequences only."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from tests.agents.algorithms.test_ratio_one import make_agent
from tests.agents.toy import Toy


@pytest.mark.parametrize(
    "name",
    ["elman", *(pytest.param(x, marks=pytest.mark.slow) for x in ("gru", "lstm"))],
)
def test_it_is_trained_through_starts_inside_sequences(name):
    memory = memory_models.builder(name, output_size=8, learned_initial_state=True)
    agent = make_agent(env=Toy(truncates=False), num_epochs=1)
    agent = dataclasses.replace(agent, memory=memory)

    @jax.jit
    def everything(key):
        """The stages of an update; gradients of its loss with other start flags."""
        begun = agent.init(key)
        streams, rollout = agent.rollout(begun.params, begun.streams, key)
        batch = agent.advantages(begun.params, streams, rollout)
        memory_states = rollout.memory_states
        learned = agent.learn(
            begun.params, begun.optimizer_state, batch, memory_states, key
        )[0]
        entering = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), memory_states)

        def loss(params, starts):
            steps = batch.transitions
            steps = steps._replace(inputs=steps.inputs._replace(start=starts))
            changed = batch._replace(transitions=steps)
            return agent.loss(params, entering, changed)[0]

        starts = batch.transitions.inputs.start
        inside = starts.at[0].set(False)
        both = jnp.stack([inside, jnp.zeros_like(starts)])
        gradients = jax.vmap(jax.grad(loss), (None, 0))(learned, both)
        return begun.params, learned, gradients

    before, after, gradients = everything(jax.random.key(0))

    def initial(params):
        return jax.tree.leaves(params.actor.memory.initial)

    assert len(initial(before)) == (2 if name == "lstm" else 1)
    for part in initial(before):
        np.testing.assert_array_equal(part, 0)
    for part in initial(after):
        assert (np.abs(part) > 0).all()
    for through_starts, through_entering in initial(gradients):
        assert (np.abs(through_starts) > 0).all()
        np.testing.assert_array_equal(through_entering, 0)
