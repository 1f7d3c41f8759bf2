"""Serial recall against its rules written out as plain loops, and its card."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.chains.sequence_order import SequenceOrder, SequenceOrderState

SETTINGS = [
    SequenceOrder(items=3, symbols=4, delay=2),
    SequenceOrder(items=3, symbols=3, delay=0, reverse=True),
    SequenceOrder(items=1, symbols=2, delay=1),
]


def reference(env, order, actions):
    """Observations (one more than actions) and rewards of an episode."""
    watch = [item + 1 for item in order]
    signals = [env.symbols + 1] * env.items
    shown = [*watch, *[0] * env.delay, *signals, 0]
    due = order[::-1] if env.reverse else order
    paid = [0.0] * (env.items + env.delay)
    for item, action in zip(due, actions[len(paid) :], strict=True):
        paid.append(1 / env.items if action == item else -1 / env.items)
    return shown, paid


def lists(env):
    return list(itertools.permutations(range(env.symbols), env.items))


@pytest.fixture(scope="module", params=SETTINGS, ids=str)
def played(request):
    """Every list four times, half of the answers right."""
    env = request.param
    orders = np.array(lists(env) * 4)
    rng = np.random.default_rng(0)
    steps = 2 * env.items + env.delay
    actions = rng.integers(0, env.symbols, (len(orders), steps))
    due = orders[:, ::-1] if env.reverse else orders
    knows = rng.random(due.shape) < 0.5
    knows[:: len(lists(env))] = True
    actions[:, -env.items :] = np.where(knows, due, actions[:, -env.items :])
    zeros = jnp.zeros(len(orders), jnp.int32)
    state = SequenceOrderState(jnp.asarray(orders, jnp.int32), zeros, zeros)

    def body(state, action):
        step = jax.vmap(env.step, (None, 0, 0))(jax.random.key(0), state, action)
        observation, after, *rest = step
        return after, (observation, *rest, jax.vmap(env.hidden)(state))

    scan = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1])
    trace = scan(state, jnp.asarray(actions.T, jnp.int32))
    return env, orders, actions, jax.tree.map(np.asarray, trace)


def test_agrees_with_the_rules(played):
    env, orders, actions, trace = played
    observation, reward, terminated, truncated, info, _ = trace
    assert not truncated.any()
    assert terminated[-1].all() and not terminated[:-1].any()
    assert len(terminated) == env.card.max_episode_steps
    for i, order in enumerate(orders.tolist()):
        shown, paid = reference(env, order, actions[i].tolist())
        assert observation[:, i].tolist() == shown[1:]
        np.testing.assert_allclose(reward[:, i], paid, atol=1e-6)
        assert info["success"][:-1, i].sum() == 0
        assert info["success"][-1, i] == (sum(paid) > 1 - 1e-6)
    assert info["success"][-1].any()
    recall = [False] * (env.items + env.delay) + [True] * env.items
    assert info["decision"][:, 0].tolist() == recall
    phases = [0] * env.items + [1] * env.delay + [2] * env.items
    assert info["phase"][:, 0].tolist() == phases


def test_hidden_and_horizon(played):
    """What is due was on show as many steps ago as `hidden` says."""
    env, orders, _, trace = played
    value, age = trace[-1]["due"]
    ages = age[-env.items :, 0].tolist()
    for back, time in enumerate(range(-env.items, 0)):
        place = env.items - 1 - back if env.reverse else back
        assert (value[time] == orders[:, place]).all()
        assert ages[back] == env.items + env.delay + back - place
    assert env.card.horizon == (min(ages), max(ages))
    watched = np.arange(env.items)
    assert (value[watched] == orders.T).all() and (age[watched] == 0).all()
    order, since = trace[-1]["order"]
    assert (order == orders[None]).all()
    assert since[:, 0].tolist() == list(range(len(order)))


@pytest.mark.parametrize("env", SETTINGS[:2], ids=str)
def test_floor_and_memoryless_by_enumeration(env):
    """Every symbol is named alike at all places, whatever the chances of each."""
    steps = env.items + env.delay
    totals = []
    for symbol in range(env.symbols):
        actions = [0] * steps + [symbol] * env.items
        totals.append(np.mean([sum(reference(env, o, actions)[1]) for o in lists(env)]))
    assert np.allclose(totals, env.card.memoryless.value)
    # A policy that draws its answers is a mixture of sequences of them.
    answers = itertools.product(range(env.symbols), repeat=env.items)
    played = [
        sum(reference(env, order, [0] * steps + list(named))[1])
        for named in answers
        for order in lists(env)
    ]
    assert np.mean(played) == pytest.approx(env.card.floor.value)


def test_lists_are_arrangements_and_equally_likely():
    env = SETTINGS[0]
    keys = jax.random.split(jax.random.key(1), 4800)
    first, state = jax.jit(jax.vmap(env.reset))(keys)
    assert (np.asarray(first) == np.asarray(state.order)[:, 0] + 1).all()
    found, counts = np.unique(np.asarray(state.order), axis=0, return_counts=True)
    assert [tuple(row) for row in found.tolist()] == sorted(lists(env))
    expected = 4800 / math.perm(4, 3)
    # Chi-squared of 23 degrees: mean 23, standard deviation 6.8; here mean + 5.
    assert ((counts - expected) ** 2 / expected).sum() < 23 + 5 * np.sqrt(46)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"symbols": 1}, "symbols of at least 2"),
        ({"items": 11}, "items of at least 1 and at most 10"),
        ({"items": 0}, "items of at least 1"),
        ({"delay": -1}, "delay of at least 0"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("SequenceOrder-v0", **parameters)
