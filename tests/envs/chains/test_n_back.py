"""N-back against its rules written out in plain Python, and its card."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.chains.n_back import NBack, NBackState

STREAMS = 8_000
SETTINGS = [
    NBack(n=2, symbols=3, length=6, match_probability=0.4, lure_probability=0.7),
    NBack(n=1, symbols=3, length=5, match_probability=0.5, lure_probability=0.5),
    NBack(n=3, symbols=2, length=7, match_probability=0.6),
]


def law(env):
    """The probability of every sequence of symbols, step by step from the rules."""
    found = {(): 1.0}
    for time in range(env.length):
        longer = {}
        for past, chance in found.items():
            for symbol, share in step_law(env, past, time).items():
                if share:
                    longer[*past, symbol] = chance * share
        found = longer
    return found


def step_law(env, past, time):
    symbols = range(env.symbols)
    if time < env.n:
        return dict.fromkeys(symbols, 1 / env.symbols)
    target, rest = past[time - env.n], 1 - env.match_probability
    share = {s: 0.0 if s == target else 1 / (env.symbols - 1) for s in symbols}
    share = {s: x * rest for s, x in share.items()}
    share[target] = env.match_probability
    for side in (env.n - 1, env.n + 1) if env.n > 1 else (env.n + 1,):
        weight = env.lure_probability / (2 if env.n > 1 else 1)
        if side <= time and past[time - side] != target:
            for symbol in symbols:
                if symbol != target:
                    share[symbol] -= rest * weight / (env.symbols - 1)
            share[past[time - side]] += rest * weight
    return share


def returned(env, symbols, answers):
    """What answers (1: the same) are paid, one number per step."""
    paid = []
    for time, (symbol, answer) in enumerate(zip(symbols, answers, strict=True)):
        if time < env.n:
            paid.append(0.0)
            continue
        same = symbol == symbols[time - env.n]
        paid.append((1 if answer == same else -1) / (env.length - env.n))
    return paid


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda env: f"n={env.n}")
def played(request):
    env = request.param

    def start(key):
        return jax.vmap(env.reset)(jax.random.split(key, STREAMS))

    def body(carry, key):
        symbol, state = carry
        action_key, key = jax.random.split(key)
        action = jax.random.randint(action_key, (STREAMS,), 0, 2, jnp.int32)
        step = jax.vmap(env.step)(jax.random.split(key, STREAMS), state, action)
        seen = (symbol, action, *step[2:], jax.vmap(env.hidden)(state)["compared"])
        return (step[0], step[1]), seen

    @jax.jit
    def run(key):
        start_key, key = jax.random.split(key)
        keys = jax.random.split(key, env.length)
        return jax.lax.scan(body, start(start_key), keys)[1]

    return env, jax.tree.map(np.asarray, run(jax.random.key(0)))


def test_agrees_with_the_rules(played):
    env, (symbols, actions, reward, terminated, truncated, info, hidden) = played
    assert not truncated.any()
    assert terminated.sum(0).tolist() == [1] * STREAMS and terminated[-1].all()
    value, age = hidden
    for i in range(0, STREAMS, 40):
        expected = returned(env, symbols[:, i], actions[:, i])
        np.testing.assert_allclose(reward[:, i], expected, atol=1e-6)
        for time in range(env.length):
            before = max(0, time - env.n)
            assert value[time, i] == symbols[before, i]
            assert age[time, i] == time - before
    scored = np.arange(env.length) >= env.n
    assert (info["decision"] == scored[:, None]).all()
    assert (info["phase"] == scored[:, None]).all()


def test_symbols_follow_their_law(played):
    """Chi-squared over all sequences, those that happen now and then at least."""
    env, (symbols, *_) = played
    expected = {past: STREAMS * chance for past, chance in law(env).items()}
    assert sum(expected.values()) == pytest.approx(STREAMS)
    sequences, counts = np.unique(symbols.T, axis=0, return_counts=True)
    found = dict(zip(map(tuple, sequences.tolist()), counts, strict=True))
    assert set(found) <= set(expected)
    common = [past for past, mean in expected.items() if mean >= 5]
    assert len(common) > 30
    distance = sum((found.get(p, 0) - expected[p]) ** 2 / expected[p] for p in common)
    assert abs(distance - len(common)) < 5 * np.sqrt(2 * len(common))


@pytest.mark.parametrize("env", SETTINGS, ids=lambda env: f"n={env.n}")
def test_card_by_enumeration(env):
    """Every map from the symbol on show to an answer, and answers at random."""
    chances = law(env)
    totals = [
        sum(
            chance * sum(returned(env, past, [answers[symbol] for symbol in past]))
            for past, chance in chances.items()
        )
        for answers in itertools.product((0, 1), repeat=env.symbols)
    ]
    # Linear in the chances of each answer: the best stochastic map is one of these.
    assert max(totals) == pytest.approx(env.card.memoryless.value)
    assert np.mean(totals) == pytest.approx(env.card.floor.value, abs=1e-12)
    assert env.card.horizon == (env.n, env.n)


def familiar(env):
    """The return of 'the same' for what was seen in the last n + 1 steps."""
    total = 0.0
    for past, chance in law(env).items():
        answers = [
            symbol in past[max(0, t - env.n - 1) : t] for t, symbol in enumerate(past)
        ]
        total += chance * sum(returned(env, past, answers))
    return total


def test_lures_make_knowing_when_worth_more():
    plain, lured = (
        NBack(n=2, symbols=6, length=5, lure_probability=q) for q in (0.0, 1.0)
    )
    assert familiar(plain) > 0.7 and familiar(lured) < 0.4
    assert plain.card.memoryless.value == lured.card.memoryless.value == 0.0


def test_the_oracle_compares():
    env = NBack(n=2, length=10)
    for ring, time, same in (([3, 1, 3], 2, 1), ([3, 1, 2], 2, 0), ([4, 4, 7], 4, 0)):
        # At time 4 the symbol on show is at place 1, the one two steps before at 2.
        state = NBackState(jnp.array(ring, jnp.int32), jnp.int32(time))
        assert env.oracle(jax.random.key(0), state) == same


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"n": 0}, "n of at least 1"),
        ({"n": 22}, r"NBack\(n=22\) needs length of at least 23"),
        ({"symbols": 1}, "symbols of at least 2"),
        ({"match_probability": 1.0}, "match_probability between 0 and 1"),
        ({"lure_probability": 1.5}, "lure_probability from 0 to 1"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("NBack-v0", **parameters)
