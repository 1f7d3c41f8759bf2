"""Tasks with gymnax's interface: a counter that ends by itself or by a time limit."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Box:
    """Its bounds are arrays of JAX and its dtype has 64 bits, as some of gymnax's."""

    def __init__(self):
        self.low, self.high = jnp.zeros(1), jnp.ones(1)
        self.shape, self.dtype = (1,), np.float64


class Discrete:
    n, shape, dtype = 2, (), jnp.int_


@dataclasses.dataclass(frozen=True)
class Parameters:
    max_steps_in_episode: int = 5

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)


class State(NamedTuple):
    goal: jax.Array
    count: int  # a Python number at the start, as in some of gymnax's tasks
    time: int


class FiveValues:
    """Reach the goal by saying 1 often enough; the limit is part of `done`."""

    default_params = Parameters()

    def observation_space(self, params):
        return Box()

    def action_space(self, params):
        return Discrete()

    def reset_env(self, key, params):
        state = State(jax.random.randint(key, (), 1, 5, jnp.int32), 0, 0)
        return self.observe(state), state

    def observe(self, state):
        return jnp.asarray(state.count, jnp.float32).reshape(1) / 8

    def advance(self, state, action):
        state = State(state.goal, state.count + action, state.time + 1)
        return state, state.count >= state.goal

    def step_env(self, key, state, action, params):
        state, reached = self.advance(state, action)
        done = reached | (state.time >= params.max_steps_in_episode)
        return self.observe(state), state, reached * 1.0, done, {"discount": 1.0}

    def step(self, *_):
        raise AssertionError("this one starts over by itself")


class ShowsTheTimeLeft(FiveValues):
    """Observes the time as a share of the limit, and the limit at the start."""

    def reset_env(self, key, params):
        _, state = super().reset_env(key, params)
        return jnp.full(1, params.max_steps_in_episode / 8), state

    def step_env(self, key, state, action, params):
        _, *rest = super().step_env(key, state, action, params)
        return jnp.reshape(rest[0].time / params.max_steps_in_episode, 1), *rest


class TellsTruncation(FiveValues):
    """As from gymnax 1.0: the flag leaves the limit out, which has a method."""

    def __init__(self):
        self.table = jnp.arange(9) / 8  # an array that is made with the task

    def observe(self, state):
        return self.table[state.count].reshape(1)

    def step_env(self, key, state, action, params):
        state, reached = self.advance(state, action)
        return self.observe(state), state, reached * 1.0, reached, {"discount": 1.0}

    def is_truncated(self, state, params):
        return state.time >= params.max_steps_in_episode


class GivesUp(TellsTruncation):
    """Truncates by a rule of its own, and knows no limit."""

    default_params = None

    def is_truncated(self, state, params):
        return state.time > state.goal


class GivesUpBeforeTheLimit(GivesUp):
    """Truncates by a rule of its own, long before the limit."""

    default_params = Parameters()


class WithoutLimit(FiveValues):
    """Its parameters know no limit, so every end is a termination."""

    default_params = None
