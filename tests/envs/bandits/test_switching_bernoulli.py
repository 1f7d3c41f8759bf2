"""SwitchingBernoulli against its rules in plain Python, and Bayes by enumeration."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.bandits import bernoulli_returns
from envs.bandits.bernoulli_returns import recall_bounds
from envs.bandits.switching_bernoulli import SwitchingBernoulli

BETA = {"uniform": 1.0, "jeffreys": 0.5}  # both parameters of the prior


def trajectories(env, streams, seed=0):
    """States, uniforms and results `[stream, time, ...]` of random predictions."""
    keys = jax.random.split(jax.random.key(seed), (streams, env.length + 1))
    actions = np.random.default_rng(seed).integers(0, 2, (streams, env.length))

    def one(keys, actions):
        observation, state = env.reset(keys[0])

        def body(state, inputs):
            key, action = inputs
            seen, after, reward, terminated, truncated, info = env.step(
                key, state, action
            )
            uniforms = jax.random.uniform(key, (3,), jnp.float32)
            kept = (uniforms, seen, reward, terminated, truncated, info["decision"])
            private = (env.oracle(key, state), *env.hidden(state)["bias"])
            return after, (state, *kept, private)

        return observation, jax.lax.scan(body, state, (keys[1:], actions))[1]

    run = jax.jit(jax.vmap(one))
    return actions, jax.tree.map(np.asarray, run(keys, jnp.asarray(actions, jnp.int32)))


def reference(length, hazard, prior, bias, uniforms, actions):
    """Biases, ages, bits and rewards, step by step."""
    age, rows = 0, []
    for (toss, change, fresh), action in zip(uniforms, actions, strict=True):
        bit = 1 if toss < bias else 0
        rows.append((bias, age, bit, (1 if action == bit else -1) / length))
        age += 1
        if change < hazard:
            age = 0
            bias = fresh if prior == "uniform" else (1 - math.cos(math.pi * fresh)) / 2
    return rows


@pytest.fixture(scope="module", params=["uniform", "jeffreys"])
def played(request):
    env = SwitchingBernoulli(length=24, hazard=0.2, prior=request.param)
    return env, *trajectories(env, 2000)


def test_agrees_with_the_rules(played):
    env, actions, (first, trace) = played
    state, uniforms, seen, reward, terminated, truncated, decision, private = trace
    _, bias, age = private
    assert (first == 2).all() and (state.bit[:, 0] == 2).all()
    for i in range(20):
        rows = reference(
            env.length, env.hazard, env.prior, bias[i, 0], uniforms[i], actions[i]
        )
        found = zip(bias[i], age[i], seen[i], reward[i], strict=True)
        for row, mine in zip(rows, found, strict=True):
            np.testing.assert_allclose(mine, row, atol=1e-6)
    assert (terminated == (np.arange(env.length) == env.length - 1)).all()
    assert not truncated.any()
    assert (decision == (np.arange(env.length) > 1)).all()
    assert (state.bit[:, 1:] == seen[:, :-1]).all()


def test_chances(played):
    """Hazard, prior (first and later biases) and bits, each within five sigma."""
    env, _, (_, trace) = played
    seen, (_, bias, age) = trace[2], trace[-1]
    changes = age[:, 1:] == 0
    count = changes.size
    assert abs(changes.mean() - 0.2) < 5 * np.sqrt(0.16 / count)
    fresh = bias[:, 1:][changes]
    beta = BETA[env.prior]
    variance = 1 / (4 * (2 * beta + 1))
    for sample in (bias[:, 0], fresh):
        assert abs(sample.mean() - 0.5) < 5 * np.sqrt(variance / sample.size)
        spread = (sample - 0.5) ** 2
        assert abs(spread.mean() - variance) < 5 * spread.std() / sample.size**0.5
    error = seen - bias
    assert abs(error.mean()) < 5 * error.std() / error.size**0.5
    slope = error * (bias - 0.5)
    assert abs(slope.mean()) < 5 * slope.std() / slope.size**0.5


def probability(bits, hazard, beta):
    """Of a sequence, as a sum over all ways to cut it into pieces of one coin each."""
    total = 0.0
    for cuts in itertools.product((False, True), repeat=max(0, len(bits) - 1)):
        chance, ones, zeros = 1.0, 0, 0
        for i, bit in enumerate(bits):
            if i:
                chance *= hazard if cuts[i - 1] else 1 - hazard
                if cuts[i - 1]:
                    ones = zeros = 0
            chance *= ((ones if bit else zeros) + beta) / (ones + zeros + 2 * beta)
            ones, zeros = ones + bit, zeros + 1 - bit
        total += chance
    return total


def returns_by_enumeration(length, hazard, beta):
    """The best return that remembers all, and the best of maps from observations."""
    remembering, worth = 0.0, {}
    for time in range(length):
        for past in itertools.product((0, 1), repeat=time):
            surplus = probability((*past, 1), hazard, beta) - probability(
                (*past, 0), hazard, beta
            )
            remembering += abs(surplus)
            seen = past[-1] if past else 2
            worth[seen] = worth.get(seen, 0.0) + surplus
    return remembering / length, sum(abs(x) for x in worth.values()) / length


@pytest.mark.parametrize("prior", ["uniform", "jeffreys"])
@pytest.mark.parametrize("length, hazard", [(3, 0.1), (6, 0.05), (8, 0.2), (7, 0.8)])
def test_recall_and_memoryless_by_enumeration(length, hazard, prior):
    remembering, reacting = returns_by_enumeration(length, hazard, BETA[prior])
    low, high = recall_bounds(length, hazard, prior)
    assert low == pytest.approx(remembering, abs=1e-9)
    assert high - low < 1e-6
    card = SwitchingBernoulli(length, hazard, prior).card
    assert card.recall.value == pytest.approx(remembering, abs=1e-6)
    assert card.memoryless.value == pytest.approx(reacting, abs=1e-12)
    useful = remembering > reacting + 1e-9
    assert card.memory == ("meta" if useful else "none")
    assert card.horizon == ((1, length - 2) if useful else (0, 0))


def test_three_bits_need_no_memory():
    """The last bit outweighs the one before, which it contradicts or repeats."""
    assert SwitchingBernoulli(3, 0.1).card.memory == "none"
    assert SwitchingBernoulli(4, 0.01).card.memory == "meta"


def test_nodes_cannot_be_told_from_the_prior():
    for prior, beta in BETA.items():
        bias, weight = bernoulli_returns.nodes(9, prior)
        for ones in range(10):
            exact = math.exp(
                math.lgamma(ones + beta)
                + math.lgamma(9 - ones + beta)
                - math.lgamma(9 + 2 * beta)
                + math.lgamma(2 * beta)
                - 2 * math.lgamma(beta)
            )
            found = (weight * bias**ones * (1 - bias) ** (9 - ones)).sum()
            assert found == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("room, negligible", [(200, 1e-8), (2**30, 1e-4)])
def test_bounds_hold_where_pasts_are_ignored(monkeypatch, room, negligible):
    """With little room or little patience: bounds around the unabridged value."""
    monkeypatch.setattr(bernoulli_returns, "_NEGLIGIBLE", 1e-13)
    whole, top = recall_bounds.__wrapped__(16, 0.1, "uniform")
    assert top - whole < 1e-6
    monkeypatch.setattr(bernoulli_returns, "_ROOM", room)
    monkeypatch.setattr(bernoulli_returns, "_NEGLIGIBLE", negligible)
    low, high = recall_bounds.__wrapped__(16, 0.1, "uniform")
    assert whole - 0.01 < low < whole < high < whole + 0.05


def filter_play(length, hazard, beta, streams, seed):
    """Rewards of exact Bayesian prediction, and their expectation at each step.

    One weight for each time at which the coin can have come, with the counts since.
    """
    rng = np.random.default_rng(seed)
    bias = rng.beta(beta, beta, streams)
    weight = np.zeros((streams, length))
    ones = np.zeros((streams, length))
    weight[:, 0] = 1
    paid = np.zeros((2, streams))
    for time in range(length):
        seen = time - np.arange(length)  # bits of the coin that came at each time
        heads = (ones + beta) / (np.maximum(seen, 0) + 2 * beta)
        chance = (weight * heads).sum(1)
        bit = rng.random(streams) < bias
        paid[0] += np.where((chance > 0.5) == bit, 1, -1) / length
        paid[1] += np.abs(2 * chance - 1) / length
        weight *= np.where(bit[:, None], heads, 1 - heads)
        weight /= weight.sum(1, keepdims=True)
        ones[:, : time + 1] += bit[:, None]
        if time + 1 < length:
            weight *= 1 - hazard
            weight[:, time + 1] = hazard
        change = rng.random(streams) < hazard
        bias = np.where(change, rng.beta(beta, beta, streams), bias)
    return paid


@pytest.mark.parametrize("prior", ["uniform", "jeffreys"])
def test_recall_is_what_the_filter_returns(prior):
    """At the default length, by the exact filter's play in numpy."""
    env = SwitchingBernoulli(prior=prior)
    low, high = recall_bounds(env.length, env.hazard, prior)
    assert low < env.card.recall.value < high < low + 0.0025
    for paid in filter_play(env.length, env.hazard, BETA[prior], 8000, 0):
        error = 4 * paid.std() / 8000**0.5
        assert low - error < paid.mean() < high + error


@pytest.mark.slow
@pytest.mark.parametrize("length, hazard", [(64, 1 / 16), (100, 1 / 25)])
def test_recall_is_what_the_filter_returns_closely(length, hazard):
    low, high = recall_bounds(length, hazard, "uniform")
    paid = filter_play(length, hazard, 1.0, 20_000, 1)[1]
    error = 4 * paid.std() / 20_000**0.5
    assert low - error < paid.mean() < high + error


def test_oracle_and_repetition(played):
    """Played on the same bits: the more probable one, and the last one again."""
    env, _, (_, trace) = played
    state, seen, (oracle, bias, _) = trace[0], trace[2], trace[-1]
    guesses = {"oracle": oracle, "memoryless": np.where(state.bit == 2, 0, state.bit)}
    assert (oracle == (bias > 0.5)).all()
    for name, guess in guesses.items():
        paid = np.where(guess == seen, 1, -1).mean(1)
        expected = getattr(env.card, name).value
        assert abs(paid.mean() - expected) < 4 * paid.std() / len(paid) ** 0.5


def test_picture():
    env = SwitchingBernoulli()
    image = jax.eval_shape(lambda key: env.render(env.reset(key)[1]), jax.random.key(0))
    assert image.shape[0] == 64


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"length": 2}, "not 2"),
        ({"length": 1001}, "at most 1,000"),
        ({"hazard": 0.0}, "not 0.0"),
        ({"hazard": 1.0}, "not 1.0"),
        ({"prior": "beta"}, "not 'beta'"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("SwitchingBernoulli-v0", **parameters)
