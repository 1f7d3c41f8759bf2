"""HigherLower against POPGym, step by step, and the returns on its card."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.cards import Deal
from envs.popgym.games.higher_lower import counting_return
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
    higher_lower = pytest.importorskip("popgym.envs.higher_lower")


@at_every_level
def test_agrees_with_popgym_step_by_step(level):
    theirs = getattr(higher_lower, f"HigherLower{level}")()
    env = envs.make(f"HigherLower{level}-v0")
    first, _ = theirs.reset(seed=3)
    state = Deal(popgym_values(theirs.deck, "ranks"), jnp.zeros((), jnp.int32))
    assert first == state.values[0]
    rng = np.random.default_rng(0)
    actions, expected = popgym_trace(theirs, lambda _: int(rng.integers(2)))
    assert len(actions) == env.card.max_episode_steps
    assert 0 in [step[1] for step in expected]  # a tie
    assert_equal(our_trace(env, state, actions), expected)


def test_decks_hold_every_rank():
    env = envs.make("HigherLowerMedium-v0")
    _, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 500))
    ranks = np.asarray(state.values)
    assert all(((ranks == rank).sum(1) == 8).all() for rank in range(13))
    # Every position holds every rank equally often: 500 draws, 5 sigma.
    frequency = np.stack([(ranks == rank).mean(0) for rank in range(13)])
    assert np.abs(frequency - 1 / 13).max() < 5 * np.sqrt(12 / 169 / 500)


def test_memoryless_is_the_best_map_from_ranks_to_guesses():
    ranks = np.arange(52) // 4
    score = np.zeros((13, 2))
    for one, other in itertools.permutations(ranks, 2):
        score[one] += np.sign(other - one) * np.array([1, -1]) / (52 * 51)
    best = 51 / 52 * score.max(1).sum()
    for level in ("Easy", "Medium", "Hard"):
        card = envs.make(f"HigherLower{level}-v0").card
        assert card.memoryless.value == pytest.approx(best)


@pytest.mark.parametrize("decks", [1, 2])
def test_recall_by_counting_shuffled_decks(decks):
    """Guess by the cards left, known exactly, in plain numpy on many decks."""
    rng = np.random.default_rng(0)
    total = 52 * decks
    deck = np.repeat(np.arange(13), 4 * decks)
    ranks = rng.permuted(np.tile(deck, (5000, 1)), axis=1)
    left = np.full((5000, 13), 4 * decks)
    returns = np.zeros(5000)
    rows = np.arange(5000)
    for t in range(total - 1):
        shown, following = ranks[:, t], ranks[:, t + 1]
        left[rows, shown] -= 1
        above = np.where(np.arange(13) > shown[:, None], left, 0).sum(1)
        below = np.where(np.arange(13) < shown[:, None], left, 0).sum(1)
        guess = np.where(above >= below, 1, -1)
        returns += guess * np.sign(following - shown) / total
    error = returns.std() / np.sqrt(5000)
    assert abs(returns.mean() - counting_return(decks)) < 4 * error


def test_recall_by_playing_the_counts_of_hidden():
    """The counts that `hidden` gives are those that a memory would keep."""
    env = envs.make("HigherLowerEasy-v0")

    def policy(observation, start, state):
        left = env.hidden(state)["left"][0]
        rank = jnp.arange(13, dtype=jnp.int32)
        above = jnp.where(rank > observation, left, 0).sum()
        below = jnp.where(rank < observation, left, 0).sum()
        return jnp.where(above >= below, 0, 1).astype(jnp.int32)

    assert_attained(env, policy, env.card.recall.value)


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="not 0"):
        envs.make("HigherLowerEasy-v0", decks=0)
    many = envs.make("HigherLowerEasy-v0", decks=7).card
    assert many.recall.value is None and many.memoryless.value < many.oracle.value
