"""Memory cards against its rules in plain Python, and players by enumeration."""

import functools
import itertools
import math
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.mikasa import memory_cards_returns as returns
from envs.mikasa.memory_cards import MemoryCards

STEPS, STREAMS = 60, 500


class Table:
    """MIKASA-Base's rules; which card lies face up is told, not drawn."""

    def __init__(self, values, shown):
        self.values, self.gone = list(values), max(values) + 1
        self.table = [0] * len(values)
        self.turn_up(shown)

    def turn_up(self, shown):
        assert self.table[shown] != self.gone
        self.shown = shown
        self.table[shown] = self.values[shown]

    def name(self, place):
        value = self.table[self.shown]
        right = place != self.shown and self.values[place] == value
        if right:
            self.table[place] = self.table[self.shown] = self.gone
        else:
            self.table[self.shown] = 0
        return 0 if right else -1, all(x == self.gone for x in self.table)


def play(env, by_oracle, seed=0):
    """States, actions and results `[time, stream]`; ended streams keep going."""

    def run(key, by_oracle):
        keys = jax.random.split(key, (STEPS + 1, STREAMS))
        first, state = jax.vmap(env.reset)(keys[0])

        def body(state, keys):
            drawn = jax.vmap(
                lambda key: jax.random.randint(key, (), 0, 2 * env.pairs, jnp.int32)
            )(keys)
            action = jnp.where(by_oracle, jax.vmap(env.oracle)(keys, state), drawn)
            seen, after, *rest = jax.vmap(env.step)(keys, state, action)
            hidden = jax.vmap(env.hidden)(state)["mate"]
            return after, (state, action, seen, *rest, hidden)

        return first, jax.lax.scan(body, state, keys[1:])[1]

    trace = jax.jit(run)(jax.random.key(seed), jnp.asarray(by_oracle))
    return jax.tree.map(np.asarray, trace)


@pytest.fixture(scope="module")
def played():
    """Half of the streams by the oracle."""
    env = MemoryCards(3)
    return env, *play(env, np.arange(STREAMS) % 2 == 0)


def test_agrees_with_the_rules(played):
    _, first, trace = played
    state, action, seen, reward, terminated, truncated, info, _ = trace
    assert not truncated.any()
    lengths = set()
    for i in range(60):
        table = Table(state.values[0, i], state.shown[0, i])
        assert table.table == first[i].tolist()
        for t in range(STEPS):
            paid, over = table.name(action[t, i])
            assert (reward[t, i], terminated[t, i]) == (paid, over), (i, t)
            assert info["success"][t, i] == over
            if not over and t + 1 < STEPS:
                table.turn_up(state.shown[t + 1, i])
            if over or t + 1 < STEPS:
                assert table.table == seen[t, i].tolist(), (i, t)
            if over:
                lengths.add((i % 2, t + 1))
                break
    assert {length for odd, length in lengths if odd == 0} == {3}
    assert len({length for odd, length in lengths if odd}) > 5


def running(trace):
    """Where episodes have not ended before."""
    ended = np.cumsum(trace[4], axis=0) - trace[4]
    return ended == 0


def test_what_is_hidden(played):
    """The mate, and the steps since it was shown."""
    env, _, trace = played
    state, info, (mate, age) = trace[0], trace[6], trace[7]
    known = 0
    for i in range(1, 60, 2):
        last = {}
        for t in range(STEPS):
            if not running(trace)[t, i]:
                break
            shown = int(state.shown[t, i])
            last[shown] = t
            like = [
                place
                for place in range(2 * env.pairs)
                if state.values[t, i, place] == state.values[t, i, shown]
            ]
            like.remove(shown)
            assert [mate[t, i]] == like
            assert age[t, i] == (t - last[like[0]] if like[0] in last else -1)
            assert info["decision"][t, i] == (like[0] in last)
            known += like[0] in last
    assert known > 50


def test_chances(played):
    """Tables and cards shown are drawn evenly; floor; five sigma each."""
    env, _, trace = played
    state, reward = trace[0], trace[3]
    mates = trace[7][0][0]
    share = np.bincount((mates - state.shown[0]) % 6, minlength=6) / STREAMS
    assert share[0] == 0
    assert np.abs(share[1:] - 0.2).max() < 5 * np.sqrt(0.16 / STREAMS)
    left = ~state.removed
    inside = running(trace)
    for count in (2, 4, 6):
        here = inside & (left.sum(-1) == count)
        rank = (np.cumsum(left, -1) - 1)[here]
        rank = rank[np.arange(here.sum()), state.shown[here]]
        share = np.bincount(rank, minlength=count) / rank.size
        assert share.size == count
        assert np.abs(share - 1 / count).max() < 5 * np.sqrt(0.25 / rank.size)
    # A wrong place of six, five times in six, until three were right.
    paid = (reward * inside).sum(0)[1::2]
    assert inside[-1, 1::2].mean() < 0.01
    assert env.card.floor.value == -15
    assert abs(paid.mean() + 15) < 5 * paid.std() / paid.size**0.5
    assert (reward * inside).sum(0)[::2].max() == env.card.oracle.value == 0


def matchings(places):
    """All ways to pair up places, each a frozenset of pairs."""
    if not places:
        return [frozenset()]
    first, *rest = places
    return [
        pairing | {(first, other)}
        for other in rest
        for pairing in matchings([x for x in rest if x != other])
    ]


def steps_without_memory(policy, pairing, first=None):
    """Mean number of steps, and of their product's inverse, given where pairs are.

    policy(left) is a matrix: for each card shown, the chance of each card named.
    `first` is the matrix for the first step, if that has one of its own.
    """

    def hit(matrix, left, pairs):
        return {
            (a, b): (matrix[a, b] + matrix[b, a]) / len(left) for a, b in sorted(pairs)
        }

    def steps(pairs, first):
        if not pairs:
            return 0.0
        left = sorted(itertools.chain(*pairs))
        chances = hit(policy(tuple(left)), left, pairs)
        s = sum(chances.values())
        after = {pair: steps(pairs - {pair}, None) for pair in pairs}
        later = 1 / s + sum(chances[p] / s * after[p] for p in pairs)
        if first is None:
            return later
        chances = hit(first, left, pairs)
        return (
            1
            + sum(chances[p] * after[p] for p in pairs)
            + (1 - sum(chances.values())) * later
        )

    return steps(pairing, first)


def random_policy(rng, sharpness):
    @functools.cache
    def policy(left):
        matrix = np.zeros((6, 6))
        for a in left:
            others = [b for b in left if b != a]
            matrix[a, others] = rng.dirichlet([sharpness] * len(others))
        return matrix

    return policy


def uniform_policy(left):
    matrix = np.zeros((6, 6))
    matrix[np.ix_(left, left)] = 1 / max(1, len(left) - 1)
    return matrix


def test_memoryless_bounds_random_policies():
    """Over all 15 tables of three pairs, with and without a first guess of its own."""
    tables = matchings(list(range(6)))
    assert len(tables) == 15
    uniform = np.mean([steps_without_memory(uniform_policy, t) for t in tables])
    assert uniform - 3 == pytest.approx(3 * 2)
    bound = -returns.memoryless(3).value
    assert bound < 6
    rng = np.random.default_rng(0)
    for sharpness in (1.0, 3.0, 20.0) * 5:
        policy, first = (random_policy(rng, x) for x in (sharpness, 0.1))
        plain = np.mean([steps_without_memory(policy, t) for t in tables]) - 3
        assert plain > 6
        first = first(tuple(range(6)))
        flagged = [steps_without_memory(policy, t, first) for t in tables]
        assert np.mean(flagged) - 3 > bound


def test_a_first_guess_never_repeated_is_worth_something():
    """Two pairs: the bound is above the best, -4/3, which beats uniform guesses, -2."""
    first = np.zeros((4, 4))
    for a, b in ((0, 1), (1, 0), (2, 3), (3, 2)):
        first[a, b] = 1

    def policy(left):
        matrix = np.zeros((4, 4))
        if len(left) == 2:
            matrix[left[0], left[1]] = matrix[left[1], left[0]] = 1
        else:
            for a in range(4):
                for b in range(4):
                    matrix[a, b] = (a != b) * (0.5 - 0.4999999 * first[a, b])
        return matrix

    wrong = [
        steps_without_memory(policy, t, first) - 2 for t in matchings([0, 1, 2, 3])
    ]
    assert np.mean(wrong) == pytest.approx(4 / 3, abs=1e-4)
    assert -2 < -np.mean(wrong) < returns.memoryless(2).value < 0


def best_by_beliefs(pairs):
    """The best return, over sets of tables that are still possible.

    What can be told apart: the places left, those seen, and the set of pairings that
    agree with all that was seen and tried.
    """

    @functools.cache
    def value(left, seen, possible):
        if not left:
            return 0.0
        total = 0.0
        for shown in left:
            outcomes = {}  # which seen card it is like, or none of them
            for table in possible:
                (pair,) = (pair for pair in table if shown in pair)
                like = pair[0] if pair[1] == shown else pair[1]
                key = like if like in seen else None
                outcomes.setdefault(key, set()).add(table)
            for tables in outcomes.values():
                share = len(tables) / len(possible)
                total += share * max(
                    named(left, seen | {shown}, frozenset(tables), shown, place)
                    for place in left
                    if place != shown
                )
        return total / len(left)

    def named(left, seen, possible, shown, place):
        pair = (min(shown, place), max(shown, place))
        right = {table for table in possible if pair in table}
        worth = 0.0
        if right:
            rest = frozenset(table - {pair} for table in right)
            worth += len(right) * value(left - set(pair), seen - set(pair), rest)
        if len(right) < len(possible):
            if not right:
                return -math.inf  # for nothing: no better than what comes next
            worth += (len(possible) - len(right)) * (
                value(left, seen, frozenset(possible - right)) - 1
            )
        return worth / len(possible)

    tables = matchings(list(range(2 * pairs)))
    return value(frozenset(range(2 * pairs)), frozenset(), frozenset(tables))


@pytest.mark.parametrize("pairs", [2, 3])
def test_recall_by_beliefs(pairs):
    claim = MemoryCards(pairs).card.recall
    assert claim.value == pytest.approx(best_by_beliefs(pairs), abs=1e-9)


@pytest.mark.slow
def test_recall_of_five_pairs():
    claim = envs.make("MemoryCardsEasy-v0").card.recall
    assert claim.value == pytest.approx(returns.best(5), abs=1e-9)


def remember_cards(pairs, rng):
    """Wrong guesses of who remembers cards and guesses among those not seen."""
    values = [i // 2 for i in range(2 * pairs)]
    rng.shuffle(values)
    left, seen, wrong = set(range(2 * pairs)), set(), 0
    while left:
        shown = rng.choice(sorted(left))
        seen.add(shown)
        known = [x for x in seen & left - {shown} if values[x] == values[shown]]
        place = known[0] if known else rng.choice(sorted(left - seen))
        if values[place] == values[shown]:
            left -= {place, shown}
        else:
            wrong += 1
    return wrong


def test_what_remembering_cards_returns():
    rng = random.Random(0)
    wrong = np.array([remember_cards(5, rng) for _ in range(2000)])
    error = 4 * wrong.std() / 2000**0.5
    assert abs(wrong.mean() + returns.forgetting(5)) < error


def test_levels_and_their_returns():
    for level, pairs in (("Easy", 5), ("Medium", 10), ("Hard", 30)):
        env = envs.make(f"MemoryCards{level}-v0")
        assert env.pairs == pairs
        card = env.card
        assert card.max_episode_steps is None
        assert card.floor.value == -pairs * (2 * pairs - 1)
        assert -pairs * (pairs - 1) < card.memoryless.value < returns.forgetting(pairs)
        assert (card.recall.value is None) == (level != "Easy")
        assert (
            jax.eval_shape(
                lambda key, env=env: env.render(env.reset(key)[1]), jax.random.key(0)
            ).shape[0]
            == 64
        )
    easy = envs.make("MemoryCardsEasy-v0").card
    assert returns.forgetting(5) < easy.recall.value


@pytest.mark.parametrize("pairs", [1, 10_001])
def test_parameters_are_checked(pairs):
    with pytest.raises(ValueError, match="pairs of at least 2"):
        envs.make("MemoryCardsEasy-v0", pairs=pairs)
