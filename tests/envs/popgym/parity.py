"""Playing the same actions here and in POPGym, and policies on many episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

NOTHING = {"xla_backend_optimization_level": 0}
at_every_level = pytest.mark.parametrize(
    "level",
    ["Easy", *(pytest.param(x, marks=pytest.mark.slow) for x in ("Medium", "Hard"))],
)


def popgym_trace(theirs, choose):
    """Actions, and what POPGym returns for them, to the end of the episode."""
    actions, trace = [], []
    ended = False
    while not ended:
        actions.append(choose(theirs))
        observation, reward, terminated, truncated, _ = theirs.step(actions[-1])
        trace.append((np.array(observation), reward, terminated, truncated))
        ended = terminated or truncated
    return actions, trace


def our_trace(env, state, actions):
    """What `env` returns for the actions, starting from `state`."""

    def body(state, action):
        observation, state, *rest = env.step(jax.random.key(0), state, action)
        return state, (observation, *rest[:3])

    run = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1], compiler_options=NOTHING)
    trace = run(state, jnp.asarray(actions, jnp.int32))
    return list(zip(*map(np.asarray, trace), strict=True))


def assert_equal(ours, theirs):
    """At every step: observations, rewards, and how the episode ends."""
    assert len(ours) == len(theirs)
    for t, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        assert np.array_equal(mine[0], expected[0]), t
        assert abs(mine[1] - expected[1]) < 1e-6, t
        assert (bool(mine[2]), bool(mine[3])) == expected[2:], t


def popgym_values(deck, kind):
    """Values in the order of dealing: POPGym deals from the end."""
    return jnp.asarray(getattr(deck, f"{kind}_idx")[deck.idx[::-1]], jnp.int8)


def returns_of(env, policy, episodes=4096, seed=1):
    """Returns of the first episode of many streams.

    `policy(observation, start, state)` is a function of one stream.
    """

    def play(key):
        reset_key, key = jax.random.split(key)
        observation, state = jax.vmap(env.reset)(jax.random.split(reset_key, episodes))

        def body(carry, key):
            observation, state, running, start = carry
            keys = jax.random.split(key, episodes)
            action = jax.vmap(policy, (0, None, 0))(observation, start, state)
            observation, state, reward, *ends, _ = jax.vmap(env.step)(
                keys, state, action
            )
            paid = jnp.where(running, reward, 0)
            running = running & ~(ends[0] | ends[1])
            return (observation, state, running, jnp.zeros((), bool)), paid

        carry = (observation, state, jnp.ones(episodes, bool), jnp.ones((), bool))
        keys = jax.random.split(key, env.card.max_episode_steps)
        (*_, running, _), paid = jax.lax.scan(body, carry, keys)
        return running, paid.sum(0)

    running, returns = jax.jit(play, compiler_options=NOTHING)(jax.random.key(seed))
    assert not running.any()
    return np.asarray(returns, np.float64)


def assert_attained(env, policy, expected):
    """`policy` returns `expected` on average, within four standard errors."""
    returns = returns_of(env, policy)
    error = returns.std() / np.sqrt(returns.size)
    assert abs(returns.mean() - expected) < 4 * error + 1e-5, (returns.mean(), error)
