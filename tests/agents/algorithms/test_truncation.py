"""What a truncated episode is worth: its final observation, its own memory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.keys import step_keys
from tests.agents.algorithms.test_ratio_one import first_streams, make_agent, redrawn
from tests.agents.toy import HiddenToy, Toy


def replay(agent, params, streams, key):
    """The rollout stepped by hand, in Python, one truncated row at a time."""
    network = agent.network(params)
    chunks = agent.rollout_length // agent.sequence_length
    keys = jax.random.split(key, (chunks, agent.sequence_length)).reshape(-1)
    act, step = jax.jit(agent.act), jax.jit(agent.vector_env.step)
    value = jax.jit(lambda *arguments: network.value(*arguments))
    expected = []
    for step_key in keys:
        act_keys, env_key = step_keys(step_key, jnp.arange(agent.num_envs))
        action, memory, _ = act(
            params, streams.memory_state, streams.inputs, key=act_keys
        )
        env_state, result = step(env_key, streams.env_state, action)
        row = np.zeros(agent.num_envs, np.float32)
        for i in np.flatnonzero(result.truncated & ~result.terminated):
            pick = lambda x, i=i: x[i : i + 1]  # noqa: E731
            final = streams.inputs._replace(
                observation=jax.tree.map(pick, result.final_observation),
                start=np.zeros(1, bool),
            )
            if final.hidden is not None:
                final = final._replace(hidden=jax.tree.map(pick, result.final_hidden))
            if final.previous_action is not None:
                final = final._replace(
                    previous_action=action[i : i + 1],
                    previous_reward=result.reward[i : i + 1],
                )
            row[i] = value(jax.tree.map(pick, memory), final)[0]
        expected.append(row)
        inputs = streams.inputs._replace(
            observation=result.observation,
            start=result.ended,
            hidden=agent.vector_env.hidden_variables(env_state),
        )
        if inputs.previous_action is not None:
            inputs = inputs._replace(
                previous_action=action, previous_reward=result.reward
            )
        streams = streams._replace(
            env_state=env_state, memory_state=memory, inputs=inputs
        )
    return np.stack(expected)


SETTINGS = [
    {},
    {
        "env": HiddenToy(),
        "separate_memories": True,
        "previous_action": True,
        "previous_reward": True,
        "critic_sees_hidden": True,
    },
]


@pytest.mark.shows("exact truncation", "ppo")
@pytest.mark.parametrize("settings", SETTINGS, ids=["plain", "all inputs"])
def test_bootstrap_is_the_final_observation_with_the_memory_before_the_reset(settings):
    agent = make_agent("gru", **settings)
    params, streams = redrawn(agent), first_streams(agent)
    key = jax.random.key(2)
    _, rollout = jax.jit(agent.rollout)(params, streams, key)
    expected = replay(agent, params, streams, key)
    steps = rollout.transitions
    assert np.count_nonzero(expected) == (steps.truncated & ~steps.terminated).sum() > 5
    np.testing.assert_allclose(steps.bootstrap_value, expected, atol=1e-5)


def test_tasks_that_never_truncate_compile_no_bootstrap():
    def operations(truncates):
        agent = make_agent("gru", env=Toy(truncates=truncates))
        state = jax.eval_shape(agent.init, jax.random.key(0))
        jaxpr = jax.make_jaxpr(agent.rollout)(
            state.params, state.streams, jax.random.key(0)
        )
        return str(jaxpr).count("while[")

    assert operations(True) == operations(False) + 1
