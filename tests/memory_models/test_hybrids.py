"""Hybrids are the stacks of their parts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from memory_models.mechanisms.layers import layer_norm
from tests.memory_models.attention import test_attention
from tests.memory_models.linear import test_mamba, test_mlstm, test_rg_lru
from tests.memory_models.linear.model_loops import compare_long, linear
from tests.memory_models.linear.model_loops import layer_norm as normal
from tests.memory_models.recurrences import test_slstm

KEY = jax.random.key(0)
build = eqx.filter_jit(memory_models.make)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("griffin", ["RealGatedLinearRecurrentUnit"] * 2 + ["SlidingWindowAttention"]),
        ("samba", ["Mamba", "SlidingWindowAttention"]),
        ("xlstm", ["MatrixLSTM", "ScalarLSTM"]),
    ],
)
def test_presets_have_the_blocks_of_their_papers(name, parts):
    build = memory_models.builder(name, output_size=16, num_layers=2)
    model = eqx.filter_eval_shape(build, 5, key=KEY)
    assert [type(layer).__name__ for layer in model.layers] == 2 * parts


def test_a_stack_is_its_layers_by_hand():
    """Two layers with feed-forwards, over a start, from a used state."""
    model = build(
        "hybrid",
        input_size=5,
        output_size=8,
        key=KEY,
        blocks=("gru", "attention"),
        window=4,
    )
    inputs = jax.random.normal(jax.random.key(1), (9, 5))
    starts = jnp.arange(9) == 4
    run = eqx.filter_jit(lambda model, *arguments: model(*arguments))
    state = run(model, model.initial_state(), inputs[::-1], ~starts)[0]
    after, outputs = run(model, state, inputs, starts)
    expected, states = eqx.filter_jit(by_hand)(model, state, inputs, starts)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), after, tuple(states)
    )


def by_hand(model, state, inputs, starts):
    x, states = model.encode(inputs), []
    scale = (2 * sum(not layer.is_block for layer in model.layers)) ** -0.5
    for layer, forward, entering in zip(
        model.layers, model.feed_forward, state, strict=True
    ):
        read = x if layer.is_block else layer_norm(x)
        new, y = layer(entering, read, starts)
        states.append(new)
        x = y if layer.is_block else x + scale * y
        assert (forward is None) == layer.feeds_forward
        if forward is not None:
            gate, value = jnp.split(layer_norm(x) @ forward.into.weight, 2, axis=-1)
            x = x + scale * (jax.nn.gelu(gate) * value) @ forward.out.weight
    return layer_norm(x), states


def attend(model, inputs, starts):
    return None, test_attention.reference(model, inputs, starts)


PART_LOOPS = {
    "RealGatedLinearRecurrentUnit": test_rg_lru.loop,
    "SlidingWindowAttention": attend,
    "Mamba": test_mamba.loop,
    "MatrixLSTM": test_mlstm.loop,
    "ScalarLSTM": test_slstm.loop,
}
"""The references of the parts, each from the equations of its own paper."""


def loop(model, inputs, starts):
    """The parts' references, one over the other, in double precision."""
    x = linear(model.encode, inputs)
    branches = sum(f is not None for f in model.feed_forward)
    scale = (branches + sum(not layer.is_block for layer in model.layers)) ** -0.5
    for layer, forward in zip(model.layers, model.feed_forward, strict=True):
        read = x if layer.is_block else normal(x)
        _, y = PART_LOOPS[type(layer).__name__](layer, read, starts)
        x = y if layer.is_block else x + scale * y
        if forward is not None:
            gate, value = np.split(linear(forward.into, normal(x)), 2, axis=-1)
            x = x + scale * linear(forward.out, test_rg_lru.gelu(gate) * value)
    return None, normal(x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("griffin", {"window": 5}),
        ("samba", {"window": 5}),
        ("xlstm", {"output_size": 8}),
    ],
)
def test_float32_stays_with_float64(name, options):
    compare_long(name, loop, 100_000, **options)


def test_any_model_can_be_stacked():
    model = build("ffm", input_size=5, output_size=8, key=KEY, num_layers=2, glu=True)
    assert len(model.layers) == len(model.feed_forward) == 2
    assert model.card.context is None
    stacked = build("frame_stack", input_size=5, output_size=8, key=KEY, num_layers=3)
    block = build("hopfield", input_size=5, output_size=8, key=KEY, glu=True)
    assert block.layers[0].is_block and block.feed_forward[0] is not None
    assert stacked.card.context == 9 and stacked.card.context_option == "frames"


def test_what_cannot_be_stacked_is_said():
    with pytest.raises(ValueError, match="num_layers=0"):
        memory_models.builder("gru", output_size=8, num_layers=0)
    with pytest.raises(ValueError, match="only the first layer"):
        memory_models.builder("dual_coding", output_size=8, num_layers=2)
    with pytest.raises(ValueError, match="gtrxl' has a feed-forward layer of its own"):
        memory_models.builder("gtrxl", output_size=8, glu=True)
    with pytest.raises(ValueError, match="Did you mean 'gru'"):
        memory_models.make(
            "hybrid", input_size=5, output_size=8, key=KEY, blocks=("grru",)
        )
    with pytest.raises(ValueError, match=r"blocks=\[\]"):
        memory_models.make("hybrid", input_size=5, output_size=8, key=KEY, blocks=())
