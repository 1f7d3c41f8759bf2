"""SAC: the policy that acted is recomputed, and the losses are those of a loop."""

import dataclasses
import functools
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.algorithms.sac import SAC
from agents.base import Inputs
from agents.experience.normalize import split_trainable
from agents.experience.rollout import play
from agents.networks.soft_actor_critic import (
    critics_of,
    log_probabilities,
    with_critics,
)
from tests.agents.algorithms.test_q_one import BATCH, ROLLOUTS, TIME, first_rows
from tests.agents.algorithms.test_ratio_one import (
    first_state,
    flipped,
    redrawn,
    some_of,
)
from tests.agents.toy import MaskedToy, Toy, task_and_memory


def make_agent(memory="gru", env=None, **settings):
    defaults = {
        "num_envs": BATCH,
        "rollout_length": TIME,
        "replay_size": BATCH * 6 * TIME,
        "learning_starts": 0,
        "batch_size": 16,
        "sequence_length": 12,
        "burn_in": 0,
        "replay_period": 4,
        "replay_start": "stored",
        "encoder_size": 8,
        "head_size": 16,
    }
    return SAC(**{**task_and_memory(memory, env), **defaults, **settings})


class Case(NamedTuple):
    """An agent, its state after some rollouts, the policies that acted, and windows.

    `step` takes parameters, memory states and inputs; `finals_of` a row's number.
    """

    agent: SAC
    state: Any
    acted: Any
    window: Any
    step: Callable[..., Any]
    finals_of: Callable[..., Any]


def new_case(memory="gru", env=None, **settings):
    agent = make_agent(memory, env, **settings)
    params = redrawn(agent)
    target = flipped(critics_of(split_trainable(params)[0]))
    state = first_state(agent, params=params, target=target)

    @jax.jit
    def played(state):
        streams, rollout = play(agent, state)
        replay, marks = agent.windows.write(
            state.replay, state.marks, rollout, state.updates
        )
        state = state._replace(
            streams=streams, replay=replay, marks=marks, updates=state.updates + 1
        )
        return state, rollout.transitions.extras

    acted = []
    for _ in range(ROLLOUTS):
        state, policy = played(state)
        acted.append(policy)
    acted = jax.tree.map(lambda *x: np.concatenate(x), *acted)
    window = jax.jit(
        lambda state: agent.windows.sample(
            state.replay, state.marks, state.updates, key=jax.random.key(2)
        )
    )(state)

    @jax.jit
    def step(params, state, inputs):
        network = agent.network(params)
        one = jax.tree.map(lambda x: x[None], inputs)
        state, remembered, valued = network.sequence(state, one)
        policy = network.distribution(remembered[0], inputs.action_mask)
        return state, policy, valued[0]

    @jax.jit
    def finals_of(row):
        at = jnp.full((1, window.stream.shape[0]), row)
        finals = agent.windows.ring.finals_of(state.replay, window, at)
        return jax.tree.map(operator.itemgetter(0), finals)

    return Case(agent, state, acted, window, step, finals_of)


_shared_case = functools.cache(new_case)


def case_of(memory="gru", env=None, **settings):
    """A case, which is made once for all tests that ask for the same."""
    return _shared_case(memory, env, **settings)


def stepped(case, params):
    """Policies and critics' memory by single steps: of rows and what they led to."""
    agent, window, found = case.agent, case.window, []
    state, rows = window.memory_states, jax.tree.map(np.asarray, window.rows)
    for t in range(agent.windows.ring.length):
        inputs = jax.tree.map(operator.itemgetter(t), rows.inputs)
        state, policy, valued = case.step(params, state, inputs)
        finals = case.finals_of(jnp.asarray(t, jnp.int32))
        seen = Inputs(
            observation=finals.observation,
            start=np.zeros_like(inputs.start),
            previous_action=None if inputs.previous_action is None else rows.action[t],
            previous_reward=None if inputs.previous_reward is None else rows.reward[t],
            action_mask=finals.action_mask,
        )
        found.append(((policy, valued), case.step(params, state, seen)[1:]))
    return found


CASES = {
    "discrete": {"temperature": 0.3},
    "box": {"env": Toy("box")},
    "shared memory": {"separate_memories": False, "temperature": 0.3},
    "masked multi, tuple, previous action and reward": {
        "env": MaskedToy("multi", "tuple"),
        "previous_action": True,
        "previous_reward": True,
        "temperature": 0.3,
    },
}


def gap(case):
    """Largest difference to the log-probabilities that acted, over all windows."""
    row, stream = first_rows(case), np.asarray(case.window.stream)
    differences = []
    for t, ((policy, _), _) in enumerate(stepped(case, case.state.params)):
        acted = jax.tree.map(lambda x, t=t: x[row + t, stream], case.acted)
        log_prob = policy.log_prob(jnp.asarray(acted.raw_action))
        differences.append(np.abs(log_prob - acted.log_prob).max())
    return max(differences)


@pytest.mark.shows("Discrete actions", "sac")
@pytest.mark.shows("MultiDiscrete actions", "sac")
@pytest.mark.shows("Box actions", "sac")
@pytest.mark.shows("Dict and Tuple observations", "sac")
@pytest.mark.shows("previous action and reward", "sac")
@pytest.mark.parametrize("name", CASES)
def test_the_learner_recomputes_the_policy_that_acted(name):
    assert gap(case_of(**CASES[name])) <= 1e-4


@pytest.mark.slow  # as dqn
@pytest.mark.shows("pixels", "sac")
def test_any_observation():
    assert gap(case_of(env=Toy("box", "pixels"), separate_memories=False)) <= 1e-4


@pytest.mark.shows("a memory of every mechanism", "sac")
@pytest.mark.parametrize("memory", some_of("gru", "memory_network"))
def test_every_mechanism(memory):
    assert gap(case_of(memory)) <= 1e-4


@pytest.mark.shows("all 42 memories", "sac")
@pytest.mark.slow
@pytest.mark.parametrize("memory", memory_models.names())
def test_every_memory(memory, x64):
    assert gap(new_case(memory)) <= 1e-9


@pytest.mark.shows("exact truncation", "sac")
@pytest.mark.parametrize("name", [name for name in CASES if name != "box"])
def test_losses_are_those_of_a_loop_over_the_steps(name):
    case = case_of(**CASES[name])
    agent, state, window = case.agent, case.state, case.window
    loss = jax.jit(agent.loss)
    _, ((error, known), metrics) = loss(state.params, state, window, jax.random.key(5))
    fixed = split_trainable(state.params)[1]
    slow = with_critics(state.params, eqx.combine(state.target, critics_of(fixed)))
    own, other = stepped(case, state.params), stepped(case, slow)
    network, target = agent.network(state.params), agent.network(slow)

    def soft_value(network, policy, valued):
        log_probability = np.asarray(log_probabilities(policy), np.float64)
        probability = np.exp(log_probability)
        worth = np.asarray(network.values(valued)).min(0) - 0.3 * log_probability
        return np.where(probability > 0, probability * worth, 0).sum(-1)

    rows = jax.tree.map(np.asarray, window.rows)
    number = np.asarray(network.choices.number(window.rows.action))
    value = [[], []]
    for t in range(12):
        for final in (0, 1):
            mine, theirs = (x[t][1] if final else x[t + 1][0] for x in (own, other))
            value[final].append(soft_value(target, mine[0], theirs[1]))
    behind = np.where(rows.cut[:-1], value[1], value[0])
    ahead = np.where(rows.terminated[:-1], 0, behind)
    expected = rows.reward[:-1] + agent.gamma * ahead
    lost = rows.cut[:-1] & ~np.asarray(window.kept)[:-1]
    assert not np.asarray(known)[lost].any() and np.asarray(known).mean() > 0.8
    policy_loss = []
    for t in range(12):
        policy, valued = own[t][0]
        taken = np.asarray(network.values(valued))[:, np.arange(16), number[t]]
        sure = np.asarray(known)[t]
        found = np.asarray(error)[t]
        np.testing.assert_allclose(
            found[sure], (expected[t] - taken.mean(0))[sure], atol=1e-4
        )
        policy_loss.append(-soft_value(network, policy, valued))
    assert float(metrics["loss/policy"]) == pytest.approx(
        np.mean(policy_loss), abs=1e-4
    )


def test_a_box_action_is_worth_what_is_drawn():
    """Over many draws, the value of the loss is the integral over actions."""
    case = case_of(env=Toy("box"))
    agent, params = case.agent, case.state.params
    network = agent.network(params)
    (policy, valued), _ = stepped(case, params)[3]
    keys = jax.random.split(jax.random.key(0), (4000, 16))
    many = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (4000, *x.shape)), (policy.mean, policy.log_std)
    )
    wide = eqx.tree_at(lambda p: (p.mean, p.log_std), policy, many)
    summary = jnp.broadcast_to(valued, (4000, *valued.shape))
    value, entropy = jax.jit(
        lambda: agent._soft_value(network, summary, wide, keys, jnp.asarray(0.2))
    )()
    np.testing.assert_allclose(entropy.mean(0), policy.entropy(), atol=0.05)
    raw = wide.sample(keys)
    critic = network.values(summary, wide.action(raw)).min(0)
    expected = critic.mean(0) + 0.2 * policy.entropy()
    np.testing.assert_allclose(value.mean(0), expected, atol=0.05)


@pytest.mark.parametrize("shared", [False, True])
def test_gradients_do_not_mix(shared):
    """The policy's loss moves no critic, nor the critics' loss the policy's head."""
    case = case_of(**CASES["shared memory" if shared else "discrete"])
    agent, state = case.agent, case.state
    trainable, fixed = split_trainable(state.params)

    def part(name):
        def loss(p):
            metrics = agent.loss(
                eqx.combine(p, fixed), state, case.window, jax.random.key(5)
            )[1][1]
            return metrics[name]

        return jax.jit(jax.grad(loss))(trainable)

    def size(tree):
        return max([float(jnp.abs(x).max()) for x in jax.tree.leaves(tree)], default=0)

    policy, critics = part("loss/policy"), part("loss/value")
    assert size(policy.value_heads) == 0 and size(policy.policy_head) > 1e-3
    assert size(critics.policy_head) == 0 and size(critics.value_heads) > 1e-3
    assert size(policy.actor) > 1e-3
    if shared:
        assert size(critics.actor) > 1e-3
    else:
        assert size(policy.critic) == 0 and size(critics.actor) == 0
        assert size(critics.critic) > 1e-3


def test_the_entropy_that_is_asked_for_falls_and_follows_the_mask():
    agent = make_agent(total_updates=10, entropy_first=0.5, entropy_last=0.1)
    place = jnp.zeros((1, 2), jnp.int32)

    def wanted(agent, updates, mask=None):
        found = agent._wanted_entropy(jnp.asarray(updates, jnp.int32), mask, place)
        return np.asarray(found)

    for updates, share in ((0, 0.5), (5, 0.3), (10, 0.1), (20, 0.1)):
        assert wanted(agent, updates) == pytest.approx(share * math.log(3), rel=1e-5)
    mask = jnp.asarray([[[True, False, True], [True, False, False]]])
    np.testing.assert_allclose(
        wanted(agent, 0, mask), [[0.5 * math.log(2), 0.0]], rtol=1e-5
    )
    box = make_agent(env=Toy("box"))
    assert wanted(box, 3) == pytest.approx(2 * math.log(1.5) - 2, rel=1e-5)


def test_the_temperature_moves_against_what_is_missing():
    case = case_of()
    agent, state = case.agent, case.state
    trainable, fixed = split_trainable(state.params)

    def gradient(first):
        other = dataclasses.replace(agent, entropy_first=first, entropy_last=first)

        def loss(p):
            return other.loss(
                eqx.combine(p, fixed), state, case.window, jax.random.key(5)
            )[0]

        return float(jax.jit(jax.grad(loss))(trainable).log_temperature)

    assert gradient(0.0) > 0 > gradient(1.0)  # too much entropy: down; too little: up
