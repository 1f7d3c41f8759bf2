"""Robot tasks in MuJoCo as Gymnasium environments, one and many.

What is drawn, scripted, judged and seen is the task's own code, compiled; in between
MuJoCo moves the things.
"""

import dataclasses
import importlib
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from envs.base import Card, unknown
from envs.gymnasium_api import fresh_key
from envs.gymnasium_vector import same_step_infos
from envs.robot.episodes.episode import RobotState
from envs.robot.mujoco.table import MuJoCoTables
from envs.robot.tabletop import gripper as arm
from envs.robot.task import RobotTask

_WHY = "not played in MuJoCo"


class MuJoCoVectorEnv(VectorEnv):
    """`num_envs` tables. Episodes start over in the step that ends them."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(
        self, num_envs: int, task: str, fields: dict[str, Any], threads: int = 0
    ):
        """Compile the model.

        Args:
            num_envs: how many.
            task: 'module:class' of a `RobotTask`.
            fields: its parameters.
            threads: that step the physics; 0 for as many as there are cores.
        """
        self.task = _task(task, fields)
        self.num_envs = num_envs
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.tables = MuJoCoTables(self.task._things, num_envs, threads)
        self._cpu = jax.local_devices(backend="cpu")[0]
        self._start = jax.jit(jax.vmap(self._begun))
        self._obey = jax.jit(jax.vmap(self._obeyed))
        self._lead = jax.jit(jax.vmap(self.task.led_to))
        self._over = jax.jit(jax.vmap(_either))
        self._state: Any = None

    def _begun(self, key: jax.Array, episode: jax.Array) -> tuple[Any, RobotState]:
        return self.task.reset(jax.random.fold_in(key, episode))

    def _obeyed(self, state: RobotState, action: jax.Array) -> tuple[Any, Any]:
        command = self.task.obeyed(state, action)
        return command, arm.advance(state.world.gripper, command)

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all anew: with a seed for each, or one from which all are spread."""
        del options
        if seed is None or np.ndim(seed) == 0:
            seed = np.random.SeedSequence(seed).generate_state(self.num_envs)
        with jax.default_device(self._cpu):
            self._keys = jax.vmap(jax.random.key)(jnp.asarray(seed, jnp.uint32))
            self._episode = np.zeros(self.num_envs, np.int32)
            observation, self._state = self._start(self._keys, self._episode)
            self.tables.load(_numpy(self._state.world))
        return _numpy(observation), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """One control step of all."""
        if self._state is None:
            raise gymnasium.error.ResetNeeded("call reset before step.")
        with jax.default_device(self._cpu):
            command, gripper = self._obey(self._state, jnp.asarray(actions))
            world = self.tables.advance(_numpy(self._state.world), _numpy(gripper))
            led = self._lead(self._state, command, world)
            observation, self._state, reward, terminated, truncated, info = led
            ended = np.asarray(terminated | truncated)
            infos = same_step_infos(
                self.observation_space, _numpy(info), observation, ended
            )
            if ended.any():
                self._episode += ended
                fresh = self._start(self._keys, self._episode)
                now = (observation, self._state)
                observation, self._state = self._over(jnp.asarray(ended), fresh, now)
                self.tables.load(_numpy(self._state.world), np.flatnonzero(ended))
        reward = np.asarray(reward, np.float64)
        ends = np.asarray(terminated), np.asarray(truncated)
        return _numpy(observation), reward, *ends, infos

    def close_extras(self, **arguments: Any) -> None:
        """Nothing is left open."""


class MuJoCoEnv(gymnasium.Env):
    """One table."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(
        self, task: str, fields: dict[str, Any], render_mode: str | None = None
    ):
        """Compile the model; `task` and `fields` as for `MuJoCoVectorEnv`."""
        self.render_mode = render_mode
        self.task = _task(task, fields)
        self.observation_space = self.task.observation_space
        self.action_space = self.task.action_space
        self._tables: MuJoCoTables | None = None

    @property
    def card(self) -> Card:
        """The task's, of which what chance and script reach is another table's."""
        told = unknown(_WHY)
        return dataclasses.replace(self.task.card, floor=told, recall=told, oracle=told)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        super().reset(seed=seed)
        key = fresh_key(self.np_random)
        if self._tables is None:
            self._tables = MuJoCoTables(self.task._things, 1, 1)
            self._start, self._obey = (
                jax.jit(self.task.reset),
                jax.jit(self.task.obeyed),
            )
            self._lead = jax.jit(self.task.led_to)
            self._draw = jax.jit(self.task.render)
        observation, self.state = self._start(key)
        self._tables.load(_first(self.state.world))
        return _numpy(observation), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step."""
        if self._tables is None:
            raise gymnasium.error.ResetNeeded("call reset before step.")
        command = self._obey(self.state, jnp.asarray(action))
        gripper = arm.advance(self.state.world.gripper, command)
        world = self._tables.advance(_first(self.state.world), _first(gripper))
        world = jax.tree.map(lambda x: x[0], world)
        led = self._lead(self.state, command, world)
        observation, self.state, reward, terminated, truncated, info = led
        told = {name: np.asarray(value)[()] for name, value in info.items()}
        ends = bool(terminated), bool(truncated)
        return _numpy(observation), float(reward), *ends, told

    def render(self) -> Any:
        """The task's own picture, from above."""
        return np.asarray(self._draw(self.state))


def _task(path: str, fields: dict[str, Any]) -> RobotTask:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)(**fields)


def _numpy(tree: Any) -> Any:
    return jax.tree.map(np.array, jax.device_get(tree))


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda x: np.array(x)[None], jax.device_get(tree))


def _either(where: jax.Array, one: Any, other: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(where, a, b), one, other)
