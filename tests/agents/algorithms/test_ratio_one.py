"""Before the first update the learner recomputes exactly the policy that acted.

The test of tests: it fails for a reset one step early or late, for the wrong stored
memory state, for interleaved chunks, for step and sequence modes that differ. Four
such mistakes are planted to see that it does.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.algorithms.ppo import PPO
from agents.experience.normalize import Moments, normalized, with_statistics
from agents.experience.rollout import _episodes
from envs.probing.probe import Probe
from envs.vector import Step
from tests.agents.toy import HiddenToy, MaskedToy, Toy, task_and_memory

MECHANISMS = [
    *("none", "frame_stack", "gru", "ffm"),
    *("attention", "rmt", "memory_network"),
]
"""One model per mechanism."""


def some_of(*kept):
    """The mechanisms as parameters, those not kept marked slow.

    By default PPO is seen with every one of them, the agents that value actions with
    the GRU and some each, so that every mechanism is seen with two agents.
    """
    return [
        name if name in kept else pytest.param(name, marks=pytest.mark.slow)
        for name in MECHANISMS
    ]


def make_agent(memory="gru", env=None, **settings):
    defaults = {
        "num_envs": 6,
        "rollout_length": 24,
        "sequence_length": 8,
        "num_minibatches": 3,
        "encoder_size": 8,
        # Not the default: redrawn, it leaves no doubt, and mistakes change no policy.
        "head_size": 32,
    }
    return PPO(**{**task_and_memory(memory, env), **defaults, **settings})


def redrawn(agent):
    """Parameters, all normal at scale 0.3: customary small heads hide everything."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(agent.init, jax.random.key(0)).params
    params = jax.tree.map(
        lambda x: jnp.asarray(0.3 * rng.normal(size=x.shape), x.dtype), shapes
    )

    def plausible(moments):
        """Statistics as of some other experience: a variance is not negative."""
        variance = 1 + jnp.square(moments.variance)
        return Moments(jnp.full_like(moments.count, 200), moments.mean, variance)

    statistics = jax.tree.map(
        plausible, params.statistics, is_leaf=lambda x: isinstance(x, Moments)
    )
    return with_statistics(params, statistics)


def first_streams(agent):
    """Where the streams stand before any step."""
    return jax.jit(lambda key: agent.init(key).streams)(jax.random.key(0))


def first_state(agent, **others):
    """The state before any step, with other parameters.

    Its own, which are not used, are not drawn: that is half of compiling a case.
    """

    def begin(key, others):
        return agent.init(key)._replace(**others)

    return jax.jit(begin)(jax.random.key(0), others)


def flipped(params):
    """Parameters like those given, but others."""
    return jax.tree.map(lambda x: jnp.asarray(np.flip(x)), params)


class Case(NamedTuple):
    """An agent, its redrawn parameters, a rollout, and the learner's pass compiled.

    `statistics` are those that the next update is to use, `first` are the streams
    before any rollout.
    """

    agent: PPO
    params: Any
    rollout: Any
    batch: Any
    gap: Callable[..., tuple[jax.Array, jax.Array]]
    statistics: Any
    first: Any


def second_rollout(agent):
    """A case whose rollout does not begin with initial memory states."""

    params = redrawn(agent)

    def collect(params, streams, key):
        streams, rollout = agent.rollout(params, streams, key)
        statistics, streams, rollout = normalized(agent, params, streams, rollout)
        batch = agent.advantages(params, streams, rollout)
        return streams, rollout, batch, statistics

    collect = jax.jit(collect)
    first = first_streams(agent)
    streams = collect(params, first, jax.random.key(1))[0]
    _, rollout, batch, statistics = collect(params, streams, jax.random.key(2))

    def gap(params, batch, entering):
        """Largest differences in log-probability and in value."""
        state = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), entering)
        steps = batch.transitions
        _, distribution, value = agent.network(params).sequence(state, steps.inputs)
        log_ratio = distribution.log_prob(steps.extras.raw_action)
        log_ratio = log_ratio - steps.extras.log_prob
        return jnp.abs(log_ratio).max(), jnp.abs(value - steps.extras.value).max()

    return Case(agent, params, rollout, batch, jax.jit(gap), statistics, first)


@functools.cache
def case_of(memory):
    """The default agent with a memory; shared by the tests below."""
    return second_rollout(make_agent(memory))


def gaps(case, batch=None, entering=None):
    """The learner's two gaps, with a planted batch or entering state if given."""
    batch = case.batch if batch is None else batch
    entering = case.rollout.memory_states if entering is None else entering
    return [float(gap) for gap in case.gap(case.params, batch, entering)]


@pytest.mark.shows("a memory of every mechanism", "ppo")
@pytest.mark.shows("Discrete actions", "ppo")
@pytest.mark.parametrize("memory", MECHANISMS)
def test_every_mechanism(memory):
    case = case_of(memory)
    steps = case.rollout.transitions
    assert steps.terminated.any() and steps.truncated.any()
    assert (steps.terminated & steps.truncated).any()
    assert max(gaps(case)) <= 1e-4


CASES = {
    "masked multi, tuple, previous action and reward": {
        "env": MaskedToy("multi", "tuple"),
        "previous_action": True,
        "previous_reward": True,
    },
    "masked offset, dict, one sequence per rollout": {
        "env": MaskedToy("offset", "dict"),
        "sequence_length": None,
    },
    "one action allowed at a time": {"env": Probe(("action_mask",))},
    "clipped box, multi, previous action": {
        "env": Toy("box", "multi"),
        "previous_action": True,
    },
    "squashed box, pixels": {"env": Toy("box", "pixels"), "squash": "tanh"},
    "normalised": {
        "env": Toy(observations="dict"),
        "normalize_observation": True,
        "normalize_reward": True,
        "previous_reward": True,
    },
    "critic sees hidden": {"env": HiddenToy(), "critic_sees_hidden": True},
    "every option, separate memories": {
        "env": HiddenToy(),
        "normalize_observation": True,
        "normalize_reward": True,
        "staggered_starts": True,
        "critic_sees_hidden": True,
        "separate_memories": True,
        "head_size": 32,
    },
}


@functools.cache
def case_named(name):
    """A case of the table, with the GRU."""
    return second_rollout(make_agent(**CASES[name]))


@pytest.mark.shows("MultiDiscrete actions", "ppo")
@pytest.mark.shows("Box actions", "ppo")
@pytest.mark.shows("Dict and Tuple observations", "ppo")
@pytest.mark.shows("pixels", "ppo")
@pytest.mark.shows("previous action and reward", "ppo")
@pytest.mark.parametrize("case", CASES)
def test_every_space_and_setting(case):
    assert max(gaps(case_named(case))) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("memory", memory_models.names())
@pytest.mark.parametrize("case", CASES)
def test_full_product(memory, case, x64):
    """In float64: some memories' values are in the hundreds before any training."""
    settings = CASES[case]
    if memory_models.reads_columns(memory):  # its task is that of every case
        settings = {name: x for name, x in settings.items() if name != "env"}
        settings.pop("critic_sees_hidden", None)
    assert max(gaps(second_rollout(make_agent(memory, **settings)))) <= 1e-9


@pytest.mark.shows("all 42 memories", "ppo")
@pytest.mark.slow
@pytest.mark.parametrize("memory", memory_models.names())
def test_every_memory(memory, x64):
    assert max(gaps(second_rollout(make_agent(memory)))) <= 1e-9


@pytest.mark.parametrize("memory", ["ffm", pytest.param("gru", marks=pytest.mark.slow)])
def test_double_precision(memory, x64):
    case = second_rollout(make_agent(memory, separate_memories=True))
    assert case.rollout.transitions.extras.value.dtype == jnp.float64
    assert max(gaps(case)) <= 1e-9


def test_loss_uses_the_same_pass():
    """The agent's own loss sees ratio one: no clipping, no divergence."""
    case = case_of("gru")
    entering = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]), case.rollout.memory_states
    )
    _, metrics = jax.jit(case.agent.loss)(case.params, entering, case.batch)
    assert abs(float(metrics["policy/kl"])) < 1e-6
    assert float(metrics["policy/clip_fraction"]) == 0


@pytest.fixture(scope="module")
def learned():
    """Metrics of the agent's own learning stage when it cannot learn."""
    case = case_of("gru")
    # Too small to change any weight.
    agent = dataclasses.replace(case.agent, learning_rate=1e-30)
    optimizer_state = agent.optimizer.init(case.params)

    @jax.jit
    def learn(batch, memory_states, key):
        return agent.learn(case.params, optimizer_state, batch, memory_states, key)[2]

    def metrics(memory_states=case.rollout.memory_states, key=1):
        found = learn(case.batch, memory_states, jax.random.key(key))
        return jax.tree.map(np.asarray, found)

    return metrics


def test_minibatches_pair_sequences_with_their_memory_states(learned):
    metrics = learned()
    assert abs(metrics["policy/kl"].mean()) < 1e-6
    assert metrics["policy/clip_fraction"].max() == 0
    states = case_of("gru").rollout.memory_states
    swapped = jax.tree.map(lambda x: jnp.flip(x, 1), states)
    assert learned(swapped)["policy/kl"].mean() > 1e-5


def test_every_epoch_learns_from_everything_in_an_order_of_its_own(learned):
    """Nothing is learned here, so a loss says which sequences are in a minibatch."""
    losses = np.concatenate([learned(key=key)["loss/value"] for key in (1, 2)])
    epochs, minibatches = losses.shape
    assert (epochs, minibatches) == (8, 3)
    means = losses.mean(1)
    np.testing.assert_allclose(means, means[0], rtol=1e-5)
    parts = np.sort(losses, axis=1)
    for one, other in itertools.combinations(range(epochs), 2):
        assert np.abs(parts[one] - parts[other]).max() > 1e-3 * means[0]


# Planted mistakes, each in the learner's pass only ------------------------------


def with_starts(case, starts):
    """The batch with other start flags."""
    steps = case.batch.transitions
    steps = steps._replace(inputs=steps.inputs._replace(start=starts))
    return case.batch._replace(transitions=steps)


@pytest.mark.parametrize("memory", MECHANISMS[1:])
def test_planted_mistakes_are_seen(memory):
    case = case_of(memory)
    agent, entering = case.agent, case.rollout.memory_states
    starts = case.batch.transitions.inputs.start

    late = with_starts(case, jnp.roll(starts, 1, axis=0))
    assert min(gaps(case, late)) > 1e-2
    never = with_starts(case, jnp.zeros_like(starts))
    assert min(gaps(case, never)) > 1e-2

    # The state stored after the step instead of before it.
    first = jax.tree.map(lambda x: x[0], case.batch.transitions.inputs)

    def after_one_step(entering):
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), entering)
        after = agent.network(case.params).step(flat, first)[0]
        return jax.tree.map(lambda x, like: x.reshape(like.shape), after, entering)

    assert min(gaps(case, entering=jax.jit(after_one_step)(entering))) > 1e-2

    # Chunks cut by a reshape that takes every third step instead of neighbours.
    def interleave(x):
        chunks = x.shape[0] // agent.sequence_length
        x = x.reshape(agent.sequence_length, chunks, *x.shape[1:])
        return x.reshape(agent.sequence_length, -1, *x.shape[3:])

    wrong = jax.tree.map(interleave, case.rollout.transitions)
    assert min(gaps(case, case.batch._replace(transitions=wrong))) > 1e-2


def test_statistics_updated_before_learning_are_seen():
    for name in ("normalised", "every option, separate memories"):
        case = case_named(name)
        early = with_statistics(case.params, case.statistics)
        assert min(gaps(case._replace(params=early))) > 1e-2


def test_hidden_variables_reach_the_values_and_never_the_policy():
    """With those of another step, values are off and probabilities are not."""
    for name in ("critic sees hidden", "every option, separate memories"):
        case = case_named(name)
        steps = case.batch.transitions
        hidden = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), steps.inputs.hidden)
        inputs = steps.inputs._replace(hidden=hidden)
        planted = case.batch._replace(transitions=steps._replace(inputs=inputs))
        log_probability_gap, value_gap = gaps(case, planted)
        assert log_probability_gap <= 1e-4
        assert value_gap > 1e-2
        # They are those of the state observed, also where an episode has just begun.
        seen = np.clip(steps.inputs.hidden["noise"][0], -4, 4)
        np.testing.assert_array_equal(seen, steps.inputs.observation[..., :2])
        # The policy as it acts, with hidden variables, others and none.
        first = jax.tree.map(lambda x: x[0], (steps.inputs, inputs))
        entering = jax.tree.map(
            lambda x: x.reshape(-1, *x.shape[2:]), case.rollout.memory_states
        )
        act = jax.jit(case.agent.act)
        keys = jax.random.split(jax.random.key(5), first[0].start.shape[0])
        results = [
            act(case.params, entering, inputs, key=keys)
            for inputs in (*first, first[0]._replace(hidden=None))
        ]
        values = [np.asarray(extras.value) for _, _, extras in results]
        assert np.abs(values[0] - values[1]).max() > 1e-2
        value = jax.jit(lambda case, state, inputs: case.value(state, inputs))
        alone = value(case.agent.network(case.params), entering, first[0])
        np.testing.assert_allclose(alone, values[0], atol=1e-5)
        assert np.isnan(values[2]).all()
        for action, memory_state, extras in results[1:]:
            np.testing.assert_array_equal(action, results[0][0])
            np.testing.assert_allclose(extras.log_prob, results[0][2].log_prob)
            jax.tree.map(np.testing.assert_array_equal, memory_state, results[0][1])


def test_sequences_are_contiguous():
    from agents.experience.rollout import as_sequences

    time, batch = 24, 6
    steps = jnp.arange(time)[:, None] * 100 + jnp.arange(batch)[None, :]
    sequences = np.asarray(as_sequences(steps, 8))
    assert sequences.shape == (8, 18)
    for index in range(18):
        stretch, stream = divmod(index, batch)
        expected = np.arange(stretch * 8, stretch * 8 + 8) * 100 + stream
        np.testing.assert_array_equal(sequences[:, index], expected)


def test_masks_are_those_of_the_states_acted_in():
    """The task's mask follows from the step of the episode, which starts tell."""
    steps = case_named("masked multi, tuple, previous action and reward").rollout
    steps = jax.tree.map(np.asarray, steps.transitions)
    seen = 0
    for stream in range(steps.reward.shape[1]):
        time = None  # unknown before the first start
        for t, start in enumerate(steps.inputs.start[:, stream]):
            time = 0 if start else None if time is None else time + 1
            if time is None:
                continue
            mask = steps.inputs.action_mask[t, stream]
            assert np.flatnonzero(~mask).tolist() == [time % 3, 3 + time % 2]
            first, second = steps.extras.raw_action[t, stream]
            assert mask[first] and mask[3 + second]
            seen += time > 0
    assert seen > 20


def test_episode_statistics_by_hand():
    step = Step(
        observation=None,
        reward=jnp.zeros(4),
        terminated=jnp.asarray([True, False, True, False]),
        truncated=jnp.asarray([False, True, True, False]),
        final_observation=None,
        info={"success": jnp.asarray([True, False, False, True])},
        episode_return=jnp.asarray([1.0, 2.0, 4.0, 8.0]),
        episode_length=jnp.asarray([3, 5, 7, 11], jnp.int32),
        action_mask=None,
        final_action_mask=None,
        final_hidden=None,
    )
    metrics = {k: float(x) for k, x in _episodes(step).metrics(True).items()}
    assert metrics == {
        "train/return": pytest.approx(7 / 3),
        "train/episode_length": 5,
        "train/episodes": 3,
        "train/success": pytest.approx(1 / 3),
    }
