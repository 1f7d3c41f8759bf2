"""Playing robot tasks in tests: one compiled step per task."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

SEEDS = 64


@functools.cache
def compiled(env):
    return jax.jit(env.reset), jax.jit(env.step), jax.jit(env.oracle)


def oracle(env, state):
    """What the scripted policy does, without randomness."""
    return compiled(env)[2](jax.random.key(0), state)


@functools.cache
def _moved(env):
    def moved(state, world):
        task, outcome = env._judge(state.task, world, state.time)
        time = state.time + 1
        world = env._scripted(task, world, time)
        return state._replace(time=time, world=world, task=task), outcome

    return jax.jit(moved)


def after(env, state, world=None):
    """The state and outcome if a step had led to this world; no physics."""
    return _moved(env)(state, state.world if world is None else world)


def start(env, seed=0):
    return compiled(env)[0](jax.random.key(seed))


def step(env, state, action=None):
    """A step without randomness; at rest unless told."""
    action = np.zeros(5, np.float32) if action is None else action
    return compiled(env)[1](jax.random.key(0), state, jnp.asarray(action, jnp.float32))


def until(env, state, reached, action=None, limit=2000):
    """Step until `reached(state)`; the last observation and the state."""
    observation = None
    for _ in range(limit):
        if reached(state):
            return observation, state
        observation, state, *_ = step(env, state, action)
    raise AssertionError("not reached")


def until_acting(env, state):
    return until(env, state, lambda s: bool(env.acts(s)))


def go_to(env, state, place, most=40):
    """Go to a place and rest there: what the last step returned."""
    for _ in range(most):
        action = env.go(state.world, jnp.asarray(place, jnp.float32))
        result = step(env, state, action)
        state = result[1]
        if result[3]:
            return result
    return result


def with_task(state, **changes):
    return state._replace(task=state.task._replace(**changes))


def same(one, other):
    """Whether two observations are equal bit by bit."""
    leaves = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in leaves)


@functools.cache
def _observing(env):
    return jax.jit(env._observe)


def observed(env, state):
    return _observing(env)(state)
