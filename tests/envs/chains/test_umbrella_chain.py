"""The umbrella chain against bsuite's rules written out in numpy, and its card."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.chains.umbrella_chain import SETTINGS, UmbrellaChain

SHAPES = [UmbrellaChain(1, 0), UmbrellaChain(4, 35)]
STREAMS = 2000


def reference(length, need, have, actions, coins):
    """[need, have, time left], reward and end by bsuite's rules.

    What is random is given: need and possession at the start, and the coins (+-1) paid
    before the last step.
    """
    trace = [((need, have, 1.0), None, False)]
    for step, (action, coin) in enumerate(zip(actions, coins, strict=True), start=1):
        if step == 1:
            have = action
        ended = step == length
        reward = coin
        if ended:
            reward = 1.0 if have == need else -1.0
        trace.append(((need, have, 1 - step / length), reward, ended))
    return trace


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def played(request):
    env = request.param
    actions = np.random.default_rng(0).integers(0, 2, (env.length, STREAMS))

    def body(state, inputs):
        key, action = inputs
        step = jax.vmap(env.step)(jax.random.split(key, STREAMS), state, action)
        return step[1], (step[0], *step[2:])

    @jax.jit
    def run(key, actions):
        first, state = jax.vmap(env.reset)(jax.random.split(key, STREAMS))
        keys = jax.random.split(jax.random.fold_in(key, 1), env.length)
        return first, jax.lax.scan(body, state, (keys, actions))[1]

    actions = jnp.asarray(actions, jnp.int32)
    trace = run(jax.random.key(0), actions)
    return env, np.asarray(actions), *jax.tree.map(np.asarray, trace)


def test_agrees_with_bsuite_step_by_step(played):
    env, actions, first, (observation, reward, terminated, truncated, info) = played
    assert not truncated.any()
    assert set(np.unique(reward)) == {-1.0, 1.0}
    for i in range(100):
        need, have, _ = first[i, :3]
        expected = reference(env.length, need, have, actions[:, i], reward[:, i])
        np.testing.assert_allclose(first[i, :3], expected[0][0])
        for t, (seen, paid, ended) in enumerate(expected[1:]):
            np.testing.assert_allclose(observation[t, i, :3], seen, atol=1e-7)
            assert (reward[t, i], terminated[t, i]) == (paid, ended), (i, t)
    assert (info["success"] == (terminated & (reward == 1))).all()
    assert (info["phase"] == (np.arange(env.length) > 0)[:, None]).all()


def test_all_coins_are_fair_and_independent(played):
    """Every pair of bits, of one step and of the next, within 5 sigma."""
    env, _, first, (observation, reward, *_) = played
    bits = [first[:, [0, 1]] > 0.5]
    for t in range(env.length):
        if t < env.length - 1:
            bits.append(reward[t][:, None] > 0)
        if t < 2:
            bits.append(observation[t][:, 3:] > 0.5)
    if env.distractors:
        bits.append(first[:, 3:] > 0.5)
        assert set(np.unique(observation[:, :, 3:])) == {0.0, 1.0}
    signs = 2.0 * np.concatenate(bits, axis=1) - 1
    assert (np.abs(signs.mean(0)) < 5 / np.sqrt(STREAMS)).all()
    products = signs.T @ signs / STREAMS - np.eye(signs.shape[1])
    assert (np.abs(products) < 5 / np.sqrt(STREAMS)).all()


@pytest.mark.parametrize("length", [1, 3])
def test_card_by_enumeration(length):
    """Maps from need and possession to an action, over all that can be drawn."""
    pairs = list(itertools.product((0, 1), repeat=2))
    totals = []
    for answers in itertools.product((0, 1), repeat=4):
        policy = dict(zip(pairs, answers, strict=True))
        drawn = [
            sum(paid or 0 for _, paid, _ in trace(length, pair, policy, coins))
            for pair in pairs
            for coins in itertools.product((-1, 1), repeat=length)
        ]
        totals.append(np.mean(drawn))
    card = UmbrellaChain(length).card
    assert max(totals) == card.memoryless.value == card.recall.value == 1.0
    # A policy that draws its first action is a mixture of these.
    assert np.mean(totals) == card.floor.value == 0.0
    assert card.memory == "none"


def trace(length, pair, policy, coins):
    actions = [policy[pair]] + [1 - policy[pair]] * (length - 1)  # later ones: nothing
    return reference(length, *pair, actions, coins)


def test_all_settings_of_bsuite():
    assert len(SETTINGS) == 23
    for n in SETTINGS:
        assert envs.make(f"UmbrellaLength{n}-v0") == UmbrellaChain(n, 20)
        assert envs.make(f"UmbrellaDistract{n}-v0") == UmbrellaChain(20, n)
    for prefix in ("UmbrellaLength", "UmbrellaDistract"):
        assert sum(name.startswith(prefix) for name in envs.names()) == 23


@pytest.mark.parametrize("name, least", [("length", 1), ("distractors", 0)])
def test_parameters_are_checked(name, least):
    with pytest.raises(ValueError, match=f"{name} of at least {least} and"):
        envs.make("UmbrellaChain-v0", **{name: least - 1})
