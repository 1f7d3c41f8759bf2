"""The diagonal scan against a numpy loop, for every kernel and kind of number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.scans.linear_scan import (
    diagonal_scan,
    last,
    rotating_decay,
)

TIME, SHAPE = 13, (3, 2)
KERNELS = ["sequential", "associative"]
scan = jax.jit(diagonal_scan, static_argnames="kernel")


def draw(complex_, constant, seed=0):
    """Decay, drive, state, initial state as numpy arrays; the drive broadcasts."""
    generator = np.random.default_rng(seed)

    def normal(*shape):
        value = generator.normal(size=shape)
        return value + 1j * generator.normal(size=shape) if complex_ else value

    decay = normal(*SHAPE) if constant else normal(TIME, *SHAPE)
    return 0.7 * decay, normal(TIME, SHAPE[0], 1), normal(*SHAPE), normal(*SHAPE)


def pack(x):
    if np.iscomplexobj(x):
        return jnp.asarray(x.real), jnp.asarray(x.imag)
    return jnp.asarray(x)


def unpack(x):
    if isinstance(x, tuple):
        return np.asarray(x[0]) + 1j * np.asarray(x[1])
    return np.asarray(x)


def loop(decay, drive, starts, state, initial):
    states = []
    for t in range(TIME):
        before = initial if starts[t] else state
        a = decay if decay.ndim == 2 else decay[t]
        state = a * before + drive[t]
        states.append(state)
    return np.array(states)


PATTERNS = {
    "none": np.zeros(TIME, bool),
    "first": np.arange(TIME) == 0,
    "consecutive": np.isin(np.arange(TIME), [4, 5, 6]),
    "last": np.arange(TIME) == TIME - 1,
    "all": np.ones(TIME, bool),
}


@pytest.mark.parametrize("starts", PATTERNS.values(), ids=PATTERNS)
@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_states_are_those_of_a_loop(x64, kernel, complex_, constant, starts):
    decay, drive, state, initial = draw(complex_, constant)
    found = scan(
        pack(decay),
        pack(drive),
        jnp.asarray(starts),
        pack(state),
        pack(initial),
        kernel=kernel,
    )
    expected = loop(decay, drive, starts, state, initial)
    np.testing.assert_allclose(unpack(found), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(unpack(last(found)), unpack(found)[-1])


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
def test_kernels_have_the_same_gradients(x64, complex_, constant):
    numbers = [pack(x) for x in draw(complex_, constant)]
    starts = jnp.asarray(PATTERNS["consecutive"])

    def weighted(numbers, kernel):
        decay, drive, state, initial = numbers
        states = scan(decay, drive, starts, state, initial, kernel=kernel)
        return sum(jnp.sum(jnp.sin(part)) for part in jax.tree.leaves(states))

    gradient = jax.jit(jax.grad(weighted), static_argnums=1)
    one, other = (gradient(numbers, kernel) for kernel in KERNELS)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.abs(a).max() > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kernel", KERNELS)
def test_a_poisoned_state_heals_at_the_next_start(kernel, value):
    decay, drive, state, initial = (jnp.asarray(x, jnp.float32) for x in draw(0, 1))
    starts = jnp.asarray(PATTERNS["consecutive"])
    bad = jnp.full_like(state, value)
    found = scan(decay, drive, starts, bad, initial, kernel=kernel)
    clean = scan(decay, drive, starts, state, initial, kernel=kernel)
    assert not np.isfinite(found[:4]).any()
    np.testing.assert_array_equal(found[4:], clean[4:])


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_vmap_is_many_scans(kernel):
    decay, drive, state, initial = (jnp.asarray(x, jnp.float32) for x in draw(0, 1))
    starts = jnp.asarray(np.stack([PATTERNS["first"], PATTERNS["consecutive"]]))

    def scan_row(row):
        return scan(decay, drive, row, state, initial, kernel=kernel)

    for row, found in zip(starts, jax.vmap(scan_row)(starts), strict=True):
        np.testing.assert_allclose(found, scan_row(row), rtol=0, atol=1e-6)


def test_errors_name_what_was_given():
    real = jnp.ones((2,))
    arguments = (real, jnp.ones((4, 2)), jnp.zeros(4, bool), real)
    with pytest.raises(ValueError, match="all be"):
        diagonal_scan(*arguments, (real, real))
    with pytest.raises(ValueError, match="no scan kernel 'fast'"):
        diagonal_scan(*arguments, real, kernel="fast")


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_decay_that_is_not_finite_is_gone_after_a_start(kernel):
    decay, drive, state, initial = (jnp.asarray(x, jnp.float32) for x in draw(0, 0))
    for bad in (2, 3, 6):  # the start after it may be in the same pair of a scan
        starts = jnp.zeros(TIME, bool).at[bad + 1].set(True)
        poisoned = decay.at[bad].set(jnp.nan)
        found = scan(poisoned, drive, starts, state, initial, kernel=kernel)
        clean = scan(decay, drive, starts, state, initial, kernel=kernel)
        assert np.isnan(found[bad]).all()
        np.testing.assert_array_equal(found[:bad], clean[:bad])
        np.testing.assert_array_equal(found[bad + 1 :], clean[bad + 1 :])


def test_no_decay_reaches_one():
    for angle in (0.0, 1.0, np.pi):
        real, imaginary = rotating_decay(jnp.zeros(()), jnp.asarray(angle))
        assert float(jnp.hypot(real, imaginary)) < 1
