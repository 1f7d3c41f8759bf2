"""The Hopfield network against its update rule, one step and one head at a time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.attention.loops import (
    apply,
    build,
    heads_of,
    matches,
    norm,
    perturbed,
    random_run,
    run,
    softmax,
    stays_with_double,
)

INPUTS, OUTPUTS = 3, 6


def make(name="hopfield", input_size=INPUTS, output_size=OUTPUTS, **options):
    options = {"num_heads": 2, "head_size": 4, "window": 5, **options}
    return build(
        name,
        input_size=input_size,
        output_size=output_size,
        key=jax.random.key(0),
        **options,
    )


def retrieved(pattern, stored, values, beta, updates):
    for _ in range(updates - 1):
        pattern = softmax(beta * stored @ pattern) @ stored
    return softmax(beta * stored @ pattern) @ values


def reference(model, inputs, starts):
    heads, outputs, past = len(model.log_beta), [], []
    for raw, start in zip(inputs, starts, strict=True):
        x = apply(model.encode, raw)
        pattern, k, v = heads_of(apply(model.project, norm(x)), 3, heads)
        past = [*([] if start else past), (k, v)][-model.window :]
        read = [
            retrieved(
                pattern[h],
                np.array([k[h] for k, _ in past]),
                np.array([v[h] for _, v in past]),
                np.exp(model.log_beta[h]),
                model.num_updates,
            )
            for h in range(heads)
        ]
        outputs.append(x + apply(model.out, np.concatenate(read)))
    return np.array(outputs)


@pytest.mark.parametrize("num_updates", [1, 3])
def test_outputs_are_those_of_the_update_rule(x64, num_updates):
    matches(perturbed(make(num_updates=num_updates)), reference, 70, INPUTS)


def test_one_update_is_attention(x64):
    model = perturbed(make(num_updates=1))
    model = eqx.tree_at(lambda m: m.log_beta, model, jnp.log(jnp.full(2, 0.5)))
    other = make("attention", positions="none")
    other = eqx.tree_at(
        lambda m: (m.encode, m.project, m.out, m.feed_forward.out),
        other,
        (
            model.encode,
            model.project,
            model.out,
            jax.tree.map(jnp.zeros_like, other.feed_forward.out),
        ),
    )
    inputs, starts = random_run(30, INPUTS)
    found, expected = (
        run(m, m.initial_state(), jnp.asarray(inputs), jnp.asarray(starts))[1]
        for m in (model, other)
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_a_noisy_pattern_is_completed(x64):
    """With K = V = xi = layer_norm(x) and a large beta, the nearest pattern returns."""
    size, stored = 64, 4
    model = make(
        input_size=size, output_size=size, num_heads=1, head_size=size, num_updates=3
    )
    one, zero = jnp.eye(size), jnp.zeros_like
    model = eqx.tree_at(
        lambda m: (m.project.weight, m.out.weight, m.log_beta),
        model,
        (jnp.concatenate([one, one, one], axis=1), one, jnp.log(jnp.array([2.0]))),
    )
    model = eqx.tree_at(lambda m: m.project.bias, model, replace_fn=zero)
    patterns = norm(np.random.default_rng(0).normal(size=(stored, size)))
    state, _ = run(
        model,
        model.initial_state(),
        jnp.asarray(patterns),
        jnp.arange(stored) == 0,
    )
    noise = 0.3 * np.random.default_rng(1).normal(size=size)
    cue = norm(patterns[1] + noise)
    # The cue must not find itself: the key that it stores points the other way.
    asked = eqx.tree_at(
        lambda m: m.project.weight,
        model,
        jnp.concatenate([one, -one, one], axis=1),
    )
    _, output = run(asked, state, jnp.asarray(cue)[None], jnp.zeros(1, bool))
    np.testing.assert_allclose(output[0] - cue, patterns[1], rtol=0, atol=1e-4)


@pytest.mark.slow  # by default rmt and transformer_xl stand for their mechanisms
@pytest.mark.parametrize("time", [2000, 100_000])
def test_float32_stays_with_float64(time):
    stays_with_double(make, reference, time, INPUTS)


def test_sizes_without_meaning_are_refused():
    with pytest.raises(ValueError, match="num_updates=0"):
        make(num_updates=0)
