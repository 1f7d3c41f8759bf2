"""A sound task and a sound memory, for `test_user_classes` to make mistakes in."""

import dataclasses

import jax
import jax.numpy as jnp
from gymnasium import spaces

import envs
from memory_models import Card, Linear, MemoryModel, diagonal_scan


@dataclasses.dataclass(frozen=True)
class Colour(envs.Environment):
    """Name a colour shown `delay` steps ago."""

    delay: int = 2

    def reset(self, key):
        colour = jax.random.randint(key, (), 0, 3, jnp.int32)
        return colour + 1, {"colour": colour, "time": jnp.zeros((), jnp.int32)}

    def step(self, key, state, action):
        last = state["time"] == self.delay
        right = last & (action == state["colour"])
        state = {"colour": state["colour"], "time": state["time"] + 1}
        reward = right.astype(envs.base.float_dtype())
        return jnp.zeros((), jnp.int32), state, reward, last, jnp.zeros((), bool), {}

    @property
    def observation_space(self):
        return spaces.Discrete(4)

    @property
    def action_space(self):
        return spaces.Discrete(3)

    @property
    def card(self):
        chance, one = envs.exact(1 / 3), envs.exact(1.0)
        horizon, steps = (self.delay, self.delay), self.delay + 1
        return envs.Card("object", "", horizon, False, chance, chance, one, one, steps)


class Leaky(MemoryModel):
    """A leaky average of the inputs."""

    project: Linear

    def __init__(self, input_size, output_size, *, key):
        self.project = Linear(input_size, output_size, key=key)

    def initial_state(self):
        return jnp.zeros(self.project.weight.shape[1], self.project.weight.dtype)

    def __call__(self, state, inputs, starts):
        rate = jnp.full_like(state, 0.9)
        drive = self.project(inputs)
        states = diagonal_scan(rate, drive, starts, state, self.initial_state())
        return states[-1], states

    @property
    def card(self):
        return Card(paper="", mechanism="linear scan", context=None)
