"""The short convolution against a numpy loop over inputs and taps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.convolution import ShortConvolution
from tests.memory_models.mechanisms.step_loops import by_steps, close, gradients

FEATURES = 3


def make(taps):
    layer = ShortConvolution(FEATURES, taps, key=jax.random.key(0))
    bias = jnp.arange(1.0, 1.0 + FEATURES).astype(layer.weight.dtype)
    return layer, bias


def loop(weight, bias, tail, inputs, starts):
    """Every output from a list of the episode's inputs so far."""
    episode, outputs = list(tail), []
    for x, start in zip(inputs, starts, strict=True):
        episode = [x] if start else [*episode, x]
        newest_first = episode[::-1][: len(weight)]
        pairs = zip(weight, newest_first, strict=False)
        outputs.append(bias + sum(w * x for w, x in pairs))
    kept = [np.zeros(FEATURES)] * len(weight) + episode
    return np.array(kept[len(kept) - len(weight) + 1 :]), np.array(outputs)


@pytest.mark.parametrize("taps", [1, 2, 4])
@pytest.mark.parametrize("time", [1, 2, 9])
def test_outputs_and_tail_are_those_of_the_loop(x64, taps, time):
    layer, bias = make(taps)
    layer = eqx.tree_at(lambda m: m.bias, layer, bias)
    generator = np.random.default_rng(taps)
    inputs = generator.normal(size=(time, FEATURES))
    tail = generator.normal(size=(taps - 1, FEATURES))
    weight = np.asarray(layer.weight)
    for chance in (0.0, 0.3, 1.0):
        starts = generator.random(time) < chance
        found_tail, found = layer(
            jnp.asarray(tail), jnp.asarray(inputs), jnp.asarray(starts)
        )
        expected_tail, expected = loop(weight, np.asarray(bias), tail, inputs, starts)
        close(found, expected)
        close(found_tail, expected_tail.reshape(tail.shape))


def test_gradients_are_those_of_the_steps(x64):
    layer, _ = make(4)
    generator = np.random.default_rng(0)
    inputs = jnp.asarray(generator.normal(size=(9, FEATURES)))
    tail = jnp.asarray(generator.normal(size=(3, FEATURES)))
    starts = jnp.asarray(generator.random(9) < 0.3)

    def whole(layer, tail, inputs):
        return layer(tail, inputs, starts)

    def stepped(layer, tail, inputs):
        def step(x, tail):
            return layer.step(tail, x, jnp.zeros((), bool))

        return by_steps(step, (inputs,), starts, tail)

    arguments = (eqx.filter(layer, eqx.is_array), tail, inputs)
    close(gradients(whole, arguments), gradients(stepped, arguments))
