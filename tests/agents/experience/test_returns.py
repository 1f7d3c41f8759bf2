"""Advantages against a loop written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.experience.returns import (
    explained_variance,
    generalized_advantage,
    standardized,
)

GAMMA, LAMBDA = 0.9, 0.8


def slow_advantage(reward, value, last_value, bootstrap, terminated, truncated):
    """One stream at a time, forwards: the defining sum, episode by episode."""
    time, batch = reward.shape
    advantage = np.zeros((time, batch))
    for b in range(batch):
        for t in range(time):
            weight = 1.0
            for s in range(t, time):
                following = last_value[b] if s == time - 1 else value[s + 1, b]
                if truncated[s, b]:
                    following = bootstrap[s, b]
                if terminated[s, b]:
                    following = 0.0
                delta = reward[s, b] + GAMMA * following - value[s, b]
                advantage[t, b] += weight * delta
                if terminated[s, b] or truncated[s, b]:
                    break
                weight *= GAMMA * LAMBDA
    return advantage


def patterns():
    """Named ends of episodes: [time, 4 streams], as (terminated, truncated)."""
    none = np.zeros((12, 4), bool)
    late, every = none.copy(), ~none
    late[[3, 7], [0, 2]] = True
    adjacent = none.copy()
    adjacent[4:7] = True
    last = none.copy()
    last[-1] = True
    random = np.random.default_rng(0).random((12, 4)) < 0.3
    other = np.random.default_rng(1).random((12, 4)) < 0.3
    return {
        "no ends": (none, none),
        "terminated": (late, none),
        "truncated": (none, late),
        "both at once": (late, late),
        "every step (length 1) terminated": (every, none),
        "every step (length 1) truncated": (none, every),
        "back to back": (adjacent, none),
        "back to back, mixed": (adjacent, np.roll(adjacent, 1, axis=0)),
        "on the last step": (last, none),
        "truncated on the last step": (none, last),
        "random": (random, other),
    }


@pytest.mark.parametrize("name", patterns())
def test_equals_the_sum_written_out(name):
    terminated, truncated = patterns()[name]
    rng = np.random.default_rng(2)
    reward, value, bootstrap = rng.normal(size=(3, 12, 4)).astype(np.float32)
    last_value = rng.normal(size=4).astype(np.float32)
    expected = slow_advantage(
        reward, value, last_value, bootstrap, terminated, truncated
    )
    computed = generalized_advantage(
        reward=jnp.asarray(reward),
        value=jnp.asarray(value),
        last_value=jnp.asarray(last_value),
        bootstrap_value=jnp.asarray(bootstrap),
        terminated=jnp.asarray(terminated),
        truncated=jnp.asarray(truncated),
        gamma=GAMMA,
        gae_lambda=LAMBDA,
    )
    np.testing.assert_allclose(computed, expected, atol=1e-5)


def test_constant_reward_without_end_has_the_closed_form():
    """With exact values 1 / (1 - gamma) nothing is surprising."""
    shape = (6, 2)
    value = jnp.full(shape, 1 / (1 - GAMMA))
    advantage = generalized_advantage(
        reward=jnp.ones(shape),
        value=value,
        last_value=value[0],
        bootstrap_value=value,
        terminated=jnp.zeros(shape, bool),
        truncated=jnp.zeros(shape, bool).at[2].set(True),
        gamma=GAMMA,
        gae_lambda=LAMBDA,
    )
    np.testing.assert_allclose(advantage, 0, atol=1e-5)


def test_explained_variance():
    target = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)))
    np.testing.assert_allclose(explained_variance(target, target), 1)
    np.testing.assert_allclose(
        explained_variance(jnp.zeros_like(target), target), 0, atol=1e-6
    )
    assert jnp.isnan(explained_variance(target, jnp.ones_like(target)))


def test_standardized_over_devices_is_that_of_the_whole_batch():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 3)) * 3, jnp.float32)
    x = x + jnp.arange(4.0)[:, None, None]
    parts = jax.vmap(lambda part: standardized(part, "device"), axis_name="device")(x)
    whole = np.asarray(x, np.float64)
    whole = (whole - whole.mean()) / whole.std()
    np.testing.assert_allclose(parts, whole, atol=1e-5)
