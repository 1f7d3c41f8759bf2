"""Operations of matrix products are counted as by hand, and as XLA counts them."""

import jax
import jax.numpy as jnp
import pytest

from benchmarks import speed
from benchmarks.common.products import flops_per_step, products
from memory_models.mechanisms.affine import affine
from memory_models.mechanisms.platform import by_platform

X, W = jnp.ones((3, 5)), jnp.ones((5, 5))
ONE = 2 * 3 * 5 * 5


def counted(function, *arguments):
    return products(jax.make_jaxpr(function)(*arguments).jaxpr)


def test_by_hand():
    assert counted(jnp.matmul, X, W) == ONE
    assert counted(lambda x, w: x + w[:3], X, W) == 0
    assert counted(affine, X, W) == ONE
    assert counted(affine, X, W, jnp.ones(5)) == ONE
    assert counted(jax.vmap(affine, (None, 0)), X, jnp.ones((4, 5, 5))) == 4 * ONE
    assert counted(jax.jit(lambda x, w: x @ w @ w), X, W) == 2 * ONE
    assert counted(jax.grad(lambda w: affine(X, w).sum()), W) == 2 * ONE

    def turns(x, w):
        return jax.lax.scan(lambda x, _: (x @ w, None), x, length=7)[0]

    def either(x, w):
        return jax.lax.cond(x.sum() > 0, lambda: x @ w @ w, lambda: x @ w)

    def by_backend(x, w):
        return by_platform(lambda x, w: x @ w, lambda x, w: x @ w @ w, x, w)

    assert counted(turns, X, W) == 7 * ONE
    times = 1 if jax.default_backend() == "cpu" else 2
    assert counted(by_backend, X, W) == times * ONE
    assert counted(either, X, W) == 2 * ONE


def test_as_xla_counts():
    """Without loops, whose bodies it counts once; it adds elementwise operations."""
    x, w = jnp.ones((30, 50)), jnp.ones((50, 50))

    def loss(w):
        return jnp.tanh((x @ w) @ w.T).sum()

    whole = jax.jit(jax.grad(loss)).lower(w).compile().cost_analysis()["flops"]
    assert 0.98 * whole < counted(jax.grad(loss), w) <= whole


def test_loops_of_unknown_length():
    def loop(x, w):
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ w, x)

    with pytest.raises(ValueError, match="unknown length"):
        counted(loop, X, W)


def test_an_update_of_ppo():
    """Without memory: an encoder, a layer, two heads; acting once and four epochs.

    The way back takes twice the products, but for inputs that need no gradient.
    """
    agent = speed.make_agent("none", "RepeatPreviousEasy-v0", False)
    inputs, width, actions = 4, 128, 4
    encoder, layer = 2 * inputs * width, 2 * width * width
    heads = 2 * layer + 2 * width * (actions + 1)
    forward = encoder + layer + heads
    expected = forward + 4 * (3 * forward - encoder)
    assert flops_per_step(agent) == pytest.approx(expected, rel=0.1)
