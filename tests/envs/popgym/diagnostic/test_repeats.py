"""The card tasks against the POPGym package, step by step, and their cards' returns."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.cards import Deal, blind_guess

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    repeat_first = pytest.importorskip("popgym.envs.repeat_first")
    repeat_previous = pytest.importorskip("popgym.envs.repeat_previous")

LEVELS = [
    f"{family}{level}"
    for family in ("RepeatFirst", "RepeatPrevious")
    for level in ("Easy", "Medium", "Hard")
]


@pytest.mark.parametrize("name", LEVELS)
def test_agrees_with_popgym_step_by_step(name):
    module = repeat_first if name.startswith("RepeatFirst") else repeat_previous
    theirs = getattr(module, name)()
    ours = envs.make(f"{name}-v0")
    observation, _ = theirs.reset(seed=3)
    # POPGym deals from the end of its shuffled index.
    suits = theirs.deck.suits_idx[theirs.deck.idx[::-1]]
    assert observation == suits[0]
    steps = ours.card.max_episode_steps
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 4, steps)
    # Right answers too, or a wrong sign of rare rewards could pass.
    back = theirs.k if name.startswith("RepeatPrevious") else None
    for t in range(0, steps, 2):
        actions[t] = suits[max(0, t - back + 1)] if back else suits[0]
    state = Deal(jnp.asarray(suits, jnp.int8), jnp.zeros((), jnp.int32))

    def body(state, action):
        observation, state, *rest = ours.step(jax.random.key(0), state, action)
        return state, (observation, *rest[:3])

    _, trace = jax.jit(lambda s, a: jax.lax.scan(body, s, a))(
        state, jnp.asarray(actions, jnp.int32)
    )
    for t, (action, *mine) in enumerate(
        zip(actions, *map(np.asarray, trace), strict=True)
    ):
        expected = theirs.step(int(action))
        assert mine[0] == expected[0], t
        assert abs(mine[1] - expected[1]) < 1e-6, t
        assert (bool(mine[2]), bool(mine[3])) == expected[2:4], t
    assert mine[2]


def test_decks_are_whole_and_shuffled():
    env = envs.make("RepeatPreviousMedium-v0")
    _, state = jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), 500))
    suits = np.asarray(state.values)
    assert all((suits == suit).sum(1).tolist() == [26] * 500 for suit in range(4))
    # Every position holds every suit equally often: 500 draws, 5 sigma.
    frequency = np.stack([(suits == suit).mean(0) for suit in range(4)])
    assert np.abs(frequency - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 500)


def test_blind_guess_is_the_best_stationary_policy():
    suits = np.arange(52) % 4
    pairs = np.zeros((4, 4))
    for first, second in itertools.permutations(range(52), 2):
        pairs[suits[first], suits[second]] += 1 / (52 * 51)
    best = max(
        sum(2 * pairs[shown, policy[shown]] for shown in range(4)) - 1
        for policy in itertools.product(range(4), repeat=4)
    )
    assert blind_guess(1) == pytest.approx(best)
    assert envs.make("RepeatPreviousEasy-v0").card.memoryless.value == pytest.approx(
        best
    )


@pytest.mark.parametrize("name", ["RepeatFirstEasy-v0", "RepeatPreviousEasy-v0"])
def test_memoryless_value_is_attained(name):
    env = envs.make(name)
    batch = envs.VectorEnv(env, 4096)

    def play(key):
        observation, state = batch.reset(key)

        def body(carry, key):
            observation, state, start = carry
            same = name.startswith("RepeatFirst") & start
            action = jnp.where(same, observation, (observation + 1) % 4)
            state, step = batch.step(key, state, action)
            return (step.observation, state, step.ended), step.reward

        keys = jax.random.split(key, env.card.max_episode_steps)
        start = jnp.ones(4096, bool)
        return jax.lax.scan(body, (observation, state, start), keys)[1].sum(0)

    options = {"xla_backend_optimization_level": 0}
    run = jax.jit(play, compiler_options=options)
    returns = np.asarray(run(jax.random.key(1)))
    error = returns.std() / 64
    assert abs(returns.mean() - env.card.memoryless.value) < 4 * error


def test_parameters_are_checked():
    with pytest.raises(ValueError, match="k is 52"):
        envs.make("RepeatPreviousEasy-v0", k=52)
    with pytest.raises(ValueError, match="not 0"):
        envs.make("RepeatFirstEasy-v0", decks=0)
    current = envs.make("RepeatPreviousEasy-v0", k=1).card
    assert (current.memory, current.memoryless.value) == ("none", 1.0)
