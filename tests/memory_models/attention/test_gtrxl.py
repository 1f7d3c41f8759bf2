"""GTrXL against a loop over distances, and its gates."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.attention.loops import (
    apply,
    build,
    feed_forward,
    matches,
    norm,
    perturbed,
    random_run,
    run,
    sigmoid,
    stays_with_double,
)
from tests.memory_models.attention.relative_loop import relative_read, windows

SIZE = 6


def make(input_size=3, **options):
    options = {"num_heads": 2, "head_size": 4, "window": 5, **options}
    return build(
        "gtrxl",
        input_size=input_size,
        output_size=SIZE,
        key=jax.random.key(0),
        **options,
    )


def relu(x):
    return np.maximum(x, 0)


def gated(gate, x, y):
    wr, wz, wg = np.split(gate.of_sublayer.weight, 3, axis=1)
    ur, uz = np.split(gate.of_stream.weight, 2, axis=1)
    r = sigmoid(y @ wr + x @ ur)
    z = sigmoid(y @ wz + x @ uz - gate.bias)
    h = np.tanh(y @ wg + (r * x) @ gate.of_reset.weight)
    return (1 - z) * x + z * h


def reference(model, inputs, starts):
    outputs = []
    for raw, past in windows(
        inputs,
        starts,
        model.attention.window,
        lambda raw: norm(apply(model.encode, raw)),
    ):
        x = apply(model.encode, raw)
        y = gated(model.gates[0], x, relu(relative_read(model.attention, past)))
        made = relu(feed_forward(model.feed_forward, norm(y), relu))
        outputs.append(gated(model.gates[1], y, made))
    return np.array(outputs)


@pytest.mark.parametrize("input_size", [3, pytest.param(SIZE, marks=pytest.mark.slow)])
def test_outputs_are_those_of_a_loop_over_distances(x64, input_size):
    matches(perturbed(make(input_size)), reference, 70, input_size)


def test_a_large_bias_makes_the_layer_the_identity():
    model = make(SIZE, gate_bias=1e3)
    inputs, starts = random_run(20, SIZE, dtype=np.float32)
    _, outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    np.testing.assert_array_equal(outputs, inputs)


def test_gates_start_an_eighth_open():
    model = make(SIZE)
    gate = eqx.tree_at(
        lambda g: (g.of_sublayer.weight, g.of_stream.weight),
        model.gates[0],
        replace_fn=jnp.zeros_like,
    )
    ones = jnp.ones(SIZE)
    # The candidate is tanh(U_g x / 2): without the rest, z alone is left.
    gate = eqx.tree_at(lambda g: g.of_reset.weight, gate, replace_fn=jnp.zeros_like)
    np.testing.assert_allclose(1 - gate(ones, ones), 0.1192, atol=1e-4)


@pytest.mark.slow  # by default rmt and transformer_xl stand for their mechanisms
@pytest.mark.parametrize("time", [2000, 100_000])
def test_float32_stays_with_float64(time):
    stays_with_double(make, reference, time, 3)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="window=1"):
        make(window=1)
