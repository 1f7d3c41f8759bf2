"""What a truncated episode is worth: its final observation, its own memory."""

import jax
import numpy as np

from tests.agents.test_ratio_one import make_agent, redraw
from tests.agents.toy import Toy


def replay(agent, params, streams, key):
    """The rollout stepped by hand, in Python, one truncated row at a time."""
    network = agent.network(params)
    chunks = agent.rollout_length // agent.sequence_length
    keys = jax.random.split(key, (chunks, agent.sequence_length)).reshape(-1)
    act, step = jax.jit(agent.act), jax.jit(agent.vector_env.step)
    value = jax.jit(lambda *arguments: network.value(*arguments))
    expected = []
    for step_key in keys:
        act_key, env_key = jax.random.split(step_key)
        action, memory, _ = act(
            params, streams.memory_state, streams.inputs, key=act_key
        )
        env_state, result = step(env_key, streams.env_state, action)
        row = np.zeros(agent.num_envs, np.float32)
        for i in np.flatnonzero(result.truncated & ~result.terminated):
            pick = lambda x, i=i: x[i : i + 1]  # noqa: E731
            final = streams.inputs._replace(
                observation=jax.tree.map(pick, result.final_observation),
                start=np.zeros(1, bool),
            )
            row[i] = value(jax.tree.map(pick, memory), final)[0]
        expected.append(row)
        streams = streams._replace(
            env_state=env_state,
            memory_state=memory,
            inputs=streams.inputs._replace(
                observation=result.observation, start=result.ended
            ),
        )
    return np.stack(expected)


def test_bootstrap_is_the_final_observation_with_the_memory_before_the_reset():
    agent = make_agent("gru")
    state = jax.jit(agent.init)(jax.random.key(0))
    params = redraw(state.params, jax.random.key(1))
    key = jax.random.key(2)
    _, rollout = jax.jit(agent.rollout)(params, state.streams, key)
    expected = replay(agent, params, state.streams, key)
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
