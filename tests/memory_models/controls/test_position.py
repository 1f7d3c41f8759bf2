"""The clock is counted by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models

FREQUENCIES = 5


def make(**options):
    return eqx.filter_jit(memory_models.make)(
        "position",
        input_size=3,
        output_size=4,
        key=jax.random.key(0),
        frequencies=FREQUENCIES,
        **options,
    )


@eqx.filter_jit
def run(model, state, inputs, starts):
    return model(state, inputs, starts)


def reference(model, inputs, starts):
    """A counter, and Python's sine of it."""
    period = np.round(np.geomspace(4, model.max_period, FREQUENCIES))
    weight = np.asarray(model.layer.weight, np.float64)
    bias = np.asarray(model.layer.bias, np.float64)
    clock, outputs = 0, []
    for x, start in zip(inputs, starts, strict=True):
        clock = 0 if start else clock
        angle = 2 * np.pi * np.fmod(clock, period) / period
        z = np.concatenate([x, np.sin(angle), np.cos(angle)]) @ weight + bias
        outputs.append(np.where(z > 0, z, 0.01 * z))
        clock += 1
    return np.array(outputs), clock


def test_outputs_are_those_of_a_counter(x64):
    model = jax.tree.map(lambda x: x + 0.1 if eqx.is_array(x) else x, make())
    generator = np.random.default_rng(0)
    inputs, starts = generator.normal(size=(60, 3)), generator.random(60) < 0.1
    state, outputs = run(model, jnp.int32(0), jnp.asarray(inputs), jnp.asarray(starts))
    expected, clock = reference(model, inputs, starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)
    assert state == clock


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    model = make()
    inputs = np.random.default_rng(0).normal(size=(time, 3)).astype(np.float32)
    starts = np.zeros(time, bool)
    _, outputs = run(model, jnp.int32(0), jnp.asarray(inputs), jnp.asarray(starts))
    expected, _ = reference(model, inputs.astype(np.float64), starts)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)


def test_the_state_is_the_step_alone():
    model = make()
    assert memory_models.state_bytes(model) == 4
    assert model.card.context == 0


def test_a_clock_without_meaning_is_refused():
    with pytest.raises(ValueError, match="max_period=4"):
        make(max_period=4)
