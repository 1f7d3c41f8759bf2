"""Reconstruction of observations: its error against numpy, and what it trains."""

import dataclasses

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.base import Inputs
from agents.networks.decoder import Decoder, reconstruction_target, target_width
from agents.networks.encoder import Static
from agents.running.configuration.config import reconstructing
from agents.spaces import is_image
from tests.agents.algorithms.test_ratio_one import make_agent, redrawn, second_rollout
from tests.agents.toy import Toy

SPACE = gymnasium.spaces.Dict(
    {
        "choice": gymnasium.spaces.Discrete(3, start=2),
        "choices": gymnasium.spaces.MultiDiscrete([2, 4]),
        "numbers": gymnasium.spaces.Box(-2.0, 2.0, (2, 3), np.float32),
        "pixels": gymnasium.spaces.Box(0, 255, (35, 20, 3), np.uint8),
    }
)
TIME, BATCH, WIDTH = 3, 2, 5


def cross_entropy(logits, index):
    return np.log(np.exp(logits).sum()) - logits[index]


def test_the_error_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    SPACE.seed(0)
    observations = [[SPACE.sample() for _ in range(BATCH)] for _ in range(TIME)]
    stacked = {
        name: jnp.asarray([[o[name] for o in row] for row in observations])
        for name in SPACE
    }
    summary = rng.normal(size=(TIME, BATCH, WIDTH)).astype(np.float32)
    decoder = Decoder(Static(SPACE), WIDTH, key=jax.random.key(0))
    inputs = Inputs(stacked, jnp.zeros((TIME, BATCH), bool))
    found = jax.jit(lambda d, s, i: d.error(s, i, None))(decoder, summary, inputs)

    def given(name, t, b):
        layer = decoder.layers[name]
        return summary[t, b] @ np.asarray(layer.weight) + np.asarray(layer.bias)

    errors = {name: [] for name in SPACE}
    for t in range(TIME):
        for b in range(BATCH):
            seen = observations[t][b]
            choice = given("choice", t, b)
            errors["choice"].append(cross_entropy(choice, seen["choice"] - 2))
            both = given("choices", t, b)
            first, second = seen["choices"]
            errors["choices"].append(
                (cross_entropy(both[:2], first) + cross_entropy(both[2:], second)) / 2
            )
            difference = given("numbers", t, b) - seen["numbers"].ravel()
            errors["numbers"].append((difference**2).mean())
            # 35 rows in blocks of 3 (the last 2 are left out), 20 columns of 2.
            small = np.zeros((11, 10, 3))
            for row in range(11):
                for column in range(10):
                    block = seen["pixels"][3 * row : 3 * row + 3]
                    block = block[:, 2 * column : 2 * column + 2]
                    small[row, column] = block.mean((0, 1)) / 255
            difference = given("pixels", t, b) - small.ravel()
            errors["pixels"].append((difference**2).mean())
    expected = np.mean([np.mean(each) for each in errors.values()])
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("side", [8, 16, 17, 32, 64, 99, 128])
def test_images_become_small(side):
    space = gymnasium.spaces.Box(0, 255, (side, side, 1), np.uint8)
    assert is_image(space)
    target = reconstruction_target(space, jnp.full((4, side, side, 1), 255, jnp.uint8))
    assert target.shape == (4, target_width(space)) and target.shape[1] <= 16**2
    np.testing.assert_allclose(target, 1.0)


def test_it_is_part_of_the_loss_and_trains_the_memory():
    """With no other loss, gradients reach memory, encoder and decoder, no head."""
    plain = make_agent("gru", env=Toy(observations="dict"))
    agent = dataclasses.replace(plain, reconstruction_weight=0.5)
    case = second_rollout(agent)
    entering = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]), case.rollout.memory_states
    )

    @jax.jit
    def both(params, entering, batch):
        loss, metrics = agent.loss(params, entering, batch)
        without = eqx.tree_at(lambda p: p.decoder, params, None)
        rest, others = plain.loss(without, entering, batch)
        gradient = jax.grad(
            lambda p: agent.loss(p, entering, batch)[1]["loss/reconstruction"],
            allow_int=True,
        )(params)
        return loss, metrics["loss/reconstruction"], rest, others, gradient

    loss, error, rest, others, gradient = both(case.params, entering, case.batch)
    assert error > 0.1 and others["loss/reconstruction"] == 0
    np.testing.assert_allclose(loss, rest + 0.5 * error, rtol=1e-4)

    def trained(tree):
        leaves = [x for x in jax.tree.leaves(tree) if x.dtype == jnp.float32]
        return [bool(jnp.any(x != 0)) for x in leaves if x.size]

    assert all(trained((gradient.actor.memory, gradient.decoder)))
    assert any(trained(gradient.actor.encoder))
    assert not any(trained((gradient.policy_head, gradient.value_head)))


def test_a_memory_may_ask_for_it():
    agent = {"name": "ppo", "reconstruction_weight": None}
    assert reconstructing(agent, {})["reconstruction_weight"] == 0
    asking = {"reconstruction_weight": "0.5"}
    assert reconstructing(agent, asking)["reconstruction_weight"] == 0.5
    said = {"name": "ppo", "reconstruction_weight": 0.1}
    assert reconstructing(said, asking) == said
    assert reconstructing({"name": "x"}, asking) == {"name": "x"}


def test_what_is_standardised_is_reconstructed_so():
    agent = make_agent(
        "none",
        env=Toy(observations="dict"),
        normalize_observation=True,
        reconstruction_weight=0.5,
    )
    network = agent.network(redrawn(agent))
    keys = jax.random.split(jax.random.key(0), 6)
    observation = jax.vmap(agent.env.reset)(keys)[0]
    inputs = agent.first_inputs(observation, None, 6)
    inputs = jax.tree.map(lambda x: x[None], inputs)
    state = network.initial_state(6)
    error = network.sequence_to_learn(state, inputs)[2]
    (summary,) = network._apply("sequence", state, inputs)[3]
    moments = network.statistics.observation
    plain, expected = (
        network.decoder.error(summary, inputs, m) for m in (None, moments)
    )
    np.testing.assert_allclose(error, expected, rtol=1e-5)
    assert abs(float(error - plain)) > 1e-2
