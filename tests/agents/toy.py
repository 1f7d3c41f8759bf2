"""A task with everything at once, for tests: ragged random episodes of length 1 to 9
that terminate, truncate or both, any action space, any observation space, masks.

Its numbers are exact, so two programs that play it differ in a bit only where a key or
an order does, however they are compiled.
"""

import dataclasses
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import memory_models
from envs.base import Card, Environment, unknown

spaces = gymnasium.spaces


class ToyState(NamedTuple):
    time: jax.Array
    length: jax.Array
    ending: jax.Array  # 0 terminates, 1 truncates, 2 both
    noise: jax.Array


ACTIONS = {
    "discrete": spaces.Discrete(3),
    "offset": spaces.Discrete(3, start=2),
    "multi": spaces.MultiDiscrete([3, 2]),
    "box": spaces.Box(-2.0, 1.0, (2,), np.float32),
}
OBSERVATIONS = {
    "box": spaces.Box(-4.0, 4.0, (3,), np.float32),
    "discrete": spaces.Discrete(5),
    "multi": spaces.MultiDiscrete([3, 4]),
    "dict": spaces.Dict(
        {"vector": spaces.Box(-4.0, 4.0, (3,), np.float32), "place": spaces.Discrete(5)}
    ),
    "tuple": spaces.Tuple((spaces.Discrete(5), spaces.MultiDiscrete([3, 4]))),
    "pixels": spaces.Box(0, 255, (12, 12, 3), np.uint8),
}


def _noise(key):
    """Uniform over the multiples of 2^-10 in [-2, 2)."""
    drawn = jax.random.randint(key, (3,), -2048, 2048, jnp.int32)
    return drawn.astype(jnp.float32) / 1024


@dataclasses.dataclass(frozen=True)
class Toy(Environment):
    actions: str = "discrete"
    observations: str = "box"
    truncates: bool = True

    @property
    def observation_space(self):
        return OBSERVATIONS[self.observations]

    @property
    def action_space(self):
        return ACTIONS[self.actions]

    @property
    def card(self):
        none = unknown("a test")
        return Card("none", "", (0, 0), self.truncates, none, none, none, none, 9)

    def _observe(self, state, space=None):
        space = space or self.observation_space
        if isinstance(space, spaces.Dict):
            return {k: self._observe(state, s) for k, s in space.spaces.items()}
        if isinstance(space, spaces.Tuple):
            return tuple(self._observe(state, s) for s in space.spaces)
        code = (jnp.abs(state.noise[0]) * 1000).astype(jnp.int32)
        if isinstance(space, spaces.Discrete):
            return code % int(space.n)
        if isinstance(space, spaces.MultiDiscrete):
            return code % jnp.asarray(space.nvec, jnp.int32)
        if space.dtype == np.uint8:
            pixels = jnp.arange(np.prod(space.shape), dtype=jnp.int32) * (code + 1)
            return (pixels % 256).astype(jnp.uint8).reshape(space.shape)
        return jnp.clip(state.noise, -4, 4)

    def reset(self, key):
        first, second, third = jax.random.split(key, 3)
        state = ToyState(
            time=jnp.zeros((), jnp.int32),
            length=jax.random.randint(first, (), 1, 10, jnp.int32),
            ending=jax.random.randint(
                second, (), 0, 3 if self.truncates else 1, jnp.int32
            ),
            noise=_noise(third),
        )
        return self._observe(state), state

    def step(self, key, state, action):
        noise = _noise(key)
        state = state._replace(time=state.time + 1, noise=noise)
        ended = state.time >= state.length
        reward = noise[0] + 0.1 * jnp.sum(action.astype(jnp.float32))
        terminated = ended & (state.ending != 1)
        truncated = ended & (state.ending != 0)
        info = {"success": noise[0] > 0}
        return self._observe(state), state, reward, terminated, truncated, info


@dataclasses.dataclass(frozen=True)
class HiddenToy(Toy):
    """Tells its hidden variables: what comes next to the eye, and how it will end."""

    def hidden(self, state):
        return {
            "noise": (state.noise[:2], state.time),
            "ending": (state.ending, state.time),
        }


@dataclasses.dataclass(frozen=True)
class MaskedToy(Toy):
    """Rules out one action of each choice, a different one as time goes by."""

    def action_mask(self, state):
        if self.actions == "multi":
            first = jnp.arange(3, dtype=jnp.int32) != state.time % 3
            second = jnp.arange(2, dtype=jnp.int32) != state.time % 2
            return jnp.concatenate([first, second])
        return jnp.arange(3, dtype=jnp.int32) != state.time % 3


def task_and_memory(memory, env=None):
    """Keyword arguments of an agent: a memory of 8 outputs, a task that it can read."""
    columns, raw = {}, ()
    if memory_models.reads_columns(memory):
        keys = {"key_column": "place", "value_column": "vector", "place_key": "place"}
        columns = {k: v for k, v in keys.items() if k in memory_models.options(memory)}
        env, raw = env or Toy(observations="dict"), ("place",)
    built = memory_models.builder(memory, output_size=8, **columns)
    return {"env": env or Toy(), "memory": built, "raw_keys": raw}
