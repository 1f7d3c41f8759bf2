"""IndRNN against its paper's equation, and its closed forms."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from tests.memory_models.linear.model_loops import (
    compare,
    compare_long,
    draw,
    linear,
    make,
    numbers,
    perturbed,
    run,
)


def loop(model, inputs, starts):
    hidden, outputs = np.zeros_like(model.weight), []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            hidden = np.zeros_like(hidden)
        hidden = np.maximum(
            0, linear(model.project, x) + np.tanh(model.weight) * hidden
        )
        outputs.append(hidden)
    return [hidden], np.array(outputs)


def test_outputs_and_state_are_those_of_the_equations(x64):
    compare("ind_rnn", loop)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    compare_long("ind_rnn", loop, time)


def test_without_recurrence_it_is_a_layer(x64):
    model = perturbed(make("ind_rnn"))
    model = eqx.tree_at(lambda m: m.weight, model, jnp.zeros(6))
    inputs, starts = (jnp.asarray(x) for x in draw(40, 0.0))
    _, outputs = run(model, jnp.ones(6), inputs, starts)
    expected = np.maximum(0, linear(numbers(model).project, np.asarray(inputs)))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


def test_a_gradient_over_many_steps_is_a_power_of_the_recurrent_weight(x64):
    model = make("ind_rnn")
    bias = eqx.tree_at(lambda m: m.project.bias, model, jnp.full(6, 10.0))
    inputs, starts = (jnp.asarray(x) for x in draw(40, 0.0))
    # Kept apart from zero by the bias, every relu is the identity.
    found = jax.jacrev(lambda h: run(bias, h, inputs, starts)[0])(jnp.ones(6))
    expected = np.diag(np.tanh(np.asarray(model.weight)) ** 40)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_units_start_at_all_time_scales():
    model = memory_models.make(
        "ind_rnn", input_size=16, output_size=512, key=jax.random.key(0), max_period=100
    )
    forget = 1 - np.tanh(np.asarray(model.weight))
    assert 0.0099 < forget.min() < 0.012 and 0.9 < forget.max() <= 1
    inputs = np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32)
    starts = jnp.zeros(1000, bool)
    _, outputs = run(model, model.initial_state(), jnp.asarray(inputs), starts)
    assert 0.4 < np.asarray(outputs[200:]).std() < 2


def test_a_period_without_meaning_is_refused():
    with pytest.raises(ValueError, match="max_period=1"):
        make("ind_rnn", max_period=1)
