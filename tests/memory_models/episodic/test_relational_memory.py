"""The relational memory core against its equations, head by head."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.episodic import loops

SLOTS, HEADS, SIZE = 3, 2, 4
WIDTH = HEADS * SIZE


def as_built(**options):
    sizes = {"num_slots": SLOTS, "num_heads": HEADS, "head_size": SIZE}
    return loops.make("relational_memory", **sizes, **options)


def make(**options):
    return loops.perturbed(as_built(**options))


def norm(x, scale_and_offset):
    scale, offset = scale_and_offset
    return loops.layer_norm(x) * scale + offset


def attention(model, block, rows):
    """Multi-head attention, a head at a time."""
    qkv = norm(loops.linear(model.attend[block], rows), model.attend_norm[block])
    found = []
    for head in np.split(qkv, HEADS, axis=1):
        q, k, v = np.split(head, 3, axis=1)
        found.append(loops.softmax(q @ k.T / SIZE**0.5) @ v)
    return np.concatenate(found, axis=1)


def cell(model, memory, x):
    """One step of the Sonnet module, for memory `[slots, width]`."""
    row = loops.linear(model.enter, x)
    rows = np.concatenate([memory, row[None]])
    for block in range(len(model.attend)):
        rows = rows + attention(model, block, rows)
        rows = norm(rows, model.block_norm[block][:2])
        hidden = np.maximum(loops.linear(model.mlp[0], rows), 0)
        rows = rows + loops.linear(model.mlp[1], hidden)
        rows = norm(rows, model.block_norm[block][2:])
    gates = loops.linear(model.input_gates, row)
    gates = gates + loops.linear(model.slot_gates, np.tanh(memory))
    write, keep = np.split(gates, 2, axis=1)
    kept = loops.sigmoid(keep + 1) * memory
    return loops.sigmoid(write) * np.tanh(rows[:SLOTS]) + kept


def reference(model, inputs, starts):
    initial = np.eye(SLOTS, WIDTH)
    memory, outputs = initial, []
    for x, start in zip(inputs, starts, strict=True):
        memory = cell(model, initial if start else memory, x)
        outputs.append(loops.layer_norm(loops.linear(model.read, memory.ravel())))
    return np.array(outputs)


@pytest.mark.parametrize("options", [{"num_blocks": 2}, {"gate": "memory"}])
def test_outputs_are_those_of_the_equations(x64, options):
    loops.compare(make(**options), reference)


def test_slots_that_begin_permuted_stay_permuted(x64):
    model, order = make(), jnp.array([2, 0, 1])
    inputs, _ = loops.data(10)
    starts = jnp.zeros(10, bool)
    state = model.initial_state()
    final, _ = loops.run(model, state, jnp.asarray(inputs), starts)
    permuted, _ = loops.run(model, state[order], jnp.asarray(inputs), starts)
    np.testing.assert_allclose(permuted, final[order], rtol=0, atol=1e-13)
    assert np.abs(final[order] - final).max() > 1e-3


def test_equal_slots_stay_equal(x64):
    model = make()
    inputs, _ = loops.data(10)
    state = jnp.zeros((SLOTS, WIDTH))
    final, _ = loops.run(model, state, jnp.asarray(inputs), jnp.zeros(10, bool))
    np.testing.assert_allclose(final, final[:1].repeat(SLOTS, 0), rtol=0, atol=1e-13)


def test_closed_write_and_open_forget_gates_keep_the_memory():
    model = make()
    bias = jnp.concatenate([jnp.full(WIDTH, -1e4), jnp.full(WIDTH, 1e4)])
    model = eqx.tree_at(lambda m: m.input_gates.bias, model, bias)
    inputs, _ = loops.data(20)
    state = jax.random.normal(jax.random.key(0), (SLOTS, WIDTH))
    inputs = jnp.asarray(inputs, jnp.float32)
    final, _ = loops.run(model, state, inputs, jnp.zeros(20, bool))
    np.testing.assert_array_equal(final, state)


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    """All but a few steps: a cell without contraction makes rounding grow at times."""
    loops.compare_in_float32(as_built(), reference, time, share=0.999)


def test_options_without_meaning_are_refused():
    for option, value in (("num_slots", 0), ("num_blocks", 0), ("gate", "none")):
        with pytest.raises(ValueError, match=f"{option}='?{value}"):
            loops.make("relational_memory", **{option: value})
