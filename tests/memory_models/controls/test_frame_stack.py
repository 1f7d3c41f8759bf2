"""Frame stacking against a list of frames."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from tests.memory_models.linear.model_loops import compare_long


def make(frames=4, output_size=9):
    return eqx.filter_jit(memory_models.make)(
        "frame_stack",
        input_size=3,
        output_size=output_size,
        key=jax.random.key(0),
        frames=frames,
    )


@eqx.filter_jit
def run(model, state, inputs, starts):
    return model(state, inputs, starts)


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def reference(model, inputs, starts, frames):
    """Keep the episode's frames in a list; look at the last few."""
    weights = [
        (np.asarray(layer.weight), np.asarray(layer.bias))
        for layer in (model.compress, model.first, model.second)
    ]
    width = weights[0][0].shape[1]
    episode, outputs = [], []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            episode = []
        episode.append(x @ weights[0][0] + weights[0][1])
        have = episode[: -frames - 1 : -1]
        missing = frames - len(have)
        stacked = np.concatenate([*have, np.zeros(missing * width)])
        bits = [1.0] * (len(have) - 1) + [0.0] * missing
        hidden = leaky(np.concatenate([stacked, bits]) @ weights[1][0] + weights[1][1])
        outputs.append(leaky(hidden @ weights[2][0] + weights[2][1]))
    return np.array(outputs)


@pytest.mark.parametrize("frames", [2, 4, 9])
@pytest.mark.parametrize("time", [1, 30])
def test_outputs_are_those_of_a_list_of_frames(x64, frames, time):
    model = make(frames)
    model = jax.tree.map(lambda leaf: leaf + 0.1, model)
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(time, 3))
    starts = generator.random(time) < 0.2
    _, outputs = run(
        model, model.initial_state(), jnp.asarray(inputs), jnp.asarray(starts)
    )
    expected = reference(model, inputs, starts, frames)
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("time", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    def loop(model, inputs, starts):
        return None, reference(model, inputs, starts, 4)

    compare_long("frame_stack", loop, time, frames=4)


def test_a_zero_frame_is_not_a_missing_frame():
    model = make()
    zeros, flags = jnp.zeros((2, 3)), jnp.array([True, False])
    _, seen = run(model, model.initial_state(), zeros, flags)
    _, missing = run(model, model.initial_state(), zeros[:1], flags[:1])
    assert not np.allclose(seen[1], missing[0])


def test_the_state_holds_only_frames_of_this_episode():
    model = make()
    (kept, valid), _ = run(
        model, model.initial_state(), jnp.ones((6, 3)), jnp.arange(6) == 4
    )
    np.testing.assert_array_equal(valid, [False, True, True])
    np.testing.assert_array_equal(kept[:, 0], [0, 1, 1])


@pytest.mark.parametrize("frames,output_size", [(1, 8), (9, 8)])
def test_frames_without_meaning_are_refused(frames, output_size):
    with pytest.raises(ValueError, match=f"frames={frames} and output_size=8"):
        make(frames, output_size)
