"""A state-space layer as a loop in double precision, and its impulse response."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import memory_models

INPUTS, OUTPUTS, TIME = 5, 6, 40


build = eqx.filter_jit(memory_models.make)
"""Compiled once for each set of options."""


def make(name, **options):
    return build(
        name,
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **options,
    )


@eqx.filter_jit
def run(model, inputs, starts):
    return model(model.initial_state(), inputs, starts)


def biased(model):
    """Non-zero biases, so that they are compared too."""
    generator = np.random.default_rng(1)
    return jax.tree.map(
        lambda x: x + jnp.asarray(0.1 * generator.normal(size=x.shape), x.dtype), model
    )


def double(x):
    return np.asarray(x, np.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gelu(x):
    """Hendrycks & Gimpel 2016, the tanh approximation."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def normalise(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def matrices(layer):
    """B `[outputs, modes]` and C `[modes, outputs]`, complex."""
    real, imaginary = np.split(double(layer.write.weight), 2, axis=1)
    above, below = np.split(double(layer.read.weight), 2)
    return real + 1j * imaginary, above - 1j * below


def apply(linear, x):
    return x @ double(linear.weight) + double(linear.bias)


def loop(layer, decay, gain, inputs, starts):
    """The last state and all outputs; only the recurrence is a loop."""
    b, c = matrices(layer)
    encoded = apply(layer.encode, double(inputs))
    normal = normalise(encoded)
    drive = (normal @ b) * gain
    state, states = np.zeros(len(decay), complex), []
    for now, start in zip(drive, starts, strict=True):
        state = now + decay * (np.zeros_like(state) if start else state)
        states.append(state)
    read = (np.array(states) @ c).real
    w = gelu(read + double(layer.through) * normal)
    value = w if layer.value is None else apply(layer.value, w)
    return state, encoded + value * sigmoid(apply(layer.gate, w))


def check_outputs(model, decay, gain):
    """Outputs and state of random inputs and starts are those of the loop."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(TIME, INPUTS))
    starts = generator.random(TIME) < 0.15
    (real, imaginary), outputs = run(model, jnp.asarray(inputs), jnp.asarray(starts))
    state, expected = loop(model.layer, decay, gain, inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(real, state.real, rtol=0, atol=1e-11)
    np.testing.assert_allclose(imaginary, state.imag, rtol=0, atol=1e-11)


def check_impulse(model, decay, gain):
    """After one input the layer plays gelu(Re(v B gain lambda^k C)), k = 1, 2, ...

    Gates are opened and biases removed, so that nothing else is in the output.
    """
    layer = model.layer
    layer = eqx.tree_at(
        lambda m: (m.gate.weight, m.gate.bias, m.encode.bias),
        layer,
        (jnp.zeros((OUTPUTS, OUTPUTS)), jnp.full(OUTPUTS, 1e3), jnp.zeros(OUTPUTS)),
    )
    if layer.value is not None:
        layer = eqx.tree_at(
            lambda m: (m.value.weight, m.value.bias),
            layer,
            (jnp.eye(OUTPUTS), jnp.zeros(OUTPUTS)),
        )
    model = eqx.tree_at(lambda m: m.layer, model, layer)
    impulse = np.zeros((TIME, INPUTS))
    impulse[0] = np.linspace(-1, 2, INPUTS)
    _, outputs = run(model, jnp.asarray(impulse), jnp.zeros(TIME, bool))
    b, c = matrices(layer)
    v = normalise(impulse[0] @ double(layer.encode.weight))
    powers = decay[None] ** np.arange(1, TIME)[:, None]
    response = ((v @ b * gain) * powers @ c).real
    assert np.abs(response[-1]).max() > 1e-4
    np.testing.assert_allclose(outputs[1:], gelu(response), rtol=0, atol=1e-12)


def check_float32(model, decay, gain, time):
    """Float32 stays with the loop in float64."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(time, INPUTS)).astype(np.float32)
    starts = np.zeros(time, bool)
    (real, _), outputs = run(model, jnp.asarray(inputs), jnp.asarray(starts))
    assert outputs.dtype == jnp.float32
    state, expected = loop(model.layer, decay, gain, inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(real, state.real, rtol=0, atol=1e-3)


@eqx.filter_jit
@eqx.filter_value_and_grad
def total(model, inputs):
    starts = jnp.zeros(len(inputs), bool)
    return jnp.sum(model(model.initial_state(), inputs, starts)[1])


def check_bounded(model):
    """No mode grows, and outputs and gradients are finite."""
    real, imaginary = model.dynamics().decay
    assert float(jnp.hypot(real, imaginary).max()) < 1.0
    inputs = np.random.default_rng(0).normal(size=(64, INPUTS))
    value, gradients = total(model, jnp.asarray(inputs, real.dtype))
    for leaf in jax.tree.leaves((value, gradients)):
        assert np.isfinite(leaf).all()
