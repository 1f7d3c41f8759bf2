"""Matrix states step by step in numpy: what the chunked scans are compared with."""

import jax
import jax.numpy as jnp
import numpy as np


def draw(time, heads=2, keys=3, values=4, seed=0):
    """q, k (of length 1), v, beta, log a, starts and a used state."""
    generator = np.random.default_rng(seed)
    q, k = generator.normal(size=(2, time, heads, keys))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    v = generator.normal(size=(time, heads, values))
    beta = 2 * generator.random((time, heads))
    log_decay = -2 * generator.random((time, heads))
    starts = generator.random(time) < 0.2
    state = generator.normal(size=(heads, keys, values))
    return q, k, v, beta, log_decay, starts, state


def matrix_loop(q, k, v, log_decay, starts, state):
    """S = a S + k v^T, o = q S."""
    outputs = []
    for t in range(len(q)):
        state = np.zeros_like(state) if starts[t] else state
        state = np.exp(log_decay[t])[:, None, None] * state
        state = state + np.einsum("hk,hv->hkv", k[t], v[t])
        outputs.append(np.einsum("hk,hkv->hv", q[t], state))
    return state, np.array(outputs)


def delta_loop(q, k, v, beta, log_decay, starts, state):
    """S = a (I - beta k k^T) S + beta k v^T, o = q S."""
    outputs = []
    identity = np.eye(q.shape[-1])
    for t in range(len(q)):
        state = np.zeros_like(state) if starts[t] else state
        erase = identity - np.einsum("h,hk,hl->hkl", beta[t], k[t], k[t])
        state = np.exp(log_decay[t])[:, None, None] * (erase @ state)
        state = state + np.einsum("h,hk,hv->hkv", beta[t], k[t], v[t])
        outputs.append(np.einsum("hk,hkv->hv", q[t], state))
    return state, np.array(outputs)


def by_steps(step, arrays, starts, state, empty=None):
    """The mechanism's own step under a scan, resets included."""

    if empty is None:
        empty = jax.tree.map(jnp.zeros_like, state)

    def body(state, element):
        now, start = element
        state = jax.tree.map(lambda a, b: jnp.where(start, a, b), empty, state)
        return step(*now, state)

    return jax.lax.scan(body, state, (arrays, starts))


def gradients(run, arguments, seed=1):
    """Of a random weighting of everything that `run` returns."""

    def weighted(arguments):
        generator = np.random.default_rng(seed)
        return sum(
            jnp.sum(leaf * jnp.asarray(generator.normal(size=leaf.shape), leaf.dtype))
            for leaf in jax.tree.leaves(run(*arguments))
        )

    return jax.jit(jax.grad(weighted))(arguments)


def close(found, expected, tolerance=1e-11):
    """Leaf by leaf."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
