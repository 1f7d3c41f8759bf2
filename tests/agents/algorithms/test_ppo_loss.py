"""PPO's loss against the formulas written out in numpy, and the learning rate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.algorithms.losses import ratio_metrics
from tests.agents.algorithms.test_ratio_one import case_of


def numpy_loss(agent, log_prob, entropy, value, batch):
    """Schulman et al. 2017, eq. 7 and 9, value clipping as in the authors' code."""
    steps = batch.transitions
    ratio = np.exp(log_prob - np.asarray(steps.extras.log_prob))
    advantage = np.asarray(batch.advantage)
    if agent.normalize_advantage:
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    surrogate = np.zeros_like(ratio)
    error = np.zeros_like(ratio)
    old_value, target = np.asarray(steps.extras.value), np.asarray(batch.target)
    for index in np.ndindex(ratio.shape):
        clipped = min(max(ratio[index], 1 - agent.clip_ratio), 1 + agent.clip_ratio)
        surrogate[index] = min(
            ratio[index] * advantage[index], clipped * advantage[index]
        )
        error[index] = (value[index] - target[index]) ** 2
        if agent.clip_value is not None:
            change = value[index] - old_value[index]
            change = min(max(change, -agent.clip_value), agent.clip_value)
            other = (old_value[index] + change - target[index]) ** 2
            error[index] = max(error[index], other)
    return (
        -surrogate.mean()
        + agent.value_coefficient * error.mean() / 2
        - agent.entropy_coefficient * entropy.mean()
    )


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("clip_value", [None, 0.1])
def test_loss_equals_the_formulas(normalize, clip_value):
    case = case_of("gru")
    agent = dataclasses.replace(
        case.agent, normalize_advantage=normalize, clip_value=clip_value
    )
    # Another policy than the one that acted, so that clipping matters.
    params = jax.tree.map(lambda x: 1.3 * x, case.params)
    entering = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]), case.rollout.memory_states
    )

    def learner(params, entering, batch):
        steps = batch.transitions
        _, policy, value = agent.network(params).sequence(entering, steps.inputs)
        log_prob = policy.log_prob(steps.extras.raw_action)
        return log_prob, policy.entropy(), value, agent.loss(params, entering, batch)

    log_prob, entropy, value, (loss, metrics) = jax.jit(learner)(
        params, entering, case.batch
    )
    expected = numpy_loss(
        agent, np.asarray(log_prob), np.asarray(entropy), np.asarray(value), case.batch
    )
    assert metrics["policy/clip_fraction"] > 0.05
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def changes_of(agent, gradients):
    """What the agent's optimiser makes of gradients in a row."""
    gradients = jnp.asarray(gradients)
    state, changes = agent.optimizer.init(gradients[0]), []
    with jax.numpy_dtype_promotion("standard"):
        for gradient in gradients:
            change, state = agent.optimizer.update(gradient, state, gradient)
            changes.append(np.asarray(change))
    return np.stack(changes)


@pytest.mark.parametrize(
    ("settings", "rates"),
    [
        ({"total_updates": 2}, (1, 0.5, 0)),
        ({"total_updates": None}, (1, 1, 1)),
        ({"total_updates": 2, "anneal_learning_rate": False}, (1, 1, 1)),
    ],
)
def test_the_learning_rate_falls_to_zero_where_it_is_to(settings, rates):
    agent = dataclasses.replace(case_of("gru").agent, **settings)
    half = agent.num_epochs * agent.num_minibatches
    sizes = np.abs(changes_of(agent, np.ones((2 * half + 1, 1), np.float32)))[:, 0]
    expected = agent.learning_rate * np.asarray(rates)
    np.testing.assert_allclose(sizes[[0, half, 2 * half]], expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("settings", "shares"),
    [
        ({"total_updates": 4, "anneal_entropy": True}, (1, 0.75, 0)),
        ({"total_updates": None, "anneal_entropy": True}, (1, 1, 1)),
        ({"total_updates": 4}, (1, 1, 1)),
    ],
)
def test_the_entropy_bonus_falls_to_zero_where_it_is_to(settings, shares):
    """Read from the losses of updates: what total lacks of policy and value."""
    agent = dataclasses.replace(case_of("gru").agent, **settings)
    state, update = agent.init(jax.random.key(0)), jax.jit(agent.update)
    for done, share in zip((0, 1, 5), shares, strict=True):
        at = state._replace(updates=jnp.asarray(done, jnp.int32))
        told = {name: float(x) for name, x in update(at)[1].items()}
        bonus = told["loss/policy"] + agent.value_coefficient * told["loss/value"]
        weight = (bonus - told["loss/total"]) / told["policy/entropy"]
        assert weight == pytest.approx(share * agent.entropy_coefficient, abs=1e-6)


def test_gradients_are_clipped_before_adam():
    """Adam in numpy; a factor on all gradients would be lost in it, unlike on some."""
    agent = dataclasses.replace(case_of("gru").agent, total_updates=None)
    gradients = np.asarray([[60.0, -80.0], [0.06, 0.08]], np.float32)  # norms 100, 0.1
    mean = square = np.zeros(2)
    for number, change in enumerate(changes_of(agent, gradients), start=1):
        gradient = gradients[number - 1].astype(np.float64)
        gradient *= min(1, agent.max_gradient_norm / np.linalg.norm(gradient))
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        step = mean / (1 - 0.9**number)
        step /= np.sqrt(square / (1 - 0.999**number)) + agent.adam_epsilon
        np.testing.assert_allclose(change, -agent.learning_rate * step, rtol=1e-4)


def test_metrics_of_the_ratio_by_hand():
    ratio = np.asarray([[0.5, 0.95], [1.0, 1.05], [1.5, 0.89], [1.3, 0.7]])
    metrics = ratio_metrics(jnp.asarray(np.log(ratio), jnp.float32), 0.1)
    np.testing.assert_allclose(metrics["policy/clip_fraction"], 5 / 8)
    divergence = np.mean(ratio - 1 - np.log(ratio))
    np.testing.assert_allclose(metrics["policy/kl"], divergence, rtol=1e-5)
