"""The delta rule against a numpy loop, whole and in chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.scans.delta_scan import (
    delta_scan,
    delta_step,
    unit_lower_solve,
)
from tests.memory_models.mechanisms.step_loops import (
    by_steps,
    close,
    delta_loop,
    draw,
    gradients,
)

scan = jax.jit(delta_scan, static_argnames=["chunk_size", "kernel"])
KERNELS = ["in_turn", "at_once"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    "time,chunk_size", [(1, 4), (3, 4), (13, 4), (13, 1), (13, 32)]
)
def test_states_and_outputs_are_those_of_the_loop(x64, time, chunk_size, kernel):
    sizes = {"chunk_size": chunk_size, "kernel": kernel}
    q, k, v, beta, log_decay, starts, state = draw(time)
    for flags in (starts, np.zeros(time, bool), np.ones(time, bool)):
        expected = delta_loop(q, k, v, beta, log_decay, flags, state)
        found = scan(q, k, v, beta, flags, state, log_decay=log_decay, **sizes)
        close(found, expected)
    undecayed = delta_loop(q, k, v, beta, 0 * log_decay, starts, state)
    close(scan(q, k, v, beta, starts, state, **sizes), undecayed)


@pytest.mark.parametrize("kernel", KERNELS)
def test_gradients_are_those_of_the_steps(x64, kernel):
    *arrays, starts, state = draw(13)
    arguments = tuple(jnp.asarray(x) for x in (*arrays, state))

    def whole(q, k, v, beta, log_decay, state):
        flags = jnp.asarray(starts)
        return delta_scan(
            q,
            k,
            v,
            beta,
            flags,
            state,
            log_decay=log_decay,
            chunk_size=4,
            kernel=kernel,
        )

    def stepped(q, k, v, beta, log_decay, state):
        def step(q, k, v, beta, a, state):
            return delta_step(q, k, v, beta, state, log_decay=a)

        arrays = (q, k, v, beta, log_decay)
        return by_steps(step, arrays, jnp.asarray(starts), state)

    close(gradients(whole, arguments), gradients(stepped, arguments))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 32])
def test_the_solve_is_that_of_numpy(x64, size):
    generator = np.random.default_rng(size)
    below = np.tril(0.2 * generator.normal(size=(2, size, size)), -1)
    right = generator.normal(size=(2, size, 3))
    expected = np.linalg.solve(np.eye(size) + below, right)
    found = unit_lower_solve(jnp.asarray(below), jnp.asarray(right))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_key_written_again_and_again_loses_no_precision(kernel):
    """Powers of the triangular matrix reach 1e8 here; its inverse is 1 and -1."""
    time = 32
    key = np.full((time, 1, 4), 0.5, np.float32)
    values = np.random.default_rng(0).normal(size=(time, 1, 4)).astype(np.float32)
    ones, starts = np.ones((time, 1), np.float32), np.zeros(time, bool)
    state = np.zeros((1, 4, 4), np.float32)
    _, read = scan(key, key, values, ones, starts, state, kernel=kernel)
    np.testing.assert_allclose(read, values, rtol=0, atol=1e-5)


def test_an_unknown_kernel_is_refused(x64):
    *arrays, log_decay, starts, state = draw(4)
    with pytest.raises(ValueError, match="no kernel 'fast': choose 'in_turn'"):
        scan(*arrays, starts, state, log_decay=log_decay, kernel="fast")
