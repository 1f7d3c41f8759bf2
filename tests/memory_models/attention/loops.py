"""What the loops in double precision share."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memory_models

build = eqx.filter_jit(memory_models.make)


@eqx.filter_jit
def run(model, state, inputs, starts):
    return model(state, inputs, starts)


def perturbed(model, scale=0.2, seed=1):
    """Every parameter a little off, so that none is zero and none equals another."""
    generator = np.random.default_rng(seed)
    parameters, rest = eqx.partition(model, eqx.is_inexact_array)
    parameters = jax.tree.map(
        lambda x: x + jnp.asarray(scale * generator.normal(size=x.shape), x.dtype),
        parameters,
    )
    return eqx.combine(parameters, rest)


def doubled(model):
    """The parameters as numpy arrays in double precision."""
    return jax.tree.map(
        lambda x: np.asarray(x, np.float64) if eqx.is_inexact_array(x) else x, model
    )


def random_run(time, features, seed=0, rate=0.15, dtype=np.float64):
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(time, features)).astype(dtype)
    return inputs, generator.random(time) < rate


def apply(layer, x):
    """A Linear layer (or None) of numpy arrays."""
    if layer is None:
        return x
    y = x @ layer.weight
    return y if layer.bias is None else y + layer.bias


def norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def feed_forward(layer, x, activation=gelu):
    return apply(layer.out, activation(apply(layer.into, x)))


def heads_of(x, parts, heads):
    """[parts][heads][size] of one step's product."""
    return x.reshape(parts, heads, -1)


def rope(x, place):
    """Rotate one step's [heads, size] by complex multiplication."""
    half = x.shape[-1] // 2
    z = x[..., :half] + 1j * x[..., half:]
    z = z * np.exp(1j * place * 10_000.0 ** (-np.arange(half) / half))
    return np.concatenate([z.real, z.imag], axis=-1)


PART = 1_000


def stays_with_double(make, reference, time, features, tolerance=1e-3, *, replay=False):
    """A float32 run of the model against the reference in double precision.

    With `replay` the reference is told the outputs, to choose as the model did where
    rounding could decide.
    """
    model = make()
    inputs, starts = random_run(time, features, rate=2 / time, dtype=np.float32)
    state, parts = model.initial_state(), []
    for begin in range(0, time, PART):  # in parts, as from rollout to rollout
        part = slice(begin, begin + PART)
        state, outputs = run(
            model, state, jnp.asarray(inputs[part]), jnp.asarray(starts[part])
        )
        parts.append(np.asarray(outputs))
    found = np.concatenate(parts)
    told = (found,) if replay else ()
    expected = reference(doubled(model), inputs.astype(np.float64), starts, *told)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def matches(model, reference, time, features, seed=0, tolerance=1e-10):
    """A run in double precision against the reference, random starts included."""
    inputs, starts = random_run(time, features, seed)
    _, outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    expected = reference(doubled(model), inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=tolerance)
