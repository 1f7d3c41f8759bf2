"""TransformerFAM against lists of steps and feedback vectors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests.memory_models.attention.loops import (
    apply,
    build,
    doubled,
    feed_forward,
    matches,
    norm,
    perturbed,
    random_run,
    run,
    stays_with_double,
)
from tests.memory_models.attention.token_loop import token_run

INPUTS, OUTPUTS, LENGTH = 3, 6, 4


def make(**options):
    options = {"num_heads": 2, "head_size": 4, "block_length": LENGTH, **options}
    return build(
        "transformer_fam",
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **{"memory_size": 2, "history_blocks": 2, **options},
    )


def test_outputs_are_those_of_a_list_of_steps(x64):
    matches(perturbed(make()), token_run, 90, INPUTS, tolerance=1e-9)


def test_without_memory_it_is_block_sliding_window_attention(x64):
    """Torch with the mask of blocks; queries of zero, so that places do not matter."""
    model, time = perturbed(make(memory_size=0)), 26
    zeros = jnp.zeros_like(model.layer.project.weight[:, :8])
    weight = jnp.concatenate([zeros, model.layer.project.weight[:, 8:]], axis=1)
    model = eqx.tree_at(lambda m: m.layer.project.weight, model, weight)
    inputs, _ = random_run(time, INPUTS)
    starts = np.arange(time) == 9
    _, outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    weights, layer = doubled(model), doubled(model).layer
    x = apply(weights.encode, inputs)
    block = np.where(np.arange(time) < 9, 0, 100) + (
        np.where(np.arange(time) < 9, np.arange(time), np.arange(time) - 9) // LENGTH
    )
    ago = block[:, None] - block
    mask = np.tril(np.ones((time, time), bool)) & (ago >= 0) & (ago <= 2)
    values = np.split(apply(layer.project, norm(x)), 3, axis=1)[2]
    equal = torch.zeros(time, 1, dtype=torch.float64)
    attend = torch.nn.functional.scaled_dot_product_attention
    read = attend(equal, equal, torch.tensor(values), attn_mask=torch.tensor(mask))
    y = x + apply(layer.out, read.numpy())
    expected = y + feed_forward(layer.feed_forward, norm(y))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)
    assert model.card.context == 3 * LENGTH - 1


def test_gradients_reach_blocks_beyond_the_window(x64):
    model = perturbed(make())

    def last(inputs):
        starts = jnp.arange(23) == 2
        return model(model.initial_state(), inputs, starts)[1][-1].sum()

    inputs = jnp.asarray(random_run(23, INPUTS)[0])
    reached = np.abs(jax.jit(jax.grad(last))(inputs)).max(1) > 0
    np.testing.assert_array_equal(reached, np.arange(23) >= 2)


@pytest.mark.slow  # by default rmt and transformer_xl stand for their mechanisms
@pytest.mark.parametrize("time", [2000, 100_000])
def test_float32_stays_with_float64(time):
    stays_with_double(make, token_run, time, INPUTS)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="block_length=1"):
        make(block_length=1)
    with pytest.raises(ValueError, match="head_size=3"):
        make(head_size=3)
