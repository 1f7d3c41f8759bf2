"""A policy that keeps the memories of its streams, one step at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.base import Agent, Inputs, MemoryState, Params
from agents.keys import row_keys


class Policy:
    """Acts for one stream or many, and keeps their memories.

        policy = agents.load("runs/tmaze/ffm-ppo/20261121-120000")
        action = policy(observation, start)

    `start` says for each stream whether its observation is the first of an episode;
    memories are reset by it and by nothing else.

    Attributes:
        agent: whose `act` this calls, the one that training called.
        params: what it acts with.
    """

    def __init__(
        self,
        agent: Agent,
        params: Params,
        *,
        exploration: float | None,
        key: jax.Array,
    ):
        """Wrap parameters of one seed."""
        self.agent, self.params = agent, params
        self._key, self._steps = key, 0
        self._memory: MemoryState = None
        self._last_action: Any = None
        self._streams = 0

        def act(
            params: Params,
            memory_state: MemoryState,
            inputs: Inputs,
            key: Any,
            step: Any,
        ) -> Any:
            streams = jnp.arange(inputs.start.shape[0], dtype=jnp.int32)
            keys = row_keys(jax.random.fold_in(key, step), streams)
            return agent.act(
                params, memory_state, inputs, key=keys, exploration=exploration
            )[:2]

        self._act = jax.jit(act)

    def __call__(
        self,
        observation: Any,
        start: Any,
        *,
        reward: Any = None,
        action_mask: Any = None,
    ) -> Any:
        """Choose the next action of each stream.

        Args:
            observation: of one stream, as in the task's observation space, or of many,
                with a leading axis.
            start: whether it is the first of an episode: one flag, or one per stream.
            reward: what the last action earned; needed by agents that see it.
            action_mask: the actions allowed now; needed for tasks that have masks.

        Returns:
            An action as in the task's action space, or many, in numpy.

        Raises:
            ValueError: shapes that do not fit the space, or something needed is
                missing, or the number of streams changed other than at a start of all.
        """
        flags = np.asarray(start, bool)
        single = flags.ndim == 0
        flags = np.atleast_1d(flags)

        def batched(x: Any) -> Any:
            return jax.tree.map(lambda leaf: np.asarray(leaf)[None], x) if single else x

        self._begin(flags)
        inputs = self.agent.first_inputs(
            self._observation(batched(observation), len(flags)),
            self._mask(batched(action_mask)),
            len(flags),
        )._replace(start=jnp.asarray(flags))
        if inputs.previous_action is not None and self._last_action is not None:
            inputs = inputs._replace(previous_action=self._last_action)
        if inputs.previous_reward is not None:
            inputs = inputs._replace(previous_reward=self._reward(reward, flags))
        action, self._memory = self._act(
            self.params, self._memory, inputs, self._key, np.int32(self._steps)
        )
        self._last_action, self._steps = action, self._steps + 1
        chosen = np.asarray(action)
        return chosen[0] if single else chosen

    @property
    def memory_state(self) -> MemoryState:
        """Of all streams, leaves `[streams, ...]`; None before the first step."""
        return self._memory

    def _begin(self, flags: np.ndarray) -> None:
        """Make room for as many streams as there are flags."""
        if len(flags) == self._streams:
            return
        if not flags.all():
            raise ValueError(
                f"{len(flags)} streams were given after {self._streams}, with start "
                "false for some; a stream that is new must start."
            )
        self._streams, self._last_action = len(flags), None
        self._memory = self.agent.initial_memory(self.params, len(flags))

    def _observation(self, observation: Any, streams: int) -> Any:
        space = self.agent.env.observation_space
        wanted = jax.eval_shape(
            jax.vmap(self.agent.env.reset), jax.random.split(self._key, streams)
        )[0]
        given = jax.tree.map(np.asarray, observation)
        same = jax.tree.structure(given) == jax.tree.structure(wanted)
        if not same or any(
            x.shape != y.shape
            for x, y in zip(
                jax.tree.leaves(given), jax.tree.leaves(wanted), strict=True
            )
        ):
            shapes = jax.tree.map(lambda x: x.shape, given)
            raise ValueError(
                f"an observation of shape {shapes} for {streams} stream(s) does not "
                f"fit the task's {space}; start has one flag per stream."
            )
        return jax.tree.map(lambda x, y: jnp.asarray(x, y.dtype), given, wanted)

    def _reward(self, reward: Any, flags: np.ndarray) -> jax.Array:
        if reward is None:
            if not flags.all():
                raise ValueError(
                    "this agent sees its previous reward; pass reward=, the reward of "
                    "the last step."
                )
            reward = np.zeros(len(flags))
        dtype = jax.dtypes.canonicalize_dtype(float)
        return jnp.asarray(np.atleast_1d(np.asarray(reward)), dtype)

    def _mask(self, action_mask: Any) -> Any:
        if self.agent.env.action_mask is None:
            return None
        if action_mask is None:
            raise ValueError("this task masks actions; pass action_mask=.")
        return jnp.asarray(action_mask, bool)
