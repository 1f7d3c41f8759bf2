"""Discrete spaces as one list of choices."""

import itertools

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.networks.choices import Choices, epsilon_greedy, masked, value_of
from agents.networks.distributions import PolicySpec
from agents.networks.soft_actor_critic import log_probabilities

MULTI = gymnasium.spaces.MultiDiscrete([3, 2, 2], start=[0, 1, -1])


def test_numbers_and_actions_are_inverse():
    choices = Choices.of(MULTI, "dqn")
    assert choices.count == 12
    number = jnp.arange(12, dtype=jnp.int32)
    action = np.asarray(choices.action(number))
    assert {tuple(x) for x in action} == set(
        itertools.product((0, 1, 2), (1, 2), (-1, 0))
    )
    np.testing.assert_array_equal(choices.number(jnp.asarray(action)), number)
    one = Choices.of(gymnasium.spaces.Discrete(3, start=2), "dqn")
    np.testing.assert_array_equal(one.action(jnp.arange(3, dtype=jnp.int32)), [2, 3, 4])
    np.testing.assert_array_equal(one.number(jnp.asarray([2, 4])), [0, 2])


def test_a_choice_is_allowed_if_all_of_its_parts_are():
    choices = Choices.of(MULTI, "dqn")
    mask = jnp.asarray([True, False, True, True, False, True, True])
    allowed = np.asarray(choices.allowed(mask))
    for number in range(12):
        first, second, third = np.asarray(choices.action(jnp.asarray(number)))
        parts = mask[first], mask[3 + second - 1], mask[5 + third + 1]
        assert allowed[number] == all(map(bool, parts))
    assert choices.allowed(None) is None


def test_joint_probabilities_are_numbered_like_choices():
    choices, spec = Choices.of(MULTI, "sac"), PolicySpec(MULTI)
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=7), jnp.float32)
    policy = spec.distribution(outputs, jnp.zeros(0))
    number = jnp.arange(12, dtype=jnp.int32)
    expected = [policy.log_prob(choices.action(i)) for i in number]
    np.testing.assert_allclose(log_probabilities(policy), expected, rtol=1e-5)


def test_epsilon_greedy_tries_what_is_allowed_as_often_as_it_should():
    rows = 4000
    values = jnp.broadcast_to(jnp.asarray([1.0, 3.0, 2.0, 9.0]), (rows, 4))
    allowed = jnp.broadcast_to(jnp.asarray([True, True, True, False]), (rows, 4))
    epsilon = jnp.where(jnp.arange(rows) % 2 == 0, 0.3, 0.0)
    keys = jax.random.split(jax.random.key(0), rows)
    number = np.asarray(epsilon_greedy(values, allowed, epsilon, key=keys))
    assert (number[1::2] == 1).all() and not (number == 3).any()
    share = np.bincount(number[::2], minlength=4) / (rows / 2)
    np.testing.assert_allclose(share, [0.1, 0.8, 0.1, 0.0], atol=0.03)
    best = masked(values, allowed).argmax(-1)
    np.testing.assert_array_equal(value_of(values, best), np.full(rows, 3.0))


@pytest.mark.shows("Box actions", "dqn", "pqn", answer="refused")
@pytest.mark.parametrize("agent", ["dqn", "pqn"])
@pytest.mark.parametrize(
    ("space", "told"),
    [
        (gymnasium.spaces.Box(-1, 1, (2,)), "needs Discrete or MultiDiscrete"),
        (gymnasium.spaces.MultiDiscrete([[2, 2]]), "needs Discrete or MultiDiscrete"),
        (gymnasium.spaces.MultiDiscrete([9] * 4), "has 6,561 of them"),
    ],
)
def test_spaces_without_a_list_are_refused_in_one_sentence(space, told, agent):
    with pytest.raises(ValueError, match=r"use agent=ppo\.$") as caught:
        Choices.of(space, agent)
    assert told in str(caught.value) and "\n" not in str(caught.value)
