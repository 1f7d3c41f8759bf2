"""The discounting chain against bsuite's rules written out in numpy, and its card."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.chains.discounting_chain import MAPPING_SEEDS, DiscountingChain


def reference(mapping_seed, actions):
    """[context, time], reward and end by bsuite's rules."""
    rewards = np.ones(5)
    rewards[mapping_seed % 5] += 0.1
    context, trace = -1, [((-1, 0.0), None, False)]
    for time, action in enumerate(actions, start=1):
        if time == 1:
            context = action
        paid = rewards[context] if time == [1, 3, 10, 30, 100][context] else 0.0
        trace.append(((context, time / 100), paid, time == 100))
    return trace


@pytest.mark.parametrize("mapping_seed", [0, 13])
def test_agrees_with_bsuite_step_by_step(mapping_seed):
    env = DiscountingChain(mapping_seed)
    actions = np.random.default_rng(0).integers(0, 5, (100, 10))
    actions[0] = [0, 1, 2, 3, 4] * 2

    def body(state, action):
        step = jax.vmap(env.step, (None, 0, 0))(jax.random.key(0), state, action)
        return step[1], (step[0], *step[2:])

    first, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 10))
    scan = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1])
    trace = jax.tree.map(np.asarray, scan(state, jnp.asarray(actions, jnp.int32)))
    observation, reward, terminated, truncated, info = trace
    assert not truncated.any()
    for i in range(10):
        expected = reference(mapping_seed, actions[:, i])
        np.testing.assert_allclose(first[i], expected[0][0])
        for t, (seen, paid, ended) in enumerate(expected[1:]):
            np.testing.assert_allclose(observation[t, i], seen, atol=1e-7)
            assert reward[t, i] == pytest.approx(paid)
            assert terminated[t, i] == ended
    best = actions[0] == mapping_seed % 5
    assert (info["success"] == (terminated & best)).all()
    assert (info["phase"][:, 0] == (np.arange(100) > 0)).all()


def test_card_by_enumeration_for_all_settings_of_bsuite():
    assert len(MAPPING_SEEDS) == 20
    bests = set()
    for seed, choice in itertools.product(MAPPING_SEEDS, range(5)):
        env = envs.make("DiscountingChain-v0", mapping_seed=seed)
        totals = [
            sum(paid or 0 for _, paid, _ in reference(seed, [first] + [choice] * 99))
            for first in range(5)
        ]
        assert max(totals) == env.card.memoryless.value == env.card.recall.value
        assert np.mean(totals) == pytest.approx(env.card.floor.value)
        bests.add((seed % 5, int(np.argmax(totals))))
    assert bests == {(n, n) for n in range(5)}
    assert env.card.memory == "none"


def test_mapping_seed_is_checked():
    with pytest.raises(ValueError, match="mapping_seed of at least 0"):
        envs.make("DiscountingChain-v0", mapping_seed=-1)
