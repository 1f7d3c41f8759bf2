"""The memory network against its paper's equations, with a list for the memory."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from tests.memory_models.episodic import loops

SLOTS = 4


def make(**options):
    return loops.perturbed(
        loops.make("memory_network", num_slots=SLOTS, slot_size=3, **options)
    )


def reference(model, inputs, starts):
    """Section 2 of the paper, sentence by sentence."""
    weight_a, weight_c = np.split(loops.double(model.write.weight), 2, axis=1)
    time_a, time_c = loops.double(model.key_age), loops.double(model.value_age)
    story, outputs = [], []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            story = []
        story = [*story, x][-SLOTS:]
        recent = story[::-1]
        m = np.array([s @ weight_a + time_a[age] for age, s in enumerate(recent)])
        c = np.array([s @ weight_c + time_c[age] for age, s in enumerate(recent)])
        u = loops.linear(model.query, x)
        for _ in range(model.hops):
            u = u @ loops.double(model.hop.weight) + loops.softmax(m @ u / 3**0.5) @ c
        outputs.append(
            loops.layer_norm(loops.linear(model.read, np.concatenate([x, u])))
        )
    return np.array(outputs)


@pytest.mark.parametrize("hops", [1, 3])
def test_outputs_are_those_of_the_equations(x64, hops):
    loops.compare(make(hops=hops), reference)


def test_one_hop_is_attention_in_a_window(x64):
    model = make(hops=1)
    zeros = jnp.zeros_like(model.key_age)
    model = eqx.tree_at(
        lambda m: (m.key_age, m.value_age, m.hop.weight),
        model,
        (zeros, zeros, jnp.zeros((3, 3))),
    )
    inputs, starts = loops.data(20)
    _, outputs = loops.run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    step, episode = np.arange(20), np.cumsum(starts)
    age = step[:, None] - step
    mask = (age >= 0) & (age < SLOTS) & (episode[:, None] == episode)
    keys, values = np.split(loops.linear(model.write, inputs), 2, axis=1)
    query = loops.linear(model.query, inputs)
    found = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(x) for x in (query, keys, values)), attn_mask=torch.tensor(mask)
    )
    both = np.concatenate([inputs, found.numpy()], axis=1)
    expected = loops.layer_norm(loops.linear(model.read, both))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    loops.compare_in_float32(make(), reference, time)


@pytest.mark.parametrize("option", ["num_slots", "slot_size", "hops"])
def test_sizes_without_meaning_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}=0"):
        loops.make("memory_network", **{option: 0})
