"""Transformer-XL against a loop over distances."""

import jax
import numpy as np
import pytest

from tests.memory_models.attention.loops import (
    apply,
    build,
    feed_forward,
    matches,
    norm,
    perturbed,
    stays_with_double,
)
from tests.memory_models.attention.relative_loop import relative_read, windows

INPUTS, OUTPUTS = 3, 6


def make(**options):
    options = {"num_heads": 2, "head_size": 4, "window": 5, **options}
    return build(
        "transformer_xl",
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **options,
    )


def relu(x):
    return np.maximum(x, 0)


def reference(model, inputs, starts):
    outputs = []
    for raw, past in windows(
        inputs,
        starts,
        model.attention.window,
        lambda raw: norm(apply(model.encode, raw)),
    ):
        del raw
        h = norm(past[-1] + relative_read(model.attention, past))
        outputs.append(norm(h + feed_forward(model.feed_forward, h, relu)))
    return np.array(outputs)


@pytest.mark.parametrize("window,time", [(5, 70), (40, 30)])
def test_outputs_are_those_of_a_loop_over_distances(x64, window, time):
    matches(perturbed(make(window=window)), reference, time, INPUTS)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    stays_with_double(make, reference, time, INPUTS)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="window=1"):
        make(window=1)
    with pytest.raises(ValueError, match="num_heads=0"):
        make(num_heads=0)
