"""PPO's loss against the formulas written out in numpy, and the learning rate."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from agents.losses import ratio_metrics
from tests.agents.test_ratio_one import case_of


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


def test_the_learning_rate_falls_to_zero():
    agent = dataclasses.replace(case_of("gru").agent, total_updates=2)
    parameter = {"w": jnp.ones(())}
    state = agent.optimizer.init(parameter)
    sizes = []
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(2 * agent.num_epochs * agent.num_minibatches + 1):
            change, state = agent.optimizer.update(parameter, state, parameter)
            sizes.append(abs(float(change["w"])))
    np.testing.assert_allclose(sizes[0], agent.learning_rate, rtol=1e-3)
    np.testing.assert_allclose(sizes[12], agent.learning_rate / 2, rtol=1e-3)
    assert sizes[-1] == 0
    assert isinstance(agent.optimizer, optax.GradientTransformation)


def test_metrics_of_the_ratio_by_hand():
    ratio = np.asarray([[0.5, 0.95], [1.0, 1.05], [1.5, 0.89], [1.3, 0.7]])
    metrics = ratio_metrics(jnp.asarray(np.log(ratio), jnp.float32), 0.1)
    np.testing.assert_allclose(metrics["policy/clip_fraction"], 5 / 8)
    divergence = np.mean(ratio - 1 - np.log(ratio))
    np.testing.assert_allclose(metrics["policy/kl"], divergence, rtol=1e-5)
