"""CountRecall against POPGym, step by step, and the returns on its card.

POPGym 1.0.7 is meant; older versions have one action less, which changes no step.
"""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import envs
from envs.popgym.diagnostic.count_recall import CountRecallState
from tests.envs.popgym.parity import (
    assert_attained,
    assert_equal,
    at_every_level,
    our_trace,
    popgym_trace,
    popgym_values,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    count_recall = pytest.importorskip("popgym.envs.count_recall")

LEVELS = {"Easy": "colors", "Medium": "suits", "Hard": "ranks"}


@at_every_level
def test_agrees_with_popgym_step_by_step(level):
    theirs = getattr(count_recall, f"CountRecall{level}")()
    env = envs.make(f"CountRecall{level}-v0")
    assert env.action_space.n == theirs.action_space.n
    first, _ = theirs.reset(seed=3)
    decks = (theirs.value_deck, theirs.query_deck)
    values, queries = (popgym_values(deck, LEVELS[level]) for deck in decks)
    kinds = theirs.num_distinct_cards
    counts = (jnp.arange(kinds) == first[0]).astype(jnp.int32)
    state = CountRecallState(values, queries, jnp.zeros((), jnp.int32), counts)
    assert first.tolist() == [values[0], queries[0]]
    rng = np.random.default_rng(0)
    largest = theirs.action_space.n - 1

    def choose(theirs):  # right about half of the time
        right = theirs.counts[theirs.query]
        return int(rng.choice([right, rng.integers(largest + 1)]))

    actions, expected = popgym_trace(theirs, choose)
    assert len(actions) == env.card.max_episode_steps
    assert_equal(our_trace(env, state, actions), expected)


def test_the_largest_count_can_be_answered():
    """What POPGym's older action space lacked: all 26 of a colour, all dealt."""
    env = envs.make("CountRecallEasy-v0")
    values = jnp.repeat(jnp.array([0, 1], jnp.int8), 26)
    state = CountRecallState(
        values, values, jnp.int32(25), jnp.array([26, 0], jnp.int32)
    )
    reward = env.step(jax.random.key(0), state, jnp.int32(26))[2]
    assert reward > 0 and env.action_space.contains(26)


def test_decks_are_whole_and_independent():
    env = envs.make("CountRecallMedium-v0")
    keys = jax.random.split(jax.random.key(0), 500)
    observation, state = jax.jit(jax.vmap(env.reset))(keys)
    values, queries = np.asarray(state.values), np.asarray(state.queries)
    for deck in (values, queries):
        assert all(((deck == suit).sum(1) == 26).all() for suit in range(4))
        frequency = np.stack([(deck == suit).mean(0) for suit in range(4)])
        assert np.abs(frequency - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 500)
    # Alike at a quarter of the 52,000 positions; they are almost independent.
    assert abs((values == queries).mean() - 0.25) < 5 * np.sqrt(0.1875 / 52_000)
    counts = np.asarray(state.counts)
    assert (counts.argmax(1) == values[:, 0]).all() and (counts.sum(1) == 1).all()
    assert (np.asarray(observation)[:, 1] == queries[:, 0]).all()


@pytest.mark.parametrize("level", LEVELS)
def test_memoryless_by_summing_over_steps(level):
    """For each of start, alike and different the best constant, by its chances."""
    env = envs.make(f"CountRecall{level}-v0")
    kinds, most = env.observation_space.nvec[0], env.action_space.n - 1
    total = kinds * most
    before = np.arange(1, total - 1)[:, None]  # cards dealt before the one on show
    count = np.arange(most + 1)
    different = stats.hypergeom.pmf(count, total - 1, most, before).sum(0)
    alike = stats.hypergeom.pmf(count - 1, total - 1, most - 1, before).sum(0)
    right = 1 + alike.max() / kinds + different.max() * (kinds - 1) / kinds
    best = 2 * right / (total - 1) - 1
    assert env.card.memoryless.value == pytest.approx(best)


def test_memoryless_is_attained():
    env = envs.make("CountRecallEasy-v0")

    def policy(observation, start, state):
        alike = observation[0] == observation[1]
        first = jnp.where(alike, 1, 0)
        return jnp.where(start, first, 13).astype(jnp.int32)

    assert_attained(env, policy, env.card.memoryless.value)


def test_hidden_counts_and_ages():
    env = envs.make("CountRecallEasy-v0")
    values = jnp.array([0, 0, 1, 0] * 13, jnp.int8)
    queries = jnp.array([1, 0, 0, 1] * 13, jnp.int8)
    zeros = jnp.zeros(2, jnp.int32).at[0].set(1)
    state = CountRecallState(values, queries, jnp.int32(0), zeros)
    seen = []
    for _ in range(5):
        hidden = env.hidden(state)
        seen.append([int(x) for x in hidden["answer"]])
        assert int(hidden["counts"][1]) == int(state.cursor)
        state = env.step(jax.random.key(0), state, jnp.int32(0))[1]
    # Nothing like the first query was dealt before; the fourth is one step old.
    assert seen == [[0, 0], [2, 0], [2, 1], [1, 1], [1, 2]]


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="not 0"):
        envs.make("CountRecallEasy-v0", decks=0)
    with pytest.raises(ValueError, match="not by 'colors'"):
        envs.make("CountRecallEasy-v0", kind="colors")


def test_the_package_gives_the_counts_away_and_clamps_no_error():
    def play(clamp):
        theirs = count_recall.CountRecallEasy(error_clamp=clamp)
        theirs.reset(seed=0)
        return [theirs.step(3) for _ in range(40)]

    steps = play(0.1)
    rewards = [step[1] for step in steps]
    assert all("counts" in step[4] for step in steps)
    assert rewards == [step[1] for step in play(2.0)]
    assert len({abs(reward) for reward in rewards}) == 1  # however wrong
    env = envs.make("CountRecallEasy-v0")
    _, state = env.reset(jax.random.key(0))
    assert set(env.step(jax.random.key(1), state, jnp.int32(0))[5]) == {"decision"}
