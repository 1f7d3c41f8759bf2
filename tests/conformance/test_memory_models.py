"""The memory contract, over every registered model, in float32 and in float64."""

import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import memory_models
from memory_models.checking.checker import start_patterns
from memory_models.checking.episodes import episodes
from memory_models.checking.probe import make_probe
from memory_models.checking.properties import PROPERTIES
from memory_models.checking.structure import fixed_structure
from tests.conformance import small_models

HALF = 7
KEY_SEED = 3

# In float64, where the tolerance is 1e-10, every model (`hybrid` for all hybrids); in
# float32 one per kind of arithmetic: a cell, a diagonal and a matrix scan, attention,
# slots. The rest of the product runs with `-m slow`.
REPRESENTATIVES = ["gru", "ffm", "linear_attention", "attention", "memory_network"]
PRESETS = ("griffin", "samba", "xlstm")


def by_default(name, double):
    return name in REPRESENTATIVES or (double and name not in PRESETS)


PRODUCT = [
    pytest.param(
        (name, double),
        id=f"{name}-{'float64' if double else 'float32'}",
        marks=() if by_default(name, double) else pytest.mark.slow,
    )
    for name in memory_models.names()
    for double in (True, False)
]


@functools.cache
def compiled_builder(name):
    small = {"output_size": 8} | small_models.OPTIONS.get(name, {})
    return eqx.filter_jit(memory_models.builder(name, **small))


def build(name, seed):
    columns = small_models.COLUMNS.get(name)
    return compiled_builder(name)(5, key=jax.random.key(seed), columns=columns)


CASES, KEPT = itertools.count(1), 8
"""Of so many cases programs are kept: small ones, of comparisons, occur in each of
them. (Of all would be too many: a process may map only so many into its memory.)"""


@pytest.fixture(scope="module", params=PRODUCT)
def case(request):
    """Name and probe; pytest runs all tests of one case before it makes the next."""
    name, double = request.param
    with jax.enable_x64(double):
        yield name, make_probe(build(name, KEY_SEED), input_size=5, half=HALF, seed=0)
    if next(CASES) % KEPT == 0:
        jax.clear_caches()


def test_fixed_structure(case):
    fixed_structure(case[1])


def test_the_look_before_training_refuses_no_model(case):
    episodes(case[1])


@pytest.mark.parametrize("check", PROPERTIES)
def test_guarantee(case, check):
    _, probe = case

    @settings(max_examples=4, deadline=None, derandomize=True, database=None)
    @given(
        st.lists(st.booleans(), min_size=2 * HALF, max_size=2 * HALF),
        st.integers(0, 10_000),
    )
    def holds(starts, seed):
        PROPERTIES[check](probe, np.array(starts), seed)

    for starts in start_patterns(2 * HALF, seed=1):
        PROPERTIES[check](probe, starts, 5)
    holds()


def test_keys_give_different_weights(case):
    one, same, other = (
        [np.asarray(leaf) for leaf in jax.tree.leaves(build(case[0], seed))]
        for seed in (0, 0, 1)
    )
    assert all(map(np.array_equal, one, same))
    assert not all(map(np.array_equal, one, other))


def test_context_on_the_card_is_the_furthest_input_that_matters(case):
    name, probe = case
    context = probe.model.card.context
    starts = np.zeros(probe.time, bool)
    # Different weights: the sum of normalised outputs is zero whatever the inputs.
    on_outputs, on_state = probe.weights(0)
    weights = jnp.zeros_like(on_outputs).at[-1].set(on_outputs[-1])
    nothing = jax.tree.map(jnp.zeros_like, on_state)
    found = probe.gradients(
        probe.model.initial_state(), probe.inputs(0), starts, (weights, nothing)
    )
    ages = np.flatnonzero(np.abs(found["inputs"]).max(axis=1)[::-1])
    assert ages.max() == (probe.time - 1 if context is None else context)
    option = probe.model.card.context_option
    assert option is None or option in memory_models.options(name)


def test_sizes_are_known(case):
    model = case[1].model
    leaves = jax.tree.leaves(model.initial_state())
    assert memory_models.state_bytes(model) == sum(leaf.nbytes for leaf in leaves)
    assert memory_models.parameter_count(model) > 0
    assert model.card.summary and model.card.use
