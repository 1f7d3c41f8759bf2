"""Before the first update the learner recomputes exactly the policy that acted.

The test of tests: it fails for a reset one step early or late, for the wrong stored
memory state, for interleaved chunks, for step and sequence modes that differ. Four
such mistakes are planted to see that it does.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.ppo import PPO
from tests.agents.toy import MaskedToy, Toy

MECHANISMS = ["none", "frame_stack", "gru", "ffm"]
"""One model per mechanism."""


def make_agent(memory="gru", env=None, **settings):
    defaults = {
        "num_envs": 6,
        "rollout_length": 24,
        "sequence_length": 8,
        "num_minibatches": 3,
        "encoder_size": 8,
    }
    return PPO(
        env=env or Toy(),
        memory=memory_models.builder(memory, output_size=8),
        **{**defaults, **settings},
    )


def redraw(params, key):
    """All parameters normal at scale 0.3: customary small heads hide everything."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    fresh = [
        0.3 * jax.random.normal(k, x.shape, x.dtype)
        if jnp.issubdtype(x.dtype, jnp.floating)
        else x
        for k, x in zip(keys, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, fresh)


def second_rollout(agent):
    """Parameters and a rollout whose first memory states are not initial ones."""

    def collect(key):
        state = agent.init(key)
        params = redraw(state.params, jax.random.key(1))
        streams, _ = agent.rollout(params, state.streams, jax.random.key(2))
        streams, rollout = agent.rollout(params, streams, jax.random.key(3))
        return params, rollout, agent.advantages(params, streams, rollout)

    return jax.jit(collect)(jax.random.key(0))


def learner_gap(agent, params, batch, entering, mutate=lambda inputs: inputs):
    """Largest difference in log-probability and in value over all minibatches."""

    def gaps(params, batch, entering):
        state = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), entering)
        steps = batch.transitions
        _, distribution, value = agent.network(params).sequence(
            state, mutate(steps.inputs)
        )
        log_ratio = distribution.log_prob(steps.extras.raw_action)
        log_ratio = log_ratio - steps.extras.log_prob
        return jnp.abs(log_ratio).max(), jnp.abs(value - steps.extras.value).max()

    return [float(gap) for gap in jax.jit(gaps)(params, batch, entering)]


@pytest.mark.parametrize("memory", MECHANISMS)
def test_every_mechanism(memory):
    agent = make_agent(memory)
    params, rollout, batch = second_rollout(agent)
    steps = rollout.transitions
    assert steps.terminated.any() and steps.truncated.any()
    assert (steps.terminated & steps.truncated).any()
    assert max(learner_gap(agent, params, batch, rollout.memory_states)) <= 1e-4


CASES = {
    "multi": {"env": MaskedToy("multi", "tuple")},
    "masked": {"env": MaskedToy("offset", "dict")},
    "clipped box": {"env": Toy("box", "multi")},
    "squashed box, pixels": {"env": Toy("box", "pixels"), "squash": "tanh"},
    "separate memories": {"separate_memories": True, "head_size": 8},
    "previous action and reward": {"previous_action": True, "previous_reward": True},
    "previous box action": {"env": Toy("box", "discrete"), "previous_action": True},
    "one sequence per rollout": {"sequence_length": None},
}


@pytest.mark.parametrize("case", CASES)
def test_every_space_and_setting(case):
    agent = make_agent(**CASES[case])
    params, rollout, batch = second_rollout(agent)
    assert max(learner_gap(agent, params, batch, rollout.memory_states)) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("memory", memory_models.names())
@pytest.mark.parametrize("case", CASES)
def test_full_product(memory, case):
    agent = make_agent(memory, **CASES[case])
    params, rollout, batch = second_rollout(agent)
    assert max(learner_gap(agent, params, batch, rollout.memory_states)) <= 1e-4


@pytest.mark.parametrize("memory", ["gru", "ffm"])
def test_double_precision(memory, x64):
    agent = make_agent(memory, separate_memories=True)
    params, rollout, batch = second_rollout(agent)
    assert rollout.transitions.extras.value.dtype == jnp.float64
    assert max(learner_gap(agent, params, batch, rollout.memory_states)) <= 1e-9


def test_loss_uses_the_same_pass():
    """The agent's own loss sees ratio one: no clipping, no divergence."""
    agent = make_agent()
    params, rollout, batch = second_rollout(agent)
    entering = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]), rollout.memory_states
    )
    _, metrics = jax.jit(agent.loss)(params, entering, batch)
    assert abs(float(metrics["policy/kl"])) < 1e-6
    assert float(metrics["policy/clip_fraction"]) == 0


# Planted mistakes, each in the learner's pass only ------------------------------


def start_late(inputs):
    return inputs._replace(start=jnp.roll(inputs.start, 1, axis=0))


def no_reset(inputs):
    return inputs._replace(start=jnp.zeros_like(inputs.start))


MUTANT_MEMORIES = ["frame_stack", "gru", "ffm"]


@pytest.mark.parametrize("memory", MUTANT_MEMORIES)
def test_planted_mistakes_are_seen(memory):
    agent = make_agent(memory)
    params, rollout, batch = second_rollout(agent)
    entering = rollout.memory_states
    assert min(learner_gap(agent, params, batch, entering, start_late)) > 1e-2
    assert min(learner_gap(agent, params, batch, entering, no_reset)) > 1e-2

    # The state stored after the step instead of before it.
    network = agent.network(params)
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), entering)
    first = jax.tree.map(lambda x: x[0], batch.transitions.inputs)
    after = jax.jit(lambda *a: network.step(*a)[0])(flat, first)
    after = jax.tree.map(lambda x, like: x.reshape(like.shape), after, entering)
    assert min(learner_gap(agent, params, batch, after)) > 1e-2

    # Chunks cut by a reshape that takes every third step instead of neighbours.
    def interleave(x):
        time = x.shape[0]
        chunks = time // agent.sequence_length
        x = x.reshape(agent.sequence_length, chunks, *x.shape[1:])
        return x.reshape(agent.sequence_length, -1, *x.shape[3:])

    wrong = jax.tree.map(interleave, rollout.transitions)
    wrong = batch._replace(transitions=wrong)
    assert min(learner_gap(agent, params, wrong, entering)) > 1e-2


def test_sequences_are_contiguous():
    from agents.rollout import as_sequences

    time, batch = 24, 6
    steps = jnp.arange(time)[:, None] * 100 + jnp.arange(batch)[None, :]
    sequences = np.asarray(as_sequences(steps, 8))
    assert sequences.shape == (8, 18)
    for index in range(18):
        stretch, stream = divmod(index, batch)
        expected = np.arange(stretch * 8, stretch * 8 + 8) * 100 + stream
        np.testing.assert_array_equal(sequences[:, index], expected)
