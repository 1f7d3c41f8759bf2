"""Sliding-window attention against a list of past steps, and against torch."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from memory_models.mechanisms.stores.ring_attention import rotary_logits
from tests.memory_models.attention.loops import (
    apply,
    build,
    doubled,
    feed_forward,
    heads_of,
    matches,
    norm,
    perturbed,
    random_run,
    rope,
    run,
    softmax,
    stays_with_double,
)

INPUTS, OUTPUTS = 3, 6


def make(**options):
    options = {"num_heads": 2, "head_size": 4, "window": 5, **options}
    return build(
        "attention",
        input_size=INPUTS,
        output_size=OUTPUTS,
        key=jax.random.key(0),
        **options,
    )


def reference(model, inputs, starts):
    """Keep a list of (key, value, step) of the episode; attend to the last few."""
    heads, outputs, past = model.num_heads, [], []
    slopes = 2.0 ** (-8 * np.arange(1, heads + 1) / heads)
    for step, (raw, start) in enumerate(zip(inputs, starts, strict=True)):
        if start:
            past = []
        x = apply(model.encode, raw)
        q, k, v = heads_of(apply(model.project, norm(x)), 3, heads)
        past = [*past, (k, v, step)][-model.window :]
        read = np.zeros_like(v)
        for h in range(heads):
            scores = []
            for key, _, then in past:
                a, b, age = q[h], key[h], step - then
                if model.positions == "rope":
                    a = rope(a, age)
                score = a @ b / np.sqrt(len(a))
                scores.append(
                    score - slopes[h] * age if model.positions == "alibi" else score
                )
            weights = softmax(np.array(scores))
            read[h] = weights @ np.array([value[h] for _, value, _ in past])
        x = x + apply(model.out, read.ravel())
        outputs.append(x + feed_forward(model.feed_forward, norm(x)))
    return np.array(outputs)


@pytest.mark.parametrize("positions", ["none", "rope", "alibi"])
def test_outputs_are_those_of_a_list_of_steps(x64, positions):
    matches(perturbed(make(positions=positions)), reference, 90, INPUTS)


def test_a_window_as_long_as_the_sequence_is_full_causal_attention(x64):
    model, time = perturbed(make(window=40, positions="none")), 33
    inputs, _ = random_run(time, INPUTS)
    starts = np.arange(time) == 11
    _, outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    weights = doubled(model)
    x = apply(weights.encode, inputs)
    q, k, v = (
        torch.tensor(part.reshape(time, 2, 4)).transpose(0, 1)
        for part in np.split(apply(weights.project, norm(x)), 3, axis=1)
    )
    episode = np.cumsum(starts)
    mask = np.tril(np.ones((time, time), bool)) & (episode[:, None] == episode)
    attend = torch.nn.functional.scaled_dot_product_attention
    read = attend(q, k, v, attn_mask=torch.tensor(mask)).transpose(0, 1)
    x = x + apply(weights.out, read.reshape(time, 8).numpy())
    expected = x + feed_forward(weights.feed_forward, norm(x))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


def test_rotated_logits_depend_on_distances_only(x64):
    generator = np.random.default_rng(0)
    q, k = jnp.asarray(generator.normal(size=(2, 1, 4, 1, 6)))
    near = np.arange(4)[:, None] - np.arange(4)
    # The same queries and keys, with three keys before them.
    padded = jnp.pad(k, [(0, 0), (3, 0), (0, 0), (0, 0)])
    far = 3 + np.arange(4)[:, None] - np.arange(7)
    np.testing.assert_allclose(
        rotary_logits(q, k, near), rotary_logits(q, padded, far)[..., 3:], atol=1e-12
    )


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    stays_with_double(make, reference, time, INPUTS)


def test_options_without_meaning_are_refused():
    for options, message in (
        ({"window": 1}, "window=1"),
        ({"positions": "clock"}, "positions='clock'"),
        ({"head_size": 3}, "head_size=3 is odd"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)


def test_equal_sizes_need_no_encoder():
    model = build("attention", input_size=4, output_size=4, key=jax.random.key(0))
    assert model.encode is None
    assert eqx.filter_eval_shape(model.initial_state).count.shape == ()
