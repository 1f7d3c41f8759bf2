"""Policies against torch.distributions and direct integration."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from agents.networks.distributions import PolicySpec

spaces = gymnasium.spaces


def test_categorical_equals_torch():
    spec = PolicySpec(spaces.Discrete(4, start=3))
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    ours = spec.distribution(jnp.asarray(logits), jnp.zeros(0))
    theirs = torch.distributions.Categorical(logits=torch.tensor(logits))
    action = np.array([0, 3, 1, 2, 2])
    np.testing.assert_allclose(
        ours.log_prob(jnp.asarray(action + 3)),
        theirs.log_prob(torch.tensor(action)),
        atol=1e-6,
    )
    np.testing.assert_allclose(ours.entropy(), theirs.entropy(), atol=1e-6)
    np.testing.assert_array_equal(ours.mode(), logits.argmax(-1) + 3)


def test_multi_discrete_is_the_product_of_its_choices():
    spec = PolicySpec(spaces.MultiDiscrete([3, 2]))
    logits = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    ours = spec.distribution(jnp.asarray(logits), jnp.zeros(0))
    first = torch.distributions.Categorical(logits=torch.tensor(logits[:, :3]))
    second = torch.distributions.Categorical(logits=torch.tensor(logits[:, 3:]))
    action = ours.sample(jax.random.split(jax.random.key(0), 7))
    assert action.shape == (7, 2)
    columns = torch.tensor(np.asarray(action))
    expected = first.log_prob(columns[:, 0]) + second.log_prob(columns[:, 1])
    np.testing.assert_allclose(ours.log_prob(action), expected, atol=1e-6)
    np.testing.assert_allclose(
        ours.entropy(), first.entropy() + second.entropy(), atol=1e-6
    )


def test_masked_actions_have_probability_and_gradient_zero():
    spec = PolicySpec(spaces.Discrete(4))
    mask = jnp.asarray([True, False, True, False])

    def entropy(logits):
        return spec.distribution(logits, jnp.zeros(0), mask).entropy()

    logits = jnp.asarray([0.3, 5.0, -0.2, 9.0])
    policy = spec.distribution(logits, jnp.zeros(0), mask)
    expected = torch.distributions.Categorical(logits=torch.tensor([0.3, -0.2]))
    np.testing.assert_allclose(policy.entropy(), expected.entropy(), atol=1e-6)
    draws = jax.vmap(policy.sample)(jax.random.split(jax.random.key(0), 500))
    assert set(np.unique(draws)) == {0, 2}
    gradient = jax.grad(entropy)(logits)
    assert jnp.isfinite(gradient).all()
    np.testing.assert_array_equal(gradient[jnp.asarray([1, 3])], 0)


def test_clipped_gaussian_equals_torch_and_stays_inside():
    spec = PolicySpec(spaces.Box(-0.5, 2.0, (2,), np.float32))
    mean = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    log_std = np.array([0.4, -1.0], np.float32)
    ours = spec.distribution(jnp.asarray(mean), jnp.asarray(log_std))
    theirs = torch.distributions.Normal(torch.tensor(mean), torch.tensor(log_std).exp())
    raw = ours.sample(jax.random.split(jax.random.key(0), 6))
    expected = theirs.log_prob(torch.tensor(np.asarray(raw))).sum(-1)
    np.testing.assert_allclose(ours.log_prob(raw), expected, atol=1e-5)
    np.testing.assert_allclose(ours.entropy(), theirs.entropy().sum(-1), atol=1e-5)
    np.testing.assert_array_equal(ours.action(raw), np.clip(raw, -0.5, 2.0))


def test_squashed_gaussian_equals_torch():
    low, high = -0.5, 2.0
    spec = PolicySpec(spaces.Box(low, high, (2,), np.float32), "tanh")
    mean = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    log_std = np.array([0.2, -0.7], np.float32)
    ours = spec.distribution(jnp.asarray(mean), jnp.asarray(log_std))
    base = torch.distributions.Normal(torch.tensor(mean), torch.tensor(log_std).exp())
    radius = (high - low) / 2
    theirs = torch.distributions.TransformedDistribution(
        base,
        [
            torch.distributions.transforms.TanhTransform(),
            torch.distributions.transforms.AffineTransform((low + high) / 2, radius),
        ],
    )
    raw = ours.sample(jax.random.split(jax.random.key(0), 6))
    action = ours.action(raw)
    expected = theirs.log_prob(torch.tensor(np.asarray(action))).sum(-1)
    np.testing.assert_allclose(ours.log_prob(raw), expected, rtol=1e-3, atol=1e-3)


def test_squashed_density_integrates_to_one_and_gives_the_entropy():
    spec = PolicySpec(spaces.Box(-0.5, 2.0, (1,), np.float64), "tanh")
    ours = spec.distribution(jnp.asarray([0.3]), jnp.asarray([-0.2]))
    raw = jnp.linspace(-9, 9, 20001)[:, None]
    action = np.asarray(ours.action(raw), np.float64)[:, 0]
    log_prob = np.asarray(jax.vmap(ours.log_prob)(raw), np.float64)
    density = np.exp(log_prob)
    assert abs(np.trapezoid(density, action) - 1) < 1e-3
    entropy = -np.trapezoid(density * log_prob, action)
    np.testing.assert_allclose(ours.entropy(), entropy, atol=2e-3)


POLICIES = {
    "discrete": (spaces.Discrete(4), 4),
    "multi": (spaces.MultiDiscrete([3, 2]), 5),
    "box": (spaces.Box(-1.0, 1.0, (2, 2), np.float32), 4),
}


@pytest.mark.parametrize("kind", POLICIES)
def test_a_row_draws_the_same_whatever_it_is_batched_with(kind):
    space, outputs = POLICIES[kind]
    logits = jax.random.normal(jax.random.key(1), (32, outputs))
    keys = jax.random.split(jax.random.key(0), 32)

    def draw(rows):
        policy = PolicySpec(space).distribution(logits[rows], jnp.zeros(outputs))
        return np.asarray(policy.sample(keys[rows]))

    whole = draw(np.arange(32))
    assert len(np.unique(whole, axis=0)) > 1
    np.testing.assert_array_equal(draw(np.arange(5, 32)), whole[5:])
    np.testing.assert_array_equal(draw(5), whole[5])


def test_extreme_raw_actions_stay_finite():
    spec = PolicySpec(spaces.Box(-1.0, 1.0, (1,), np.float32), "tanh")
    ours = spec.distribution(jnp.asarray([0.0]), jnp.asarray([0.0]))
    for raw in (40.0, -40.0):
        assert jnp.isfinite(ours.log_prob(jnp.asarray([raw])))
        assert abs(float(ours.action(jnp.asarray([raw]))[0])) <= 1.0


@pytest.mark.parametrize(
    ("space", "squash", "words"),
    [
        (spaces.Box(-np.inf, np.inf, (2,), np.float32), "tanh", "bounded Box"),
        (spaces.MultiBinary(3), "clip", "no policy for action space"),
        (spaces.MultiDiscrete([[2, 2], [3, 3]]), "clip", "flatten the space"),
    ],
)
def test_spaces_without_a_policy(space, squash, words):
    with pytest.raises(ValueError, match=words):
        PolicySpec(space, squash)


@pytest.mark.parametrize(
    "space",
    [spaces.Discrete(3, start=2), spaces.MultiDiscrete([3, 2], start=[1, -4])],
    ids=["discrete", "multi"],
)
def test_actions_lie_in_spaces_that_do_not_begin_at_zero(space):
    spec = PolicySpec(space)
    outputs = jax.random.normal(jax.random.key(0), (200, spec.outputs))
    policy = spec.distribution(outputs, jnp.zeros(0))
    starts = np.atleast_1d(space.start)
    cuts = np.cumsum(spec.sizes)[:-1]
    logits = [np.asarray(jax.nn.log_softmax(x)) for x in np.split(outputs, cuts, 1)]
    for raw in (policy.sample(jax.random.split(jax.random.key(1), 200)), policy.mode()):
        chosen = np.asarray(raw).reshape(200, -1)
        assert all(space.contains(np.asarray(x, space.dtype)) for x in raw)
        assert (chosen.min(0) == starts).all()
        expected, told = 0, []
        for i, start in enumerate(starts):
            index = chosen[:, i] - start
            expected = expected + logits[i][np.arange(200), index]
            told.append(np.eye(spec.sizes[i])[index])
        np.testing.assert_allclose(policy.log_prob(raw), expected, rtol=1e-5)
        features = spec.features(policy.action(raw))
        np.testing.assert_array_equal(features, np.concatenate(told, 1))


def test_choices_of_one_action_are_independent():
    spec = PolicySpec(spaces.MultiDiscrete([2, 2]))
    policy = spec.distribution(jnp.zeros((4000, 4)), jnp.zeros(0))
    drawn = np.asarray(policy.sample(jax.random.split(jax.random.key(0), 4000)))
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.06
    assert (np.abs(drawn.mean(0) - 0.5) < 0.04).all()


def test_draws_have_the_mean_and_the_deviation():
    spec = PolicySpec(spaces.Box(-9.0, 9.0, (2,), np.float32))
    mean, deviation = np.asarray([1.0, -2.0]), np.asarray([0.25, 3.0])
    outputs = jnp.broadcast_to(jnp.asarray(mean, jnp.float32), (4000, 2))
    policy = spec.distribution(outputs, jnp.asarray(np.log(deviation), jnp.float32))
    drawn = np.asarray(policy.sample(jax.random.split(jax.random.key(0), 4000)))
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.2)
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.05)
