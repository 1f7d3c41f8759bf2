"""Concentration against POPGym, step by step, and the returns on its card."""

import functools
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.games.concentration import ConcentrationState
from envs.popgym.games.concentration_returns import least_failures, random_return
from tests.envs.popgym.parity import (
    assert_equal,
    at_every_level,
    our_trace,
    popgym_trace,
    returns_of,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    concentration = pytest.importorskip("popgym.envs.concentration")


def table(values):
    """The start, with these cards."""
    none = jnp.full((), -1, jnp.int32)
    values = jnp.asarray(values, jnp.int8)
    up = jnp.zeros(values.size, bool)
    return ConcentrationState(values, up, none, none, jnp.zeros((), jnp.int32))


def like(theirs):
    """A card face down like the one in play, or any face down if none is."""
    values = theirs.deck_idx_type[theirs.deck.idx]
    down = set(range(values.size)) - set(theirs.deck["face_up_idx"])
    for first in theirs.deck["in_play_idx"]:
        down = {i for i in down - {first} if values[i] == values[first]}
    return int(min(down))


def mostly_random(theirs, rng, time):
    """Everything that can happen: pairs, failures, one card twice, cards up."""
    in_play = theirs.deck["in_play_idx"]
    choice = rng.choice(4, p=(0.45, 0.05, 0.1, 0.4))
    if choice == 0:
        return like(theirs)
    if choice == 1 and in_play:
        return in_play[0]
    if choice == 2 and theirs.deck["face_up_idx"]:
        return int(rng.choice(theirs.deck["face_up_idx"]))
    return int(rng.integers(len(theirs.deck)))


def late(theirs, rng, time):
    """The same card again and again, then pairs: the last one on the last step."""
    return 0 if time < len(theirs.deck) else like(theirs)


def perfect(theirs, rng, time):
    return like(theirs)


@at_every_level
@pytest.mark.parametrize("play", [mostly_random, late, perfect])
def test_agrees_with_popgym_step_by_step(level, play):
    theirs = getattr(concentration, f"Concentration{level}")()
    env = envs.make(f"Concentration{level}-v0")
    first, _ = theirs.reset(seed=3)
    state = table(theirs.deck_idx_type[theirs.deck.idx])
    assert first.tolist() == [env.observation_space.nvec[0] - 1] * len(theirs.deck)
    rng = np.random.default_rng(0)
    times = iter(range(1000))
    actions, expected = popgym_trace(theirs, lambda t: play(t, rng, next(times)))
    limit = env.card.max_episode_steps
    assert len(actions) == (limit // 2 if play is perfect else limit)
    ends = {mostly_random: (False, True), late: (True, True), perfect: (True, False)}
    assert expected[-1][2:] == ends[play]
    if play is mostly_random:  # nothing; cards up, alone and second; failure; pair
        assert len({round(step[1], 6) for step in expected}) == 4
    assert_equal(our_trace(env, state, actions), expected)


@pytest.mark.parametrize("id", ["ConcentrationEasy-v0", "ConcentrationHard-v0"])
def test_tables_are_shuffled(id):
    env = envs.make(id)
    kinds = env.observation_space.nvec[0] - 1
    _, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 500))
    values = np.asarray(state.values)
    assert all(((values == kind).sum(1) == 52 // kinds).all() for kind in range(kinds))
    frequency = np.stack([(values == kind).mean(0) for kind in range(kinds)])
    chance = 1 / kinds
    assert np.abs(frequency - chance).max() < 5 * np.sqrt(chance * (1 - chance) / 500)


@pytest.mark.parametrize("kind, kinds", [("colours", 2), ("ranks", 13)])
def test_floor_by_random_games(kind, kinds):
    """The rules once more, in plain Python."""
    rng = np.random.default_rng(0)
    returns = []
    for _ in range(1000):
        values = rng.permutation(np.arange(52) % kinds)
        flips = rng.integers(0, 52, 104)
        up, in_play, total = set(), [], 0.0
        for flip in flips:
            in_play.append(flip)
            if flip in up:
                total -= len(in_play) / 104
                in_play = []
            elif len(in_play) == 2:
                one, other = in_play
                pair = values[one] == values[other] and one != other
                up |= set(in_play) if pair else set()
                total += 2 / 52 if pair else -2 / 104
                in_play = []
        returns.append(total)
    error = np.std(returns) / np.sqrt(len(returns))
    assert abs(np.mean(returns) - random_return(1, kind)) < 4 * error


@functools.cache
def best_return(state, in_play, up, time, total):
    """Of all ways to play, what remains to be earned in `time` flips.

    `state` holds, per kind, cards never seen and cards seen, face down and not in
    play; `in_play` a kind or None; `up` the number of cards up.
    """
    if time == 0 or up == total:
        return 0.0

    def change(kind, new, seen):
        return tuple(
            (n + new, s + seen) if k == kind else (n, s)
            for k, (n, s) in enumerate(state)
        )

    def go(state, in_play=None, more=0):
        return best_return(state, in_play, up + more, time - 1, total)

    def turn(kind, state):
        """A card of `kind`, taken out of `state`, is turned."""
        if in_play is None:
            return go(state, kind)
        if kind == in_play:
            return 2 / total + go(state, None, 2)
        back = {kind, in_play}
        return -1 / total + go(
            tuple((n, s + (k in back)) for k, (n, s) in enumerate(state))
        )

    unseen = sum(new for new, _ in state)
    ways = []
    if unseen:
        ways.append(
            sum(
                new / unseen * turn(kind, change(kind, -1, 0))
                for kind, (new, _) in enumerate(state)
                if new
            )
        )
    ways += [turn(k, change(k, 0, -1)) for k, (_, seen) in enumerate(state) if seen]
    if in_play is not None:  # the same card again, or one that is up
        ways.append(-1 / total + go(change(in_play, 0, 1)))
    elif up:
        ways.append(-1 / (2 * total) + go(state))
    return max(ways)


@pytest.mark.parametrize("kinds, each", [(2, 2), (2, 4), (3, 2), (2, 6), (3, 4)])
def test_recall_is_the_best_of_all_ways_to_play(kinds, each):
    """All flips at all times, the limit included, on small tables."""
    start = ((each, 0),) * kinds
    total = kinds * each
    best = best_return(start, None, 0, 2 * total, total)
    assert 1 - least_failures(start) / total == pytest.approx(best)


@pytest.mark.parametrize(
    "level, kinds, each",
    [
        ("Easy", 2, 26),
        pytest.param("Medium", 2, 52, marks=pytest.mark.slow),
        pytest.param("Hard", 13, 4, marks=pytest.mark.slow),
    ],
)
def test_recall_is_what_is_computed(level, kinds, each):
    recursion = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        failures = least_failures(((each, 0),) * kinds)
    finally:
        sys.setrecursionlimit(recursion)
    expected = 1 - failures / (kinds * each)
    card = envs.make(f"Concentration{level}-v0").card
    assert card.recall.value == pytest.approx(expected, abs=1e-7)


def remember(values):
    """Flips of a player who remembers: matches what was seen, else tries on."""
    unseen, seen, flips = list(range(values.size)), [], []
    while unseen:
        first = unseen.pop(0)
        known = [place for place in seen if values[place] == values[first]]
        second = known[0] if known else unseen.pop(0)
        flips += [first, second]
        if known:
            seen.remove(second)
        elif values[first] != values[second]:
            seen += [first, second]
    seen.sort(key=lambda place: values[place])
    return flips + seen


def test_recall_is_attained():
    """With ranks the best player never passes over a pair."""
    env = envs.make("ConcentrationHard-v0")
    rng = np.random.default_rng(0)
    values = rng.permuted(np.tile(np.arange(52) % 13, (400, 1)), axis=1)
    flips = [remember(row) for row in values]
    limit = env.card.max_episode_steps
    assert max(map(len, flips)) <= limit
    actions = [row + [0] * (limit - len(row)) for row in flips]

    def play(values, actions):
        def body(carry, action):
            state, running = carry
            _, state, reward, *ends, _ = env.step(jax.random.key(0), state, action)
            return (state, running & ~ends[0]), jnp.where(running, reward, 0)

        (_, running), paid = jax.lax.scan(body, (table(values), True), actions)
        return running, paid.sum()

    run = jax.jit(jax.vmap(play))
    running, returns = run(jnp.asarray(values), jnp.asarray(actions, jnp.int32))
    returns = np.asarray(returns, np.float64)
    assert not running.any()
    error = returns.std() / np.sqrt(len(returns))
    assert abs(returns.mean() - env.card.recall.value) < 4 * error


@pytest.mark.parametrize("decks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_the_board_remembers(decks):
    """The policy named on the card: it sees one observation and no more."""
    env = envs.make("ConcentrationEasy-v0", decks=decks)
    place = jnp.arange(52 * decks, dtype=jnp.int32)

    def policy(observation, start, state):
        shown = observation < 2
        highest = jnp.where(shown, place, -1).max()
        lowest_down = jnp.argmin(shown).astype(jnp.int32)
        passed = (~shown & (place < highest)).sum() >= 2
        black, red = ((observation == kind).sum() % 2 == 1 for kind in (0, 1))
        follow = black ^ red  # one card is in play
        # Both colours odd: two that failed are on show, and the search goes on.
        first = jnp.where(passed & ~(black & red), lowest_down, highest + 1)
        return jnp.where(follow, lowest_down, first)

    returns = returns_of(env, policy, episodes=1024)
    assert returns.mean() - 4 * returns.std() / 32 > 0.6
    assert "0.6" in env.card.memoryless.note


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="not 0"):
        envs.make("ConcentrationEasy-v0", decks=0)
    with pytest.raises(ValueError, match="not by 'suits'"):
        envs.make("ConcentrationEasy-v0", kind="suits")
    card = envs.make("ConcentrationHard-v0", decks=3).card
    assert card.floor.value is None and card.recall.value is None
