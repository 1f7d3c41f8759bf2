"""Any task as a vector environment of Stable-Baselines3, stepping on the device."""

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import jax
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import (
    VecEnvIndices,
    VecEnvObs,
    VecEnvStepReturn,
)

from agents.spaces import named_leaves, null_actions, observation_keys
from envs.base import Environment
from envs.gymnasium_api import build, compile_task, from_numpy, to_numpy
from envs.vector import Step, VectorEnv

PREVIOUS_ACTION = "previous_action"
"""Key of the observation under which the previous action stands."""


class JaxVecEnv(VecEnv):
    """`num_envs` streams of a task; one compiled call steps them all.

    Episodes start over in the step that ends them. At such a step the stream's `info`
    has what Stable-Baselines3 asks for: `terminal_observation`, `TimeLimit.truncated`,
    `episode` (return and length, as `Monitor` gives them: no `VecMonitor` is needed),
    `is_success` where the task tells it, and the task's own entries. Streams that go on
    share one `info`.

    Nested Dict and Tuple observations become a flat Dict, whose keys are joined with
    '/'. Action masks are at `env_method("action_masks")`, where MaskablePPO looks.

    Attributes:
        task: the task.
        vector_env: its streams.
    """

    def __init__(
        self,
        task: str | Environment,
        num_envs: int = 1,
        *,
        seed: int | Sequence[int] | None = None,
        previous_action: bool | None = None,
        **parameters: Any,
    ):
        """Prepare; what is compiled is so at the first step.

        Args:
            task: an id (`envs.names()`) or a built task.
            num_envs: number of streams.
            seed: of the first reset, a number or several; `seed()` sets another. None
                draws one.
            previous_action: whether the observation holds the previous action under
                `previous_action`, the space's first one at a start; None follows the
                task's card.
            **parameters: the task's, where `task` is an id.

        Raises:
            ValueError: an environment of the host, parameters of a built task, or a
                space that Stable-Baselines3 does not know.
        """
        self.task = build(task, parameters)
        masked = self.task.action_mask is not None
        self.vector_env = VectorEnv(self.task, num_envs, action_mask=masked)
        if previous_action is None:
            previous_action = self.task.card.needs_previous_action
        self.sees_previous_action = previous_action
        self._functions = compile_task(self.vector_env)
        self._draw = np.random.default_rng(seed)
        self._state: Any = None
        self._step: Step | None = None
        self._actions: Any = None
        super().__init__(num_envs, self._space(), self.task.action_space)
        self._batched = {
            name: gymnasium.vector.utils.batch_space(leaf, num_envs)
            for name, leaf in observation_keys(self.task.observation_space).items()
        }
        self._batched_actions = gymnasium.vector.utils.batch_space(
            self.task.action_space, num_envs
        )

    def _space(self) -> gymnasium.Space:
        """The observation space, flat, with the previous action where it is seen."""
        space = self.task.observation_space
        flat = observation_keys(space)
        if self.sees_previous_action:
            if PREVIOUS_ACTION in flat:
                raise ValueError(
                    f"the task observes {PREVIOUS_ACTION!r} itself; use "
                    "previous_action=False."
                )
            flat = {**flat, PREVIOUS_ACTION: self.task.action_space}
        for leaf in (*flat.values(), self.task.action_space):
            _check_starts_at_zero(leaf)
        if self.sees_previous_action:
            return spaces.Dict(flat)
        if list(flat) == ["observation"] and space is flat["observation"]:
            return space
        return spaces.Dict(flat)

    # What Stable-Baselines3 calls -------------------------------------------------

    def reset(self) -> VecEnvObs:
        """Start every stream; after `seed`, as that says."""
        if self._seeds[0] is not None:
            self._draw = np.random.default_rng(self._seeds[0])
        self._key = jax.random.key(int(self._draw.integers(2**31)))
        self._count = 0
        self._reset_seeds()
        self._reset_options()
        # fold_in(key, 0) starts the streams and fold_in(key, t) makes step t.
        observation, self._state = self._functions.reset(
            jax.random.fold_in(self._key, 0)
        )
        self._step, self._actions = None, None
        return self._observed(observation, self._first_actions())

    def step_async(self, actions: np.ndarray) -> None:
        """Let the device begin; nothing waits for it here."""
        self._count += 1
        self._actions = np.asarray(actions)
        self._state, self._step = self._functions.step(
            self._key,
            np.uint32(self._count),
            self._state,
            from_numpy(self._batched_actions, self._actions),
        )

    def step_wait(self) -> VecEnvStepReturn:
        """What the step came to, in numpy."""
        step = self._step
        assert step is not None, "step_wait() comes after step_async()"
        ended = np.asarray(step.ended)
        previous = self._previous(ended)
        return (
            self._observed(step.observation, previous),
            np.array(step.reward, np.float32),
            ended.copy(),
            self._infos(step, ended),
        )

    def close(self) -> None:
        """Nothing is held open."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of the task, once per stream."""
        if attr_name == "render_mode":
            value = None
        elif attr_name == "action_masks" and self.task.action_mask is not None:
            value = self._masks
        else:
            value = getattr(self.task, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(
        self, attr_name: str, value: Any, indices: VecEnvIndices = None
    ) -> None:
        """Refused: tasks never change.

        Raises:
            AttributeError: always.
        """
        raise AttributeError(
            f"{attr_name} cannot be set: tasks never change; make another JaxVecEnv."
        )

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: VecEnvIndices = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """`action_masks`: of each stream, the actions allowed now.

        Raises:
            AttributeError: any other method, or a task without masks.
        """
        if method_name != "action_masks":
            raise AttributeError(
                f"JaxVecEnv has no method {method_name!r} of single streams, which "
                "are computed together; it has action_masks."
            )
        masks = self._masks()
        return [masks[i] for i in self._get_indices(indices)]

    def env_is_wrapped(
        self, wrapper_class: type[gymnasium.Wrapper], indices: VecEnvIndices = None
    ) -> list[bool]:
        """True of `Monitor`, as which streams count their episodes; else False."""
        return [wrapper_class is Monitor for _ in self._get_indices(indices)]

    # ------------------------------------------------------------------------------

    def _get_indices(self, indices: VecEnvIndices) -> Iterable[int]:
        if indices is None:
            return range(self.num_envs)
        return [indices] if isinstance(indices, int) else indices

    def _masks(self) -> np.ndarray:
        if self.task.action_mask is None:
            raise AttributeError(f"{type(self.task).__name__} has no action masks")
        if self._state is None:
            raise ValueError("there are no action masks before reset().")
        if self._step is not None:
            return np.asarray(self._step.action_mask)
        return np.asarray(self.vector_env.mask(self._state))

    def _first_actions(self) -> np.ndarray | None:
        if not self.sees_previous_action:
            return None
        first = null_actions(self.task.action_space, self.num_envs)
        return np.array(first, self.task.action_space.dtype)

    def _previous(self, ended: np.ndarray) -> np.ndarray | None:
        """The actions just taken, and none where an episode starts."""
        first = self._first_actions()
        if first is None:
            return None
        mask = ended.reshape(-1, *[1] * (first.ndim - 1))
        return np.where(mask, first, self._actions.reshape(first.shape))

    def _observed(self, observation: Any, previous: np.ndarray | None) -> Any:
        """Observations of all streams, in numpy and flat."""
        leaves = named_leaves(self.task.observation_space, observation)
        found = {
            name: to_numpy(self._batched[name], leaf) for name, leaf in leaves.items()
        }
        if previous is not None:
            found[PREVIOUS_ACTION] = previous
        if isinstance(self.observation_space, spaces.Dict):
            return found
        return found["observation"]

    def _infos(self, step: Step, ended: np.ndarray) -> list[dict[str, Any]]:
        going_on: dict[str, Any] = {"TimeLimit.truncated": False}
        infos = [going_on] * self.num_envs
        rows = np.flatnonzero(ended)
        if not len(rows):
            return infos
        truncated = np.asarray(step.truncated & ~step.terminated)
        returns = np.asarray(step.episode_return)
        lengths = np.asarray(step.episode_length)
        own = {name: np.asarray(value) for name, value in step.info.items()}
        taken = None if self._first_actions() is None else self._actions
        final = self._observed(step.final_observation, taken)
        for row in rows.tolist():
            infos[row] = {
                **{name: value[row] for name, value in own.items()},
                "terminal_observation": _row(final, row),
                "TimeLimit.truncated": bool(truncated[row]),
                "episode": {"r": float(returns[row]), "l": int(lengths[row])},
            }
            if "success" in own:
                infos[row]["is_success"] = bool(own["success"][row])
        return infos


def _check_starts_at_zero(space: gymnasium.Space) -> None:
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return
    if np.any(space.start):
        raise ValueError(
            f"{space} counts its choices from {space.start}, and Stable-Baselines3 "
            "from 0; let the task do so too."
        )


def _row(observation: Any, row: int) -> Any:
    if isinstance(observation, dict):
        return {name: value[row] for name, value in observation.items()}
    return observation[row]
