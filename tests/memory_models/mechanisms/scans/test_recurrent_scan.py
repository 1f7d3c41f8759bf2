"""The recurrent scan against a NumPy loop, its gradients against JAX's own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models import Linear, cell_scan
from memory_models.mechanisms.scans.recurrent_scan import gates_of, recurrent_scan

TIME, STREAMS, WIDTH = 9, 3, 4
KERNELS = ["stored", "recomputed"]


def cell(gates, state, now):
    """Two states, an operand that depends on an earlier gate, one gate without
    offset: everything that the scan has to get right."""
    hidden, trace = state
    open_, write, read = gates
    opened = jax.nn.sigmoid(open_(hidden))
    trace = 0.9 * trace + opened * write(opened * hidden) + now
    return jnp.tanh(read(hidden) + trace), trace


@pytest.fixture(scope="module")
def case():
    """Layers, entering state, initial state, offsets, inputs, starts."""
    with jax.enable_x64(True):
        generator = np.random.default_rng(0)

        def draw(*shape):
            return jnp.asarray(generator.normal(size=shape))

        layers = tuple(
            Linear(WIDTH, WIDTH, key=jax.random.key(i), use_bias=i != 1)
            for i in range(3)
        )
        per_step = [draw(STREAMS, TIME, WIDTH) for _ in range(3)]
        starts = jnp.asarray(generator.random((STREAMS, TIME)) < 0.3)
        assert starts.any() and not starts[:, 0].all()
        state = (draw(STREAMS, WIDTH), draw(STREAMS, WIDTH))
        initial = (draw(WIDTH), draw(WIDTH))
        return layers, state, initial, (*per_step[:2], None), per_step[2], starts


def by_recurrent_scan(kernel):
    return functools.partial(recurrent_scan, cell, kernel=kernel)


def by_cell_scan(layers, state, initial, offsets, inputs, starts):
    def plain(state, element):
        offset, now = element
        state = cell(gates_of(layers, offset), state, now)
        return state, state

    return cell_scan(plain, state, initial, (offsets, inputs), starts)[1]


def over_streams(scan):
    return jax.jit(jax.vmap(scan, in_axes=(None, 0, None, (0, 0, None), 0, 0)))


def loop(layers, state, initial, offsets, inputs, starts):
    def gate(i, x, stream, t):
        bias = 0.0 if layers[i].bias is None else np.asarray(layers[i].bias)
        offset = 0.0 if offsets[i] is None else np.asarray(offsets[i][stream, t])
        return x @ np.asarray(layers[i].weight) + bias + offset

    result = np.zeros((2, STREAMS, TIME, WIDTH))
    for stream in range(STREAMS):
        hidden, trace = (np.asarray(x[stream]) for x in state)
        for t in range(TIME):
            if starts[stream, t]:
                hidden, trace = (np.asarray(x) for x in initial)
            opened = 1 / (1 + np.exp(-gate(0, hidden, stream, t)))
            written = opened * gate(1, opened * hidden, stream, t)
            trace = 0.9 * trace + written + np.asarray(inputs[stream, t])
            hidden = np.tanh(gate(2, hidden, stream, t) + trace)
            result[:, stream, t] = hidden, trace
    return result


@pytest.mark.parametrize("kernel", KERNELS)
def test_states_are_those_of_a_loop(case, x64, kernel):
    states = over_streams(by_recurrent_scan(kernel))(*case)
    np.testing.assert_allclose(np.stack(states), loop(*case), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_gradient_is_that_of_the_plain_scan(case, x64, kernel):
    starts = case[-1]
    weights = jnp.asarray(
        np.random.default_rng(1).normal(size=(2, STREAMS, TIME, WIDTH))
    )

    def gradients(scan):
        def loss(arguments):
            states = over_streams(scan)(*arguments, starts)
            return (jnp.stack(states) * weights).sum()

        return jax.jit(jax.grad(loss))(case[:-1])

    ours = gradients(by_recurrent_scan(kernel))
    theirs = gradients(by_cell_scan)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert float(jnp.abs(other).max()) > 1e-3
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_poisoned_state_is_gone_at_a_start(case, x64, kernel):
    layers, _, initial, offsets, inputs, starts = case
    starts = starts.at[:, 0].set(True)
    bad = tuple(jnp.full((STREAMS, WIDTH), value) for value in (jnp.nan, jnp.inf))

    def loss(layers, bad):
        states = over_streams(by_recurrent_scan(kernel))(
            layers, bad, initial, offsets, inputs, starts
        )
        return jnp.stack(states).sum()

    value, (of_layers, of_bad) = jax.value_and_grad(loss, (0, 1))(layers, bad)
    assert np.isfinite(value)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(of_layers))
    assert all((leaf == 0).all() for leaf in jax.tree.leaves(of_bad))


@pytest.mark.parametrize("time", [1, 2, 5])
def test_short_sequences_are_the_beginnings_of_long_ones(case, x64, time):
    *given, offsets, inputs, starts = case
    offsets = jax.tree.map(lambda x: x[:, :time], offsets)
    short = (*given, offsets, inputs[:, :time], starts[:, :time])
    states = over_streams(by_recurrent_scan("recomputed"))(*short)
    expected = loop(*case)[:, :, :time]
    np.testing.assert_allclose(np.stack(states), expected, rtol=0, atol=1e-12)


def test_an_unknown_kernel_is_refused(case, x64):
    with pytest.raises(ValueError, match="no kernel 'fast': choose 'stored'"):
        over_streams(by_recurrent_scan("fast"))(*case)
