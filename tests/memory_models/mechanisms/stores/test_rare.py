"""Rare work: values, gradients and the rounds it takes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models.mechanisms.stores.rare import rare

ROWS = 40


def work(parameters, operand):
    x, count = operand
    return jnp.tanh(x @ parameters), count + 1


def step(parameters, x, count, where):
    return rare(work, where, parameters, (x * 0.5, count))


def expected(parameters, x, count, where):
    done = (jnp.tanh(0.5 * x @ parameters), count + 1)
    flag = where[..., None]
    return jnp.where(flag, done[0], x * 0.5), jnp.where(where, done[1], count)


def drawn(rate, *shape):
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.normal(size=(*shape, 3)))
    count = jnp.asarray(generator.integers(0, 9, shape), jnp.int32)
    return x, count, jnp.asarray(generator.random(shape) < rate)


def weight(*shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=(*shape, 3, 3)))


def compare(found, wanted):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.6, 1.0])
def test_rows_under_vmap(x64, rate):
    w, args = weight(), drawn(rate, ROWS)
    batched = jax.jit(jax.vmap(step, in_axes=(None, 0, 0, 0)))
    compare(batched(w, *args), expected(w, *args))


def test_a_single_row_and_parameters_of_its_own(x64):
    """The second slot of the round has nothing to do; row 0 must keep its value."""
    (x, count, _), where = drawn(0.5, ROWS), jnp.zeros(ROWS, bool).at[7].set(True)
    for w, axis in ((weight(), None), (weight(ROWS), 0)):
        batched = jax.jit(jax.vmap(step, in_axes=(axis, 0, 0, 0)))
        reference = jax.vmap(expected, in_axes=(axis, 0, 0, 0))
        compare(batched(w, x, count, where), reference(w, x, count, where))


def test_two_vmaps_with_parameters_of_their_own(x64):
    w, args = weight(4), drawn(0.3, 4, ROWS)
    inner = jax.vmap(step, in_axes=(None, 0, 0, 0))
    found = jax.jit(jax.vmap(inner))(w, *args)
    compare(found, jax.vmap(expected)(w, *args))


def test_what_only_some_arguments_have(x64):
    w, (x, count, where) = weight(), drawn(0.3, ROWS)
    shared = jax.vmap(step, in_axes=(None, None, None, 0))
    compare(
        shared(w, x[0], count[0], where),
        expected(w, jnp.tile(x[0], (ROWS, 1)), jnp.tile(count[0], ROWS), where),
    )
    always = jax.vmap(step, in_axes=(None, 0, 0, None))
    for flag in (True, False):
        every = jnp.full(ROWS, flag)
        compare(always(w, x, count, jnp.asarray(flag)), expected(w, x, count, every))


@pytest.mark.parametrize("where", [True, False])
def test_gradients_of_one_stream(x64, where):
    w, (x, count, _) = weight(), drawn(0.5)
    flag = jnp.asarray(where)

    def gradients(function):
        def weighted(w, x):
            return jnp.sum(jnp.arange(1.0, 4.0) * function(w, x, count, flag)[0])

        return jax.jit(jax.grad(weighted, argnums=(0, 1)))(w, x)

    compare(gradients(step), gradients(expected))


def test_gradients_through_scan_and_vmap(x64):
    w, (x, count, where) = weight(), drawn(0.3, 7, ROWS)

    def stepped(w, first, count, where):
        def body(x, element):
            return step(w, x, *element)[0], None

        return jax.lax.scan(body, first, (count, where))[0]

    def selected(w, first, count, where):
        def body(x, element):
            return expected(w, x, *element)[0], None

        return jax.lax.scan(body, first, (count, where))[0]

    def gradients(run):
        def loss(w, first):
            rows = jax.vmap(run, in_axes=(None, 0, 1, 1))
            return jnp.sum(rows(w, first, count, where) ** 2)

        return jax.jit(jax.grad(loss, argnums=(0, 1)))(w, x[0])

    compare(gradients(stepped), gradients(selected))


def test_no_round_runs_where_nothing_is_needed():
    rounds = []

    def noted(parameters, state):
        jax.debug.callback(lambda: rounds.append(1))
        return state

    def run(where):
        rounds.clear()
        call = jax.vmap(lambda w, x: rare(noted, w, (), x))
        jax.block_until_ready(call(where, jnp.zeros(ROWS)))
        jax.effects_barrier()
        return len(rounds)

    assert run(jnp.zeros(ROWS, bool)) == 0
    assert 0 < run(jnp.arange(ROWS) == 7) <= ROWS // 16
