"""Many episodes of a task, with all that a reference needs, as numpy arrays."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def play(env, streams, seed=0, action_seed=0):
    """Random actions to the end of the longest episode.

    Returns a dict of arrays `[time, stream, ...]`: `seen` (before the action),
    `action`, `after` (the observation that follows), `reward`, `terminated`,
    `truncated`, `info` and `hidden` (before the action).
    """
    steps = env.card.max_episode_steps
    rng = np.random.default_rng(action_seed)
    actions = rng.integers(0, env.action_space.n, (steps, streams)).astype(np.int32)

    trace = _run(env, streams, jax.random.key(seed), jnp.asarray(actions))
    return jax.tree.map(np.asarray, trace)


@functools.partial(jax.jit, static_argnums=(0, 1))  # compiled once for a task
def _run(env, streams, key, actions):
    def body(carry, inputs):
        seen, state = carry
        key, action = inputs
        keys = jax.random.split(key, streams)
        after, state_after, reward, terminated, truncated, info = jax.vmap(env.step)(
            keys, state, action
        )
        step = {
            "seen": seen,
            "action": action,
            "after": after,
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
            "info": info,
            "hidden": jax.vmap(env.hidden)(state),
        }
        return (after, state_after), step

    start = jax.vmap(env.reset)(jax.random.split(key, streams))
    keys = jax.random.split(jax.random.fold_in(key, 1), len(actions))
    return jax.lax.scan(body, start, (keys, actions))[1]


def episode(trace, stream):
    """One stream of `play` to its end, a list of dicts of one step each."""
    length = int(trace["terminated"][:, stream].argmax()) + 1
    assert trace["terminated"][length - 1, stream]
    return [jax.tree.map(lambda x, t=t: x[t, stream], trace) for t in range(length)]


def assert_uniform(numbers, count):
    """Chi-squared of `numbers` against all `count` cells alike, at five sigmas."""
    observed = np.bincount(numbers, minlength=count)
    assert len(observed) == count
    expected = len(numbers) / count
    assert expected >= 10
    chi = ((observed - expected) ** 2 / expected).sum()
    assert chi < count - 1 + 5 * np.sqrt(2 * (count - 1))
