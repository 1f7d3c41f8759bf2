"""The states between chunks against a loop, its gradients against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.scans.chunk_states import chunk_states

HEADS, KEYS, VALUES = 2, 3, 4


def draw(chunks, seed=0):
    """A, B, which chunks keep the state, and S."""
    generator = np.random.default_rng(seed)
    transitions = 0.5 * generator.normal(size=(chunks, HEADS, KEYS, KEYS))
    additions = generator.normal(size=(chunks, HEADS, KEYS, VALUES))
    state = generator.normal(size=(HEADS, KEYS, VALUES))
    kept = generator.random(chunks) < 0.8
    return tuple(jnp.asarray(x) for x in (transitions, additions, kept, state))


def by_loop(transitions, additions, kept, state):
    states = [state]
    for a, b, keep in zip(transitions, additions, kept, strict=True):
        states.append((a @ states[-1] if keep else 0.0) + b)
    return jnp.stack(states)


@pytest.mark.parametrize("chunks", [1, 3, 4, 10])
def test_states_and_gradients_are_those_of_a_loop(x64, chunks):
    transitions, additions, kept, state = draw(chunks)
    weights = np.random.default_rng(1).normal(size=(chunks + 1, HEADS, KEYS, VALUES))

    def gradients(run):
        def loss(transitions, additions, state):
            states = run(transitions, additions, kept, state)
            return (states * weights).sum(), states

        return jax.grad(loss, (0, 1, 2), has_aux=True)(transitions, additions, state)

    found, expected = gradients(chunk_states), gradients(by_loop)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_poisoned_state_ends_with_the_chunk_that_does_not_keep_it(x64, value):
    transitions, additions, kept, state = draw(6)
    kept, bad = kept.at[1].set(False), jnp.full_like(state, value)
    found = chunk_states(transitions, additions, kept, bad)
    clean = chunk_states(transitions, additions, kept, state)
    assert not np.isfinite(found[0]).any()
    np.testing.assert_array_equal(found[2:], clean[2:])

    def loss(*arguments):
        return chunk_states(*arguments[:2], kept, arguments[2])[2:].sum()

    of_a, of_b, of_state = jax.grad(loss, (0, 1, 2))(transitions, additions, bad)
    assert np.isfinite(of_a[1:]).all() and np.isfinite(of_b).all()
    assert (of_a[1] == 0).all() and (of_state == 0).all()
