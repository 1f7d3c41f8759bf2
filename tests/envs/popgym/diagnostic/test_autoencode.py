"""Autoencode against POPGym, step by step, and the returns on its card."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.cards import Deal
from tests.envs.popgym.parity import (
    NOTHING,
    assert_attained,
    assert_equal,
    at_every_level,
    our_trace,
    popgym_trace,
    popgym_values,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    autoencode = pytest.importorskip("popgym.envs.autoencode")


@at_every_level
def test_agrees_with_popgym_step_by_step(level):
    theirs = getattr(autoencode, f"Autoencode{level}")()
    env = envs.make(f"Autoencode{level}-v0")
    first, _ = theirs.reset(seed=3)
    state = Deal(popgym_values(theirs.deck, "suits"), jnp.zeros((), jnp.int32))
    assert tuple(first) == (1, int(state.values[0]))
    rng = np.random.default_rng(0)

    def choose(theirs):  # right about half of the time
        right = theirs.deck.suits_idx[theirs.deck["system"][-1]]
        return int(rng.choice([right, rng.integers(4)]))

    actions, expected = popgym_trace(theirs, choose)
    assert len(actions) == env.card.max_episode_steps
    assert_equal(our_trace(env, state, actions), expected)


def score(policy, deck):
    """Right answers of a map from (mode, suit) to a suit, by the rules."""
    right = 0
    for age, suit in enumerate(reversed(deck)):
        right += policy[(0, deck[-1]) if age == 0 else (0, 0)] == suit
    return right


@pytest.mark.parametrize("each", [2, 13])
def test_memoryless_by_enumeration(each):
    """The best of all maps, with `each` cards of every suit."""
    views = [(0, suit) for suit in range(4)]
    best = max(
        expected_right(dict(zip(views, answers, strict=True)), each)
        for answers in itertools.product(range(4), repeat=4)
    )
    assert best == pytest.approx(each + 3 / 4)
    if each == 13:
        card = envs.make("AutoencodeEasy-v0").card
        assert card.memoryless.value == pytest.approx((2 * best - 52) / 52)


def expected_right(policy, each):
    """Mean over all decks, by the last card: the others' order does not matter."""
    total = 0.0
    for last in range(4):
        others = [suit for suit in range(4) for _ in range(each - (suit == last))]
        total += score(policy, [*others, last]) / 4
    return total


def test_memoryless_is_attained():
    env = envs.make("AutoencodeEasy-v0")
    best = env.card.memoryless.value
    assert_attained(env, lambda observation, start, state: observation[1], best)


def test_hidden_is_what_is_due():
    env = envs.make("AutoencodeEasy-v0")
    times = jnp.arange(103, dtype=jnp.int32)

    def hidden_at_all_times(key):
        _, state = env.reset(key)
        values = state.values
        return values, jax.vmap(lambda time: env.hidden(Deal(values, time)))(times)

    run = jax.jit(hidden_at_all_times, compiler_options=NOTHING)
    suits, hidden = jax.tree.map(np.asarray, run(jax.random.key(0)))
    due, age = hidden["due"]
    assert (due[:52] == suits).all() and (due[51:] == suits[::-1]).all()
    assert (age[:52] == 0).all() and (age[51:] == 2 * np.arange(52)).all()
    assert env.card.horizon == (0, age.max())
    first, age = hidden["first"]
    assert (first == suits[0]).all() and (age == times).all()


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="not 0"):
        envs.make("AutoencodeEasy-v0", decks=0)
    with pytest.raises(ValueError, match="32 bits"):
        envs.make("AutoencodeEasy-v0", decks=30_000_000)
