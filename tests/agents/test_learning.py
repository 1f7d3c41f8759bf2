"""Training reaches values known beforehand, on tasks that each isolate one thing.

All kinds of probe with the same spaces train in one program: the kind is an index in
the task's state, and training is vmapped over it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.algorithms.dqn import DQN
from agents.algorithms.ppo import PPO
from agents.algorithms.pqn import PQN
from agents.algorithms.sac import SAC
from envs.probing.probe import Probe

GAMMA = 0.9
DISCRETE = (
    "constant_reward",
    "observation_value",
    "discounting",
    "action_reward",
    "copy_bit",
    "flip",
    "truncation",
    "action_mask",
)


def train(env, kinds, memory, updates, **settings):
    """Train on every kind in one program; returns per-kind metrics and rollouts."""
    agent = PPO(
        env=env,
        memory=memory_models.builder(memory, output_size=16),
        num_envs=32,
        rollout_length=32,
        num_minibatches=4,
        learning_rate=3e-3,
        gamma=GAMMA,
        entropy_coefficient=0.0,
        encoder_size=16,
        head_size=0,  # values of an endless stream settle several times sooner
        **settings,
    )

    def run(key, index):
        state = on_stream(agent, key, index)

        def body(state, _):
            state, metrics = agent.update(state)
            return state, metrics["train/return"]

        state, returns = jax.lax.scan(body, state, length=updates)
        _, rollout = agent.rollout(state.params, state.streams, state.key)
        return returns, rollout.transitions

    keys = jax.random.split(jax.random.key(0), len(kinds))
    index = jnp.arange(len(kinds), dtype=jnp.int32)
    # Long enough to be worth optimising, unlike the rest of the suite.
    options = {"xla_backend_optimization_level": 1}
    return jax.jit(jax.vmap(run), compiler_options=options)(keys, index)


def on_stream(agent, key, index):
    """A state whose every stream plays one kind."""
    state = agent.init(key)
    keys = jax.random.split(key, agent.num_envs)
    observation, env_state = jax.vmap(agent.env.start, (None, 0))(index, keys)
    streams = state.streams
    env_state = streams.env_state._replace(env_state=env_state)
    inputs = streams.inputs._replace(
        observation=observation, action_mask=agent.vector_env.mask(env_state)
    )
    streams = streams._replace(env_state=env_state, inputs=inputs)
    return state._replace(streams=streams)


def of(kinds, name, tree):
    index = kinds.index(name)
    return jax.tree.map(lambda x: np.asarray(x[index]), tree)


@pytest.mark.shows("learns from memory (a probe)", "ppo")
def test_discrete_probes():
    returns, steps = train(Probe(kinds=DISCRETE), DISCRETE, "gru", 80)

    def values(name):
        return of(DISCRETE, name, steps).extras.value

    def observation(name):
        return of(DISCRETE, name, steps).inputs.observation

    def late_return(name):
        return np.nanmean(of(DISCRETE, name, returns)[-10:])

    np.testing.assert_allclose(values("constant_reward"), 1.0, atol=0.1)
    np.testing.assert_allclose(
        values("observation_value"), observation("observation_value")[..., 0], atol=0.1
    )
    first = of(DISCRETE, "discounting", steps).inputs.start
    np.testing.assert_allclose(
        values("discounting"), np.where(first, GAMMA, 1.0), atol=0.1
    )
    assert late_return("action_reward") > 0.95
    assert late_return("copy_bit") > 0.95
    # Chance: a memory that leaked across resets would know the answer.
    assert abs(late_return("flip")) < 0.1
    # Forbidden actions are never taken, from the first update on, and it is known.
    assert not np.nan_to_num(of(DISCRETE, "action_mask", returns)).any()
    np.testing.assert_allclose(values("action_mask"), 0.0, atol=0.1)
    # Never terminates: the value is that of an endless stream of ones.
    np.testing.assert_allclose(values("truncation"), 1 / (1 - GAMMA), rtol=0.05)


def test_continuous_probe():
    kinds = ("continuous_action",)
    returns, _ = train(Probe(kinds=kinds), kinds, "none", 120, initial_log_std=-1.0)
    assert np.nanmean(returns[0, -10:]) > -0.02


def test_previous_action_probe():
    kinds = ("previous_action",)
    returns, steps = train(Probe(kinds=kinds), kinds, "none", 60)
    assert np.nanmean(returns[0, -10:]) > 0.95
    assert steps.inputs.previous_action is not None


def test_a_memory_that_leaks_beats_chance_on_flip(monkeypatch):
    """The probe can fail: hide the start flags and the reset is gone."""
    from agents.networks import torso

    def without_starts(method):
        def wrapped(self, state, inputs, *moments):
            inputs = inputs._replace(start=jnp.zeros_like(inputs.start))
            return method(self, state, inputs, *moments)

        return wrapped

    for name in ("step", "sequence"):
        method = getattr(torso.Torso, name)
        monkeypatch.setattr(torso.Torso, name, without_starts(method))
    kinds = ("flip",)
    returns, _ = train(Probe(kinds=kinds), kinds, "gru", 80)
    assert np.nanmean(returns[0, -10:]) > 0.5


@pytest.mark.shows("learns from memory (a probe)", "dqn", "pqn")
@pytest.mark.parametrize(
    ("agent", "settings"),
    [
        pytest.param(
            DQN,
            {
                "rollout_length": 8,
                "replay_size": 32 * 256,
                "batch_size": 16,
                "target_rate": 0.05,
            },
            marks=pytest.mark.slow,
        ),
        (PQN, {"rollout_length": 32, "num_minibatches": 4}),
    ],
)
def test_value_based_agents_on_probes(agent, settings):
    """The best values are those known beforehand; memory is used and never leaks."""
    kinds = ("discounting", "action_reward", "copy_bit", "flip", "truncation")
    network = agent(
        env=Probe(kinds=kinds),
        memory=memory_models.builder("gru", output_size=16),
        num_envs=32,
        learning_rate=3e-3,
        gamma=GAMMA,
        encoder_size=16,
        head_size=0,
        exploration_last=0.1,
        **settings,
    )
    returns, values, starts = play_and_learn(network, kinds, 250)
    late = {name: np.nanmean(of(kinds, name, returns)[-20:]) for name in kinds}
    best = {name: of(kinds, name, values).max(-1) for name in kinds}
    first = of(kinds, "discounting", starts)
    np.testing.assert_allclose(
        best["discounting"], np.where(first, GAMMA, 1.0), atol=0.1
    )
    # One action in ten is any: the other of two is right half of the time.
    assert late["action_reward"] > 0.8 and late["copy_bit"] > 0.8
    assert abs(late["flip"]) < 0.1
    np.testing.assert_allclose(best["truncation"], 1 / (1 - GAMMA), rtol=0.1)


def play_and_learn(agent, kinds, updates):
    """Returns per update, and values and start flags of a last rollout, per kind."""

    def run(key, index):
        state = on_stream(agent, key, index)

        def body(state, _):
            state, metrics = agent.update(state)
            return state, metrics["train/return"]

        state, returns = jax.lax.scan(body, state, length=updates)
        steps = agent.stages(state)["rollout"]
        values = getattr(steps.extras, "values", steps.reward)
        return returns, values, steps.inputs.start

    keys = jax.random.split(jax.random.key(0), len(kinds))
    index = jnp.arange(len(kinds), dtype=jnp.int32)
    options = {"xla_backend_optimization_level": 1}
    return jax.jit(jax.vmap(run), compiler_options=options)(keys, index)


@pytest.mark.shows("learns from memory (a probe)", "sac")
@pytest.mark.parametrize(
    ("kind", "memory", "best"),
    [
        ("continuous_action", "none", 0.0),
        pytest.param("copy_bit", "gru", 1.0, marks=pytest.mark.slow),
    ],
)
def test_sac_on_probes(kind, memory, best):
    """With Box and with discrete actions, the latter from memory."""
    env = Probe(kinds=(kind,))
    agent = SAC(
        env=env,
        memory=memory_models.builder(memory, output_size=16),
        num_envs=32,
        rollout_length=8,
        replay_size=32 * 256,
        learning_starts=512,
        batch_size=16,
        sequence_length=8,
        gradient_steps=16,
        learning_rate=3e-3,
        gamma=GAMMA,
        encoder_size=16,
        total_updates=60,
    )
    returns, _, _ = play_and_learn(agent, (kind,), 60)
    late = np.nanmean(returns[0, -10:])
    assert best - 0.1 < late <= best + 1e-6
