"""MultiarmedBandit against the POPGym package, and the returns it quotes."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.multiarmed_bandit import BanditState

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    package = pytest.importorskip("popgym.envs.multiarmed_bandit")

slow = pytest.mark.slow
LEVELS = ["Easy", pytest.param("Medium", marks=slow), pytest.param("Hard", marks=slow)]


class Draws:
    """Stands in for the package's generator while it plays."""

    def __init__(self, uniforms):
        self.uniforms = iter(uniforms)

    def random(self):
        return next(self.uniforms)


@pytest.mark.parametrize("level", LEVELS)
def test_agrees_with_popgym_step_by_step(level):
    ours = envs.make(f"MultiarmedBandit{level}-v0")
    theirs = getattr(package, f"MultiarmedBandit{level}")()
    observation, info = theirs.reset(seed=4)
    assert observation == ours.reset(jax.random.key(0))[0] == 0
    assert theirs.num_bandits == ours.arms
    zero = jnp.int32(0)
    state = BanditState(jnp.asarray(info["bandits"]), zero, zero, zero)
    keys = jax.random.split(jax.random.key(2), ours.steps)
    uniforms = jax.vmap(lambda key: jax.random.uniform(key, (), jnp.float32))(keys)
    theirs.np_random = Draws(np.asarray(uniforms))
    actions = np.random.default_rng(0).integers(0, ours.arms, ours.steps)

    def body(state, inputs):
        observation, state, *rest = ours.step(inputs[0], state, inputs[1])
        return state, (observation, *rest[:3])

    inputs = (keys, jnp.asarray(actions, jnp.int32))
    _, trace = jax.jit(lambda s, i: jax.lax.scan(body, s, i))(state, inputs)
    rows = zip(actions, *map(np.asarray, trace), strict=True)
    for t, (action, *mine) in enumerate(rows):
        expected = theirs.step(int(action))
        assert mine[0] == expected[0], t
        assert abs(mine[1] - expected[1]) < 1e-6, t
        assert (bool(mine[2]), bool(mine[3])) == expected[2:4], t
    assert mine[3]


def test_odds_are_uniform_and_arms_pay_by_them():
    env = envs.make("MultiarmedBanditEasy-v0")
    keys = jax.random.split(jax.random.key(0), 1000)
    _, state = jax.jit(jax.vmap(env.reset))(keys)
    odds = np.asarray(state.probabilities)
    for power in (1, 2):  # moments of a uniform number, by arm; 5 sigma
        deviation = np.sqrt(1 / (2 * power + 1) - 1 / (power + 1) ** 2)
        error = np.abs((odds**power).mean(0) - 1 / (power + 1)).max()
        assert error < 5 * deviation / np.sqrt(1000)
    correlation = np.corrcoef(odds.T)[~np.eye(10, dtype=bool)]
    assert np.abs(correlation).max() < 5 / np.sqrt(1000)


def stay_or_next(env, payout, arm, key):
    """Stationary, given the previous action."""
    return jnp.where(payout > 0, arm, (arm + 1) % env.arms)


def at_random(env, payout, arm, key):
    return jax.random.randint(key, (), 0, env.arms, jnp.int32)


def returns(env, policy, streams, seed):
    """Returns of `policy` and of the oracle on the same odds."""

    def one(key):
        payout, state = env.reset(key)
        best = 2 * state.probabilities[env.oracle(key, state)] - 1

        def body(carry, key):
            payout, state = carry
            choice_key, step_key = jax.random.split(key)
            arm = policy(env, payout, state.arm, choice_key)
            payout, state, reward, *_ = env.step(step_key, state, arm)
            return (payout, state), reward

        keys = jax.random.split(jax.random.fold_in(key, 1), env.steps)
        return jax.lax.scan(body, (payout, state), keys)[1].sum(), best

    keys = jax.random.split(jax.random.key(seed), streams)
    return map(np.asarray, jax.jit(jax.vmap(one))(keys))


def check(values, expected, extra=0.0):
    error = 4 * values.std() / np.sqrt(len(values))
    assert abs(values.mean() - expected) < error + extra


def test_floor_and_oracle():
    env = envs.make("MultiarmedBanditEasy-v0")
    random, best = returns(env, at_random, 1000, 0)
    check(random, env.card.floor.value)
    check(best, env.card.oracle.value)


# The docstring's numbers, to the two digits given.
def test_the_quoted_stationary_policy():
    env = envs.make("MultiarmedBanditEasy-v0")
    check(next(returns(env, stay_or_next, 1000, 1)), 0.47, 0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    "level, stationary, remembering",
    [("Easy", 0.47, 0.64), ("Medium", 0.56, 0.73), ("Hard", 0.60, 0.77)],
)
def test_all_quoted_policies(level, stationary, remembering):
    env = envs.make(f"MultiarmedBandit{level}-v0")
    check(next(returns(env, stay_or_next, 4000, 1)), stationary, 0.005)
    check(thompson(env.arms, env.steps, 1000), remembering, 0.005)


def thompson(arms, steps, streams):
    """The arm whose odds, drawn from what counts tell, are highest; plain numpy."""
    rng = np.random.default_rng(0)
    odds, row = rng.random((streams, arms)), np.arange(streams)
    paid, not_paid = np.ones((2, streams, arms))
    for _ in range(steps):
        arm = rng.beta(paid, not_paid).argmax(1)
        pays = rng.random(streams) < odds[row, arm]
        paid[row, arm] += pays
        not_paid[row, arm] += ~pays
    return 2 * (paid.sum(1) - arms) / steps - 1


@pytest.mark.parametrize(
    "parameters, message", [({"arms": 1}, "not 1"), ({"steps": 0}, "not 0")]
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("MultiarmedBanditEasy-v0", **parameters)


def test_the_package_gives_the_odds_away():
    theirs = package.MultiarmedBanditEasy()
    theirs.reset(seed=0)
    assert "bandits" in theirs.step(0)[4]
    env = envs.make("MultiarmedBanditEasy-v0")
    _, state = env.reset(jax.random.key(0))
    assert "bandits" not in env.step(jax.random.key(1), state, jnp.int32(0))[5]
