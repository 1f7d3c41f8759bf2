"""A model against its paper's equations, as a loop in double precision.

A loop is `(model, inputs, starts) -> (state, outputs)`: `model` has numpy arrays, the
state is a sequence of arrays in the order of the model's leaves.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memory_models

INPUTS, OUTPUTS = 5, 6
build = eqx.filter_jit(memory_models.make)


def make(name, seed=0, output_size=OUTPUTS, **options):
    return build(
        name,
        input_size=INPUTS,
        output_size=output_size,
        key=jax.random.key(seed),
        **options,
    )


@eqx.filter_jit
def run(model, state, inputs, starts):
    return model(state, inputs, starts)


def perturbed(model, scale=0.1):
    """Every parameter moved, so that zeros and ones are compared too."""
    parameters, rest = eqx.partition(model, eqx.is_inexact_array)
    generator = np.random.default_rng(1)
    parameters = jax.tree.map(
        lambda x: x + jnp.asarray(scale * generator.normal(size=x.shape), x.dtype),
        parameters,
    )
    return eqx.combine(parameters, rest)


def numbers(model):
    """The same model with numpy arrays in double precision."""
    return jax.tree.map(
        lambda x: np.asarray(x, np.float64) if eqx.is_inexact_array(x) else x, model
    )


def draw(time, chance):
    generator = np.random.default_rng(0)
    return generator.normal(size=(time, INPUTS)), generator.random(time) < chance


def compare(name, loop, tolerance=1e-10, time=40, **options):
    """Outputs and last state over episodes of about seven steps; returns the model."""
    model = perturbed(make(name, **options))
    inputs, starts = draw(time, 0.15)
    found = run(model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts))
    expected = loop(numbers(model), inputs, starts)
    check(found, expected, tolerance)
    return model


def compare_long(name, loop, time, tolerance=1e-3, **options):
    """In single precision, one episode of `time` steps."""
    model = perturbed(make(name, **options))
    inputs, _ = draw(time, 0.0)
    inputs, starts = inputs.astype(np.float32), np.zeros(time, bool)
    found = run(model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts))
    assert found[1].dtype == jnp.float32
    expected = loop(numbers(model), inputs.astype(np.float64), starts)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=tolerance)


def check(found, expected, tolerance):
    state, outputs = found
    np.testing.assert_allclose(outputs, expected[1], rtol=0, atol=tolerance)
    for ours, theirs in zip(jax.tree.leaves(state), expected[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance)


# What the equations use.


def linear(layer, x):
    y = x @ layer.weight
    return y if layer.bias is None else y + layer.bias


def heads(x, count):
    return x.reshape(count, -1)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softplus(x):
    return np.logaddexp(0, x)


def layer_norm(x, epsilon=1e-5):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)


def rms_norm(x):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)


def unit_norm(x):
    return x / np.sqrt((x**2).sum(-1, keepdims=True) + 1e-6)


class Convolution:
    """The last inputs of the episode as a list, one sum per step."""

    def __init__(self, layer):
        self.layer, self.past = layer, []

    def reset(self):
        self.past = []

    def __call__(self, x):
        taps = len(self.layer.weight)
        self.past = [x, *self.past][:taps]
        pairs = zip(self.layer.weight, self.past, strict=False)
        return self.layer.bias + sum(weight * value for weight, value in pairs)

    def tail(self):
        taps, features = self.layer.weight.shape
        older = [np.zeros(features)] * taps
        return np.array([*self.past, *older][: taps - 1][::-1])
