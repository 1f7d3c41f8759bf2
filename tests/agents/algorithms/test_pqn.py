"""PQN recomputes the values that acted, and its loss is that of a loop over steps."""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.algorithms.pqn import PQN
from agents.base import Inputs
from agents.experience.rollout import as_sequences, gather, play
from agents.experience.tape import at_places, lay_out, on_tape, rows_of_finals
from tests.agents.algorithms.test_ratio_one import first_state, redrawn, some_of
from tests.agents.toy import MaskedToy, Toy, task_and_memory


def make_agent(memory="gru", env=None, **settings):
    defaults = {
        "num_envs": 6,
        "rollout_length": 24,
        "sequence_length": 8,
        "num_minibatches": 3,
        "encoder_size": 8,
        "head_size": 32,
        "exploration_last": 0.3,
    }
    return PQN(**{**task_and_memory(memory, env), **defaults, **settings})


class Case(NamedTuple):
    """An agent, redrawn parameters, and its second rollout with what follows it.

    `streams` are where it ends; `learned` computes what the learner's pass values.
    """

    agent: PQN
    params: Any
    rollout: Any
    batch: Any
    entering: Any
    streams: Any
    learned: Callable[..., Any]


def new_case(memory="gru", env=None, **settings):
    agent = make_agent(memory, env, **settings)
    params = redrawn(agent)

    state = first_state(agent, params=params)

    @jax.jit
    def collect(streams, key):
        how = dataclasses.replace(agent.gathering(state), key=key)
        streams, rollout = gather(agent, params, streams, how)
        return streams, rollout, agent.sequences(params, streams, rollout)

    streams = collect(state.streams, jax.random.key(1))[0]
    streams, rollout, batch = collect(streams, jax.random.key(2))
    entering = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]), rollout.memory_states
    )

    @jax.jit
    def learned(params, batch, entering):
        cut = batch.truncated & ~batch.terminated
        layout = lay_out(cut, jnp.ones_like(cut), agent._room)
        row = rows_of_finals(layout, agent._room)
        finals = jax.tree.map(lambda x: at_places(x, row), batch.finals)
        inputs = jax.tree.map(
            lambda x, y: jnp.concatenate([x, y[-1:]]), batch.inputs, batch.following
        )
        tape = on_tape(layout, inputs, batch.action, batch.reward, finals)
        values = agent.network(params).sequence(entering, tape)[1]
        return at_places(values, layout.place)

    return Case(agent, params, rollout, batch, entering, streams, learned)


_shared_case = functools.cache(new_case)


def case_of(memory="gru", env=None, **settings):
    """A case, which is made once for all tests that ask for the same."""
    return _shared_case(memory, env, **settings)


def gap(case, batch=None, entering=None):
    """Largest difference to the values that acted."""
    values = case.learned(
        case.params,
        case.batch if batch is None else batch,
        case.entering if entering is None else entering,
    )
    acted = as_sequences(
        case.rollout.transitions.extras.values, case.agent.sequence_length
    )
    return np.abs(np.asarray(values) - np.asarray(acted)).max()


@pytest.mark.shows("a memory of every mechanism", "pqn")
@pytest.mark.shows("Discrete actions", "pqn")
@pytest.mark.parametrize("memory", some_of("gru", "rmt"))
def test_the_learner_recomputes_the_values_that_acted(memory):
    case = case_of(memory)
    steps = case.rollout.transitions
    assert (steps.truncated & ~steps.terminated).any() and steps.terminated.any()
    assert gap(case) <= 1e-4


@pytest.mark.shows("Dict and Tuple observations", "pqn")
@pytest.mark.shows("pixels", "pqn")
@pytest.mark.slow  # as dqn
@pytest.mark.parametrize(
    "env", [MaskedToy("offset", "dict"), Toy("discrete", "pixels")], ids=repr
)
def test_any_observation(env):
    assert gap(case_of(env=env)) <= 1e-4


@pytest.mark.shows("all 42 memories", "pqn")
@pytest.mark.slow
@pytest.mark.parametrize("memory", memory_models.names())
def test_every_memory(memory, x64):
    assert gap(new_case(memory)) <= 1e-9


def test_every_step_is_beside_the_one_that_follows():
    case = case_of()
    following = case.batch.following.observation
    seen = case.rollout.transitions.inputs.observation
    everything = jnp.concatenate([seen[1:], case.streams.inputs.observation[None]])
    expected = as_sequences(everything, case.agent.sequence_length)
    np.testing.assert_array_equal(following, expected)


def test_planted_mistakes_are_seen():
    case = case_of()
    start = case.batch.inputs.start
    for planted in (jnp.roll(start, 1, axis=0), jnp.zeros_like(start)):
        inputs = case.batch.inputs._replace(start=planted)
        assert gap(case, case.batch._replace(inputs=inputs)) > 1e-2
    swapped = jax.tree.map(lambda x: jnp.flip(x, 0), case.entering)
    assert gap(case, entering=swapped) > 1e-2


def loss_by_hand(case, gamma, trace):
    """Half the mean squared error, every value by single steps of the network."""
    agent, batch = case.agent, jax.tree.map(np.asarray, case.batch)
    network = agent.network(case.params)
    step = jax.jit(lambda state, inputs: network.step(state, inputs))
    length, sequences = batch.reward.shape
    state, own, behind = case.entering, [], []
    for t in range(length):
        inputs = jax.tree.map(operator.itemgetter(t), batch.inputs)
        state, values = step(state, inputs)
        own.append(np.asarray(values))
        finals = jax.tree.map(operator.itemgetter(t), batch.finals)
        action, reward = batch.action[t], batch.reward[t]
        seen = Inputs(
            observation=finals.observation,
            start=np.zeros(sequences, bool),
            previous_action=None if inputs.previous_action is None else action,
            previous_reward=None if inputs.previous_reward is None else reward,
            action_mask=finals.action_mask,
        )
        after = jax.tree.map(operator.itemgetter(t), batch.following)
        pair = []
        for inputs in (seen, after):
            values = np.array(step(state, inputs)[1], np.float64)
            if inputs.action_mask is not None:
                allowed = agent.choices.allowed(jnp.asarray(inputs.action_mask))
                values[~np.asarray(allowed)] = -np.inf
            pair.append(values.max(-1))
        behind.append(pair)
    number = np.asarray(agent.choices.number(case.batch.action))
    terminated, truncated = np.asarray(batch.terminated), np.asarray(batch.truncated)
    errors = []
    for i in range(sequences):
        following, unknown = None, False
        cuts = np.flatnonzero(truncated[:, i] & ~terminated[:, i])
        without = set(cuts[agent._room :])
        for t in reversed(range(length)):
            cut = truncated[t, i] and not terminated[t, i]
            value = behind[t][0 if cut else 1][i]
            if following is None or cut:
                following = value
            if terminated[t, i] or cut:
                unknown = t in without
            target = float(batch.reward[t, i])
            if not terminated[t, i]:
                target += gamma * ((1 - trace) * value + trace * following)
            following = target
            if not unknown:
                errors.append(target - own[t][i, number[t, i]])
    return 0.5 * np.mean(np.square(errors)), len(errors) / number.size


CASES = {
    "default": {},
    "one step": {"q_lambda": 0.0},
    "to the end": {"q_lambda": 1.0, "sequence_length": None},
    "masked multi, tuple, previous action and reward": {
        "env": MaskedToy("multi", "tuple"),
        "previous_action": True,
        "previous_reward": True,
    },
}


@pytest.mark.shows("MultiDiscrete actions", "pqn")
@pytest.mark.shows("previous action and reward", "pqn")
@pytest.mark.shows("exact truncation", "pqn")
@pytest.mark.parametrize("name", CASES)
def test_the_loss_is_that_of_a_loop_over_the_steps(name):
    case = case_of(**CASES[name])
    agent = case.agent
    loss, metrics = jax.jit(agent.loss)(case.params, case.entering, case.batch)
    expected, share = loss_by_hand(case, agent.gamma, agent.q_lambda)
    assert 0.5 < share == pytest.approx(1 - float(metrics["replay/unknown"]), abs=1e-6)
    assert float(loss) == pytest.approx(expected, rel=1e-4)
    # The next episode's first observation in place of the final one is something else.
    planted = case.batch._replace(truncated=jnp.zeros_like(case.batch.truncated))
    other = jax.jit(agent.loss)(case.params, case.entering, planted)[0]
    assert abs(float(other) - expected) > 1e-2 * expected


def test_a_task_that_never_truncates_compiles_none_of_it():
    agent = make_agent(env=Toy(truncates=False))
    assert agent._room == 0
    state = jax.eval_shape(agent.init, jax.random.key(0))
    rollout = jax.eval_shape(lambda state: play(agent, state)[1], state)
    assert rollout.transitions.finals is None
    longer = dataclasses.replace(agent, env=Toy())
    assert longer._room == 1
