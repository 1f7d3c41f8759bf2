"""Many streams of one task, with automatic starting over in the same step.

The vectoriser is the only place that starts episodes. Rows that ended are reset by
compaction (`envs.rows`), with the key `fold_in(step_key, index of the environment)`:
the key belongs to the environment and not to its turn in a queue, so the result is
the same bit for bit as resetting every row at every step and selecting.
"""

import dataclasses
from numbers import Integral
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.base import Environment, Info, Observation, State, float_dtype
from envs.rows import update_rows


class VectorState(NamedTuple):
    """State of a batch of streams; every leaf has the batch as its first axis.

    `index` is each environment's own number. It is data rather than a position, so
    that a shard of a batch draws what the whole batch would have drawn for it.
    """

    env_state: State
    index: Int[Array, " batch"]
    episode_return: Float[Array, " batch"]
    episode_length: Int[Array, " batch"]


class Step(NamedTuple):
    """What one step of a batch produced.

    Attributes:
        observation: what to act on next; where an episode ended, the first
            observation of the next one.
        reward: `[batch]`.
        terminated, truncated: `[batch]`, how an episode ended, if it did.
        final_observation: the observation that this step itself led to, before any
            reset. Equal to `observation` where no episode ended.
        info: the task's own, from before any reset.
        episode_return, episode_length: sum of rewards and number of steps of the
            episode so far, this step included; final where an episode ended.
        action_mask: the actions allowed at `observation`; None unless configured.
        final_action_mask: those allowed at `final_observation`, likewise.
        final_hidden: the task's hidden variables before any reset; None unless
            configured.
    """

    observation: Observation
    reward: Float[Array, " batch"]
    terminated: Bool[Array, " batch"]
    truncated: Bool[Array, " batch"]
    final_observation: Observation
    info: Info
    episode_return: Float[Array, " batch"]
    episode_length: Int[Array, " batch"]
    action_mask: Bool[Array, "batch actions"] | None
    final_action_mask: Bool[Array, "batch actions"] | None
    final_hidden: dict[str, Any] | None

    @property
    def ended(self) -> Bool[Array | np.ndarray, "..."]:
        """Whether the next observation is the first of an episode."""
        return self.terminated | self.truncated


@dataclasses.dataclass(frozen=True)
class VectorEnv:
    """`num_envs` independent streams of `env`, reset in the step that ends them.

    Attributes:
        env: the task.
        num_envs: number of streams.
        rows_per_round: rows that one round of resets treats; speed only, results do
            not depend on it. None takes a thirty-second of the streams: few idle
            slots when ends are scattered, few rounds when all end together.
        action_mask: whether steps carry the task's action mask.
        hidden: whether steps carry the task's hidden variables.
    """

    env: Environment
    num_envs: int
    rows_per_round: int | None = None
    action_mask: bool = False
    hidden: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.env, Environment):
            raise ValueError(
                f"VectorEnv runs an envs.Environment, whose reset and step JAX can "
                f"compile, not {self.env!r:.80}; batch a numpy Gymnasium environment "
                "with gymnasium.vector, or write it as an envs.Environment."
            )
        for name in ("num_envs", "rows_per_round"):
            value = getattr(self, name)
            whole = isinstance(value, Integral) and not isinstance(value, bool)
            if not whole and (value is not None or name == "num_envs"):
                raise ValueError(f"{name} must be a whole number, not {value!r}.")
        if self.num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, not {self.num_envs}.")
        if self.rows_per_round is not None and self.rows_per_round < 1:
            raise ValueError(
                f"rows_per_round must be at least 1, not {self.rows_per_round}."
            )
        for name in ("action_mask", "hidden"):
            if getattr(self, name) and getattr(self.env, name) is None:
                raise ValueError(
                    f"{type(self.env).__name__} defines no {name}(state), so steps "
                    f"cannot carry it; leave {name}=False or add the method."
                )

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, VectorState]:
        """Start every stream; returns the observations `[batch, ...]` and the state."""
        index = jnp.arange(self.num_envs, dtype=jnp.int32)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, index)
        observation, env_state = jax.vmap(self.env.reset)(keys)
        return observation, VectorState(
            env_state=env_state,
            index=index,
            episode_return=jnp.zeros(self.num_envs, float_dtype()),
            episode_length=jnp.zeros(self.num_envs, jnp.int32),
        )

    def mask(self, state: VectorState) -> Bool[Array, "batch actions"] | None:
        """The actions allowed in `state`, or None unless configured."""
        return self._mask_of(state.env_state)

    def _mask_of(self, env_state: State) -> Bool[Array, "batch actions"] | None:
        if not self.action_mask:
            return None
        return jax.vmap(self.env.action_mask)(env_state)

    def hidden_variables(self, state: VectorState) -> dict[str, Any] | None:
        """The task's hidden variables in `state`, or None unless configured."""
        if not self.hidden:
            return None
        return jax.vmap(self.env.hidden)(state.env_state)

    def step(
        self, key: PRNGKeyArray, state: VectorState, actions: Any
    ) -> tuple[VectorState, Step]:
        """Advance every stream by one step and start over those that ended.

        Args:
            key: one key for the whole batch and step.
            state: from `reset` or the previous `step`.
            actions: `[batch, ...]`.
        """
        step_key, reset_key = jax.random.split(key)
        step_keys = jax.vmap(jax.random.fold_in, (None, 0))(step_key, state.index)
        observation, env_state, reward, terminated, truncated, info = jax.vmap(
            self.env.step
        )(step_keys, state.env_state, actions)
        reward = reward.astype(float_dtype())
        ended = terminated | truncated
        episode_return = state.episode_return + reward
        episode_length = state.episode_length + 1
        final_hidden = jax.vmap(self.env.hidden)(env_state) if self.hidden else None
        final_mask = self._mask_of(env_state)

        def start_over(rows: tuple[Any, Any]) -> tuple[Observation, State]:
            index, ended_state = rows
            keys = jax.vmap(jax.random.fold_in, (None, 0))(reset_key, index)
            if self.env.next_episode is None:
                return jax.vmap(self.env.reset)(keys)
            return jax.vmap(self.env.next_episode)(keys, ended_state)

        keeps = self.env.next_episode is not None
        next_observation, next_state = update_rows(
            start_over,
            ended,
            (state.index, env_state if keeps else None),
            (observation, env_state),
            rows_per_round=self.rows_per_round or -(-self.num_envs // 32),
        )
        new_state = VectorState(
            env_state=next_state,
            index=state.index,
            episode_return=jnp.where(ended, 0, episode_return),
            episode_length=jnp.where(ended, 0, episode_length),
        )
        return new_state, Step(
            observation=next_observation,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_observation=observation,
            info=info,
            episode_return=episode_return,
            episode_length=episode_length,
            action_mask=self.mask(new_state),
            final_action_mask=final_mask,
            final_hidden=final_hidden,
        )
