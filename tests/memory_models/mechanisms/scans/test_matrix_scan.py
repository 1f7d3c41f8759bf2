"""The decayed matrix state against a numpy loop, whole and in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.scans.chunks import LOWEST
from memory_models.mechanisms.scans.matrix_scan import (
    gated_matrix_scan,
    gated_matrix_step,
    matrix_scan,
    matrix_step,
)
from tests.memory_models.mechanisms.step_loops import (
    by_steps,
    close,
    draw,
    gradients,
    matrix_loop,
)

scan = jax.jit(matrix_scan, static_argnames="chunk_size")


@pytest.mark.parametrize(
    "time,chunk_size", [(1, 4), (3, 4), (13, 4), (13, 1), (13, 32)]
)
def test_states_and_outputs_are_those_of_the_loop(x64, time, chunk_size):
    q, k, v, _, log_decay, starts, state = draw(time)
    for flags in (starts, np.zeros(time, bool), np.ones(time, bool)):
        expected = matrix_loop(q, k, v, log_decay, flags, state)
        found = scan(q, k, v, flags, state, log_decay=log_decay, chunk_size=chunk_size)
        close(found, expected)
    undecayed = matrix_loop(q, k, v, 0 * log_decay, starts, state)
    close(scan(q, k, v, starts, state, chunk_size=chunk_size), undecayed)


def test_gradients_are_those_of_the_steps(x64):
    q, k, v, _, log_decay, starts, state = draw(13)
    arguments = tuple(jnp.asarray(x) for x in (q, k, v, log_decay, state))

    def whole(q, k, v, log_decay, state):
        return matrix_scan(
            q, k, v, jnp.asarray(starts), state, log_decay=log_decay, chunk_size=4
        )

    def stepped(q, k, v, log_decay, state):
        def step(q, k, v, a, state):
            return matrix_step(q, k, v, state, log_decay=a)

        return by_steps(step, (q, k, v, log_decay), jnp.asarray(starts), state)

    close(gradients(whole, arguments), gradients(stepped, arguments))


def test_a_nan_before_a_start_inside_a_chunk_is_gone_after_it():
    q, k, v, _, log_decay, _, state = draw(13)
    starts = np.arange(13) == 6
    clean = scan(q, k, v, starts, state, log_decay=log_decay, chunk_size=4)
    poisoned = np.full_like(state, np.nan)
    found = scan(q, k, v, starts, poisoned, log_decay=log_decay, chunk_size=4)
    np.testing.assert_array_equal(found[0], clean[0])
    np.testing.assert_array_equal(found[1][6:], clean[1][6:])


def test_extreme_decays_give_zero_and_finite_gradients():
    q, k, v, _, log_decay, starts, state = (jnp.asarray(x) for x in draw(13))
    log_decay = jnp.where(jnp.arange(13)[:, None] % 2 == 0, -500.0, log_decay)

    def whole(log_decay):
        return matrix_scan(q, k, v, starts, state, log_decay=log_decay, chunk_size=8)

    found = gradients(whole, (log_decay,))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))


def gated_state(matrices):
    return jnp.asarray(matrices), jnp.asarray([0.3, -2.0], matrices.dtype)


def test_gated_states_are_those_of_the_loop_without_scales(x64):
    q, k, v, log_gate, log_decay, starts, matrices = draw(13)
    log_gate = 3 * (log_gate - 1)
    state = gated_state(matrices)
    arrays = [jnp.asarray(x) for x in (q, k, v, log_gate)]
    (scaled, scale), (outputs, scales) = gated_matrix_scan(
        *arrays, jnp.asarray(starts), state, log_decay=jnp.asarray(log_decay)
    )
    weighted = np.exp(log_gate)[..., None] * k
    unscaled = np.exp(state[1])[:, None, None] * matrices
    expected = matrix_loop(q, weighted, v, log_decay, starts, unscaled)
    found = (
        np.exp(scale)[:, None, None] * scaled,
        np.exp(scales)[..., None] * outputs,
    )
    close(found, expected)


def test_gated_gradients_are_those_of_the_steps(x64):
    q, k, v, log_gate, log_decay, starts, matrices = draw(13)
    arrays = (q, k, v, 3 * log_gate, log_decay)
    arguments = (*(jnp.asarray(x) for x in arrays), gated_state(matrices))

    def whole(q, k, v, i, a, state):
        flags = jnp.asarray(starts)
        return gated_matrix_scan(q, k, v, i, flags, state, log_decay=a, chunk_size=4)

    def stepped(q, k, v, i, a, state):
        def step(q, k, v, i, a, state):
            return gated_matrix_step(q, k, v, i, state, log_decay=a)

        empty = jnp.zeros_like(matrices), jnp.full(2, LOWEST)
        return by_steps(step, (q, k, v, i, a), jnp.asarray(starts), state, empty)

    close(gradients(whole, arguments), gradients(stepped, arguments))


def test_what_fills_up_a_chunk_does_not_raise_the_scale():
    """Gates so closed that nothing would be left of the state at a scale of 1."""
    q, k, v, log_gate, log_decay, starts, _ = draw(5)
    arrays = [jnp.asarray(x, jnp.float32) for x in (q, k, v, log_gate - 200)]
    decay, starts = jnp.asarray(log_decay, jnp.float32), jnp.asarray(starts)
    heads, keys, values = k.shape[1], k.shape[2], v.shape[2]
    empty = jnp.zeros((heads, keys, values)), jnp.full(heads, LOWEST)
    states = [
        gated_matrix_scan(*arrays, starts, empty, log_decay=decay, chunk_size=size)[0]
        for size in (4, 5)  # the first has to fill up a chunk
    ]
    assert (states[0][1] < -100).all() and np.abs(states[0][0]).max() > 0.1
    for found, expected in zip(*states, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_scale_outlasts_its_chunk():
    """What an open gate wrote is still larger than what closed ones write later."""
    q, k, v, log_gate, log_decay, _, _ = draw(6)
    log_gate = log_gate + np.asarray([100.0] * 3 + [-100.0] * 3)[:, None]
    arrays = [jnp.asarray(x, jnp.float32) for x in (q, k, v, log_gate)]
    decay, starts = jnp.asarray(log_decay, jnp.float32), jnp.zeros(6, bool)
    heads, keys, values = k.shape[1], k.shape[2], v.shape[2]
    empty = jnp.zeros((heads, keys, values)), jnp.full(heads, LOWEST)
    chunked, whole = (
        gated_matrix_scan(*arrays, starts, empty, log_decay=decay, chunk_size=size)
        for size in (3, 6)
    )
    assert (whole[0][1] > 50).all()
    for found, expected in zip(
        jax.tree.leaves(chunked), jax.tree.leaves(whole), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
