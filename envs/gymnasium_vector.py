"""A batch of a task's streams as a Gymnasium vector environment, SAME_STEP mode."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space, iterate

from envs.base import Environment
from envs.gymnasium_api import (
    METADATA,
    build,
    check_options,
    compile_task,
    fresh_key,
    from_numpy,
    render_metadata,
    render_picture,
    to_numpy,
)
from envs.vector import VectorEnv

VECTOR_METADATA = {**METADATA, "autoreset_mode": AutoresetMode.SAME_STEP}


class GymnasiumVectorEnv(gymnasium.vector.VectorEnv):
    """A batch of streams, starting over in the step that ends an episode.

    `infos` follow Gymnasium's own SAME_STEP vector environments: each entry of the
    task's `info` with a mask of the rows where it counts, and, where episodes ended,
    `final_obs` (one object per row) and `final_info`.

    Args:
        num_envs: number of streams.
        task: an id (`envs.names()`) or a built task.
        render_mode: None, or 'rgb_array'; None where the task has no picture.
        parameters: the task's, where `task` is an id.
    """

    metadata = VECTOR_METADATA

    def __init__(
        self,
        num_envs: int,
        task: str | Environment,
        render_mode: str | None = None,
        **parameters: Any,
    ) -> None:
        self.task = build(task, parameters)
        self.metadata = {
            **render_metadata(self.task, render_mode),
            "autoreset_mode": AutoresetMode.SAME_STEP,
        }
        self.render_mode = render_mode if self.metadata["render_modes"] else None
        self._asked = render_mode
        self.num_envs = num_envs
        self.single_observation_space = self.task.observation_space
        self.single_action_space = self.task.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._functions = compile_task(VectorEnv(self.task, num_envs))
        self._state: Any = None
        self._observation: Any = None

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Start every stream, or those in `options['reset_mask']`.

        Args:
            seed: one number for the whole batch; None continues the stream.
            options: `reset_mask`, bool `[num_envs]`, leaves the other rows alone.
        """
        if seed is not None and not isinstance(seed, (int, np.integer)):
            raise TypeError(
                f"seed must be one number for the batch, not {seed!r}: the streams "
                "share one key. Use vectorization_mode='sync' for a seed each."
            )
        super().reset(seed=None if seed is None else int(seed))
        check_options(options, ("reset_mask",))
        mask = (options or {}).get("reset_mask")
        self._key = fresh_key(self.np_random)
        self._count = 0
        start_key = jax.random.fold_in(self._key, 0)
        fresh = self._functions.reset(start_key)
        if mask is not None:
            fresh = self._merge(np.asarray(mask), fresh)
        self._observation, self._state = fresh
        return to_numpy(self.observation_space, self._observation), {}

    def _merge(self, mask: np.ndarray, fresh: Any) -> Any:
        """Take the rows of `fresh` under the mask and the current ones elsewhere."""
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"options['reset_mask'] must be bool[{self.num_envs}] with at least "
                f"one True; got {mask.dtype}{list(mask.shape)}, {mask.sum()} True."
            )
        if self._state is None:
            raise ValueError(
                "options['reset_mask'] keeps the other rows, but there are none yet; "
                "call reset() without it first."
            )

        def select(new: Any, old: Any) -> Any:
            return jnp.where(mask.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(select, fresh, (self._observation, self._state))

    def step(
        self, actions: Any
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every stream; see `gymnasium.vector.VectorEnv.step`."""
        self._count += 1
        self._state, step = self._functions.step(
            self._key,
            np.uint32(self._count),
            self._state,
            from_numpy(self.action_space, actions),
        )
        self._observation = step.observation
        terminated = np.array(step.terminated)
        truncated = np.array(step.truncated)
        return (
            to_numpy(self.observation_space, step.observation),
            np.array(step.reward, np.float64),
            terminated,
            truncated,
            same_step_infos(
                self.observation_space,
                {name: np.asarray(value) for name, value in step.info.items()},
                step.final_observation,
                terminated | truncated,
            ),
        )

    def render(self) -> tuple[np.ndarray, ...] | None:
        """One picture per stream, if a mode was chosen."""
        state = None if self._state is None else self._state.env_state
        draw = self._functions.render
        pictures = render_picture(self.task, self._asked, draw, state)
        return None if pictures is None else tuple(pictures)


def same_step_infos(
    space: gymnasium.Space,
    values: dict[str, np.ndarray],
    final_observation: Any,
    ended: np.ndarray,
) -> dict[str, Any]:
    """Infos as Gymnasium's own vector environments of mode SAME_STEP give them.

    Args:
        space: of the observations of all streams.
        values: what the steps themselves say, `[streams, ...]` each.
        final_observation: what they led to, before any reset.
        ended: `[streams]`.
    """
    infos: dict[str, Any] = {}
    if not ended.all():
        infos |= _masked(values, ~ended)
    if ended.any():
        rows = list(iterate(space, to_numpy(space, final_observation)))
        final_observations = np.full(len(ended), None, dtype=object)
        for row in np.flatnonzero(ended):
            final_observations[row] = rows[row]
        infos |= {"final_obs": final_observations, "_final_obs": ended.copy()}
        infos["final_info"] = _masked(values, ended)
        infos["_final_info"] = ended.copy()
    return infos


def _masked(values: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, Any]:
    """Gymnasium's form of batched info: zeros elsewhere, and a mask per entry."""
    infos: dict[str, Any] = {}
    for name, value in values.items():
        kept = np.zeros_like(value)
        kept[rows] = value[rows]
        infos[name], infos[f"_{name}"] = kept, rows.copy()
    return infos
