"""FFM against its paper's equations, written as a loop in double precision."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models

INPUTS, OUTPUTS = 5, 6


def make(seed=0, **options):
    return eqx.filter_jit(memory_models.make)(
        "ffm",
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(seed),
        **options,
    )


@eqx.filter_jit
def run(model, state, inputs, starts):
    return model(state, inputs, starts)


def complex_of(state):
    return np.asarray(state[0]) + 1j * np.asarray(state[1])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gamma_of(model):
    """Gamma_ij = exp(-rate_i + i frequency_j)."""
    rate = 1e-6 + np.exp(np.asarray(model.log_rate, np.float64))
    frequency = np.asarray(model.frequency, np.float64)
    return np.exp(-rate[:, None] + 1j * frequency[None])


def reference(model, inputs, starts):
    """The equations of the paper's section 4, one step after another."""
    memory = model.log_rate.size
    weight = np.asarray(model.project.weight, np.float64)
    bias = np.asarray(model.project.bias, np.float64)
    cuts = [memory, 2 * memory, 2 * memory + OUTPUTS]
    w1, w2, w4, w5 = np.split(weight, cuts, axis=1)
    b1, b2, b4, b5 = np.split(bias, cuts)
    w3 = np.asarray(model.mix.weight, np.float64)
    b3 = np.asarray(model.mix.bias, np.float64)
    gamma = gamma_of(model)
    trace = np.zeros_like(gamma)
    ones = np.ones((1, gamma.shape[1]))
    outputs = []
    for x, start in zip(np.asarray(inputs, np.float64), starts, strict=True):
        if start:
            trace = np.zeros_like(gamma)
        write = (x @ w1 + b1) * sigmoid(x @ w2 + b2)
        trace = trace * gamma + write[:, None] @ ones
        z = np.concatenate([trace.real.ravel(), trace.imag.ravel()]) @ w3 + b3
        gate = sigmoid(x @ w4 + b4)
        normalised = (z - z.mean()) / np.sqrt(z.var() + 1e-5)
        outputs.append(normalised * gate + (x @ w5 + b5) * (1 - gate))
    return trace, np.array(outputs)


def biased(model):
    """Non-zero biases, so that they are compared too."""
    leaves, structure = jax.tree.flatten(model)
    generator = np.random.default_rng(1)
    leaves = [
        leaf + jnp.asarray(0.1 * generator.normal(size=leaf.shape), leaf.dtype)
        for leaf in leaves
    ]
    return jax.tree.unflatten(structure, leaves)


@pytest.mark.parametrize("memory_size,context_size", [(32, 4), (3, 1), (1, 2)])
def test_outputs_are_those_of_the_equations(x64, memory_size, context_size):
    model = biased(make(memory_size=memory_size, context_size=context_size))
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(40, INPUTS))
    starts = generator.random(40) < 0.15
    (real, imaginary), outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    trace, expected = reference(model, inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-11)
    np.testing.assert_allclose(real, trace.real, rtol=0, atol=1e-11)
    np.testing.assert_allclose(imaginary, trace.imag, rtol=0, atol=1e-11)


def test_an_impulse_decays_as_a_power_of_gamma(x64):
    model, time = make(), 300
    inputs = jnp.zeros((time, INPUTS)).at[0].set(1.0)
    starts = jnp.zeros(time, bool)
    state = model.initial_state()
    written = complex_of(run(model, state, inputs[:1], starts[:1])[0])
    found = complex_of(run(model, state, inputs, starts)[0])
    assert np.abs(written).min() > 0
    expected = written * gamma_of(model) ** (time - 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_without_decay_and_rotation_a_trace_is_a_sum(x64):
    model = make(memory_size=2, context_size=1)
    model = eqx.tree_at(
        lambda m: (m.log_rate, m.frequency), model, (jnp.full(2, -100.0), jnp.zeros(1))
    )
    inputs = jnp.ones((10, INPUTS))
    state = model.initial_state()
    once = run(model, state, inputs[:1], jnp.zeros(1, bool))[0][0]
    tenfold = run(model, state, inputs, jnp.zeros(10, bool))[0][0]
    np.testing.assert_allclose(tenfold, 10 * once, rtol=1e-5)


@pytest.mark.parametrize("time", [4096, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    model = make()
    inputs = np.random.default_rng(0).normal(size=(time, INPUTS)).astype(np.float32)
    starts = np.zeros(time, bool)
    (real, _), outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    trace, expected = reference(model, inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-3)
    np.testing.assert_allclose(real, trace.real, rtol=0, atol=1e-3)


@pytest.mark.parametrize("log_rate", [-200.0, 0.0, 50.0])
def test_no_value_of_the_parameters_makes_a_trace_grow(log_rate):
    model = make()
    model = eqx.tree_at(lambda m: m.log_rate, model, jnp.full(32, log_rate))
    real, imaginary = model.decay()
    assert float(jnp.hypot(real, imaginary).max()) <= 1.0
    starts = jnp.zeros(64, bool)
    _, outputs = run(model, model.initial_state(), jnp.ones((64, INPUTS)), starts)
    assert np.isfinite(outputs).all()


def test_rates_and_periods_start_as_documented():
    model = make(max_period=100)
    rate = 1e-6 + np.exp(np.asarray(model.log_rate))
    np.testing.assert_allclose(np.exp(-rate[0]), 0.5, rtol=1e-5)
    np.testing.assert_allclose(np.exp(-100 * rate[-1]), 0.01, rtol=1e-4)
    periods = 2 * np.pi / np.asarray(model.frequency)
    np.testing.assert_allclose(periods[[0, -1]], [100, 2], rtol=1e-5)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="memory_size=0"):
        make(memory_size=0)
    with pytest.raises(ValueError, match="max_period=2"):
        make(max_period=2)
