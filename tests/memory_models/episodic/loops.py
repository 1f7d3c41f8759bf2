"""What the reference loops share: running a model, and numpy's own layers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memory_models

INPUTS, OUTPUTS, CHUNK = 5, 6, 250


def make(name, **options):
    return eqx.filter_jit(memory_models.make)(
        name, input_size=INPUTS, output_size=OUTPUTS, key=jax.random.key(0), **options
    )


def perturbed(model):
    """Every parameter a little off, so that zero biases hide nothing."""
    generator = np.random.default_rng(1)

    def off(leaf):
        if not eqx.is_inexact_array(leaf):
            return leaf
        return leaf + jnp.asarray(0.1 * generator.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map(off, model)


def double(leaf):
    return np.asarray(leaf, np.float64)


def linear(layer, x):
    y = x @ double(layer.weight)
    return y if layer.bias is None else y + double(layer.bias)


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def data(time, *, chance=0.1, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(time, INPUTS)), generator.random(time) < chance


def long_data(time):
    """Single precision; one start early on, and one episode from there to the end."""
    inputs, _ = data(time)
    return inputs.astype(np.float32), np.arange(time) == time // 50


@eqx.filter_jit
def run(model, state, inputs, starts):
    return model(state, inputs, starts)


@eqx.filter_jit
def run_in_chunks(model, inputs, starts):
    """A long sequence, CHUNK steps at a time."""

    def body(state, part):
        return model(state, *part)

    parts = inputs.reshape(-1, CHUNK, INPUTS), starts.reshape(-1, CHUNK)
    return jax.lax.scan(body, model.initial_state(), parts)[1].reshape(-1, OUTPUTS)


def in_numpy(model):
    """The model with its parameters as float64 arrays of numpy, for the loops."""
    return jax.tree.map(lambda x: double(x) if eqx.is_array(x) else x, model)


def compare(model, reference, *, time=40, atol=1e-11):
    """Outputs of a double-precision model and of `reference(model, inputs, starts)`."""
    inputs, starts = data(time)
    _, outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    expected = reference(in_numpy(model), inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=atol)


def compare_in_float32(model, reference, time, *, share=1.0):
    """The same in single precision, over a long episode; for a `share` of the steps."""
    inputs, starts = long_data(time)
    outputs = run_in_chunks(model, jnp.asarray(inputs), jnp.asarray(starts))
    expected = reference(in_numpy(model), double(inputs), starts)
    gaps = np.abs(outputs - expected).max(axis=1)
    assert np.quantile(gaps, share) <= 1e-3
