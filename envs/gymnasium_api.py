"""Every task as a Gymnasium environment: numpy in and out, compiled inside.

`gymnasium.make("engram/TMaze-v0", length=5)` gives one stream, `gymnasium.make_vec` a
batch (`envs.gymnasium_vector`). Within JAX, use the task itself and `envs.VectorEnv`:
no step crosses to the host there.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import jax
import numpy as np
from gymnasium import spaces

from envs import registry
from envs.base import Environment
from envs.host import HostTask
from envs.spaces import children
from envs.vector import VectorEnv

FRAMES_PER_SECOND = 8
METADATA = {"render_modes": ["rgb_array"], "render_fps": FRAMES_PER_SECOND}


class Functions(NamedTuple):
    """Compiled functions of a task; `count` numbers the steps of one key."""

    reset: Callable[..., Any]
    step: Callable[..., Any]
    render: Callable[..., Any] | None


@functools.lru_cache(maxsize=128)
def compile_task(task: Environment | VectorEnv) -> Functions:
    """Compile once per task, however many Gymnasium environments wrap it."""

    def step(key: Any, count: Any, state: Any, action: Any) -> Any:
        return task.step(jax.random.fold_in(key, count), state, action)

    env = task.env if isinstance(task, VectorEnv) else task
    render = env.render
    if render is not None and isinstance(task, VectorEnv):
        render = jax.vmap(render)
    return Functions(
        reset=jax.jit(task.reset),
        step=jax.jit(step),
        render=None if render is None else jax.jit(render),
    )


def to_numpy(space: gymnasium.Space, element: Any) -> Any:
    """Convert arrays of the device to what `space` contains: dtypes and all."""
    parts = children(space)
    if parts is not None:
        converted = {name: to_numpy(part, element[name]) for name, part in parts}
        if isinstance(space, spaces.Dict):
            return converted
        return tuple(converted.values())
    if isinstance(space, spaces.Discrete):
        return np.int64(element)
    return np.array(element, dtype=space.dtype)


def from_numpy(space: gymnasium.Space, element: Any) -> Any:
    """Convert an element of `space` to arrays with the dtypes that tasks take."""
    parts = children(space)
    if parts is not None:
        converted = {name: from_numpy(part, element[name]) for name, part in parts}
        if isinstance(space, spaces.Dict):
            return converted
        return tuple(converted.values())
    if isinstance(space, spaces.Box):
        return np.asarray(element, space.dtype)
    return np.asarray(element, np.int32)


def build(task: str | Environment, parameters: dict[str, Any]) -> Environment:
    """The task of that id with `parameters`, or the built task itself."""
    if isinstance(task, str):
        made = registry.make(task, **parameters)
        if isinstance(made, HostTask):
            raise ValueError(
                f"{task} with {parameters} is an environment of the host: "
                f"gymnasium.make({made.id!r}, **envs.make({task!r}, ...).arguments)."
            )
        return made
    if parameters:
        raise ValueError(
            f"{task} is already built, so parameters {sorted(parameters)} would be "
            "lost; build it with them, or give its id."
        )
    return task


def render_metadata(env: Environment, render_mode: str | None) -> dict[str, Any]:
    """Gymnasium metadata of a task; refuses a mode that no task has.

    A task without a picture takes 'rgb_array' too: libraries ask for it by default and
    may never look (`stable_baselines3.common.env_util.make_vec_env`). Its `render_mode`
    is then None, and only `render` refuses.
    """
    if render_mode not in (None, *METADATA["render_modes"]):
        raise _no_picture(env, render_mode)
    modes = [] if env.render is None else METADATA["render_modes"]
    return {**METADATA, "render_modes": modes}


def render_picture(env: Environment, asked: str | None, draw: Any, state: Any) -> Any:
    """What `draw` makes of `state`; None where no mode was asked for.

    Raises:
        ValueError: a mode was asked for, and the task has no picture.
    """
    if asked is None:
        return None
    if draw is None:
        raise _no_picture(env, asked)
    return np.asarray(draw(state))


def _no_picture(env: Environment, render_mode: str | None) -> ValueError:
    modes = [] if env.render is None else METADATA["render_modes"]
    advice = "" if modes else "; give the class a render(state) to make pictures"
    return ValueError(
        f"{type(env).__name__} cannot be rendered as {render_mode!r}; its render modes "
        f"are {modes}{advice}."
    )


def fresh_key(generator: np.random.Generator) -> Any:
    """A fresh key from Gymnasium's own stream of randomness."""
    return jax.random.key(int(generator.integers(2**31)))


def check_options(options: dict[str, Any] | None, known: tuple[str, ...]) -> None:
    """Refuse options of `reset` that nobody would read."""
    extra = sorted(set(options or {}) - set(known))
    if extra:
        raise ValueError(
            f"reset knows no options {extra}; it takes {list(known)}. Parameters of "
            "the task belong in gymnasium.make."
        )


class GymnasiumEnv(gymnasium.Env):
    """One stream of a task.

    `reset(seed=...)` restarts the stream of randomness; without a seed it continues.
    Every episode takes one key from `np_random`.

    Args:
        task: an id (`envs.names()`) or a built task.
        render_mode: None, or 'rgb_array'; None where the task has no picture.
        parameters: the task's, where `task` is an id.
    """

    metadata = METADATA

    def __init__(
        self,
        task: str | Environment,
        render_mode: str | None = None,
        **parameters: Any,
    ) -> None:
        self.task = build(task, parameters)
        self.metadata = render_metadata(self.task, render_mode)
        self.render_mode = render_mode if self.metadata["render_modes"] else None
        self._asked = render_mode
        self.observation_space = self.task.observation_space
        self.action_space = self.task.action_space
        self._functions = compile_task(self.task)
        self._state = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode; see `gymnasium.Env.reset`."""
        super().reset(seed=seed)
        check_options(options, ())
        self._key = fresh_key(self.np_random)
        # fold_in(key, 0) starts the episode and fold_in(key, t) makes its step t.
        self._count = 0
        start_key = jax.random.fold_in(self._key, 0)
        observation, self._state = self._functions.reset(start_key)
        return to_numpy(self.observation_space, observation), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Advance one step; see `gymnasium.Env.step`."""
        self._count += 1
        observation, self._state, reward, terminated, truncated, info = (
            self._functions.step(
                self._key,
                np.uint32(self._count),
                self._state,
                from_numpy(self.action_space, action),
            )
        )
        return (
            to_numpy(self.observation_space, observation),
            float(reward),
            bool(terminated),
            bool(truncated),
            {name: _plain(value) for name, value in info.items()},
        )

    def render(self) -> np.ndarray | None:
        """The current picture, `uint8[height, width, 3]`, if a mode was chosen."""
        return render_picture(
            self.task, self._asked, self._functions.render, self._state
        )


def _plain(value: Any) -> Any:
    """A Python number for a scalar, a numpy array otherwise."""
    return value.item() if value.ndim == 0 else np.asarray(value)
