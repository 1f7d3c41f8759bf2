"""Agents of Stable-Baselines3 among our own: the same run, task and tables.

They are dataclasses of settings like all agents, but Stable-Baselines3 trains them:
`agents.running.baselines` runs `model(...)` where it would run `update` of another.
Nothing here imports torch before a model is built.
"""

import abc
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from agents.base import Agent
from agents.footprint import Part, bytes_of
from agents.sb3 import needs_extra
from agents.spaces import is_image, observation_keys
from memory_models.base import MemoryModel

SMALLEST_IMAGE = 36
"""Height and width that `NatureCNN` needs; smaller pixels are read as numbers."""


@dataclasses.dataclass(frozen=True)
class Baseline(Agent):
    """An agent that Stable-Baselines3 trains, on the CPU where torch is concerned.

    Attributes:
        rollout_length: steps per stream and update.
        learning_rate: of Adam, at the start.
        anneal_learning_rate: whether it falls linearly to 0 over the run.
        gamma: discount per step.
        max_gradient_norm: global norm to which gradients are clipped.
        layers: hidden units of each layer of the networks.
    """

    rollout_length: int = 128
    learning_rate: float = 1e-3
    anneal_learning_rate: bool = True
    gamma: float = 0.99
    max_gradient_norm: float = 0.5
    layers: tuple[int, ...] = (64, 64)

    def __post_init__(self) -> None:
        counts = {"num_envs": self.num_envs, "rollout_length": self.rollout_length}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"agent.{name}={value} must be at least 1.")
        for name, low, high in (("learning_rate", 0, math.inf), ("gamma", 0, 1)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"agent.{name}={getattr(self, name)} must be {low} to {high}."
                )
        if self.previous_reward:
            raise ValueError(
                "agent.previous_reward=True: tasks as Stable-Baselines3 sees them do "
                "not observe rewards; leave it out."
            )

    # What Stable-Baselines3 makes of it --------------------------------------------

    @abc.abstractmethod
    def model(self, env: Any, seed: int, *, buffers: bool = True) -> Any:
        """The model of Stable-Baselines3.

        Args:
            env: a `JaxVecEnv` of the task, `num_envs` streams.
            seed: of the run.
            buffers: whether it gets room for experience; to ask how large its networks
                are it needs none.
        """

    @abc.abstractmethod
    def learned(self, model: Any) -> dict[str, float]:
        """What the last update logged, by the tags of docs/metrics.md."""

    def vec_env(self, env: Any, num_envs: int, seed: Any) -> Any:
        """Streams of a task, as this agent sees it."""
        from agents.sb3.vec_env import JaxVecEnv

        return JaxVecEnv(env, num_envs, seed=seed, previous_action=self.previous_action)

    def schedule(self) -> Any:
        """The learning rate, as Stable-Baselines3 takes it."""
        if not self.anneal_learning_rate or self.total_updates is None:
            return self.learning_rate
        return Annealed(self.learning_rate)

    def policy_name(self, kind: str = "") -> str:
        """`MlpPolicy`, `CnnPolicy` or `MultiInputPolicy`, or those of another kind."""
        leaves = observation_keys(self.env.observation_space)
        if list(leaves) != ["observation"] or self.sees_previous_action:
            return f"MultiInput{kind}Policy"
        (space,) = leaves.values()
        shape = space.shape or ()
        pixels = is_image(space) and min(shape[:2]) >= SMALLEST_IMAGE
        return f"{'Cnn' if pixels else 'Mlp'}{kind}Policy"

    # What a run asks of an agent ---------------------------------------------------

    @property
    def steps_per_update(self) -> int:
        """Steps, over all streams, between two updates."""
        return self.num_envs * self.rollout_length

    @property
    def counted(self) -> tuple[str, ...]:
        """Settings whose product is `steps_per_update`."""
        return ("agent.num_envs", "agent.rollout_length")

    def check(self) -> None:
        """Raise ValueError, in one sentence, where the extra is missing."""
        try:
            needs_extra()
        except ModuleNotFoundError as error:
            raise ValueError(str(error)) from None

    def check_networks(self) -> None:
        """Build the networks once; raises ValueError for what they cannot be."""
        _sized(dataclasses.replace(self, total_updates=None))

    def share(self, total: int, axis_name: str) -> Agent:
        """Refused: torch trains on one device."""
        if total == 1:
            return self
        raise ValueError("Stable-Baselines3 trains on one device.")

    def memories(self, features: int, key: Any) -> list[MemoryModel]:
        """The memories in its networks, for their sizes; none by default.

        Args:
            features: that a memory reads.
            key: of its weights, which do not matter here.
        """
        return []

    def build_network(self, key: Any) -> Any:
        """Memories and numbers as many as the networks have, to be counted."""
        with jax.ensure_compile_time_eval():
            features, count = _sized(dataclasses.replace(self, total_updates=None))
        return {"memories": self.memories(features, key), "others": jnp.zeros(count)}

    def footprint(self) -> dict[str, Part]:
        """Parameters with Adam's two moments, the streams, and what is stored."""
        network = jax.eval_shape(self.build_network, jax.eval_shape(jax.random.key, 0))
        key = jax.eval_shape(jax.random.key, 0)
        streams = jax.eval_shape(self.vector_env.reset, key)
        observation = bytes_of(streams[0]) // self.num_envs
        return {
            "parameters": Part(4 * bytes_of(network), "kept", ("agent.layers",)),
            "environments": Part(
                bytes_of(streams), "streams", ("agent.num_envs", "what sizes the task")
            ),
            **self.stored(observation, network["memories"]),
        }

    @abc.abstractmethod
    def stored(self, observation: int, memories: list[Any]) -> dict[str, Part]:
        """Room for experience, part by part.

        Args:
            observation: bytes of one.
            memories: the shapes of `memories`.
        """

    # What only agents of this repository do ----------------------------------------

    def init(self, key: Any, params: Any = None) -> Any:
        """Refused: Stable-Baselines3 trains it, see `model`."""
        raise self._elsewhere()

    def update(self, state: Any) -> Any:
        """Refused, as `init`."""
        raise self._elsewhere()

    def act(
        self,
        params: Any,
        memory_state: Any,
        inputs: Any,
        *,
        key: Any,
        exploration: Any = None,
    ) -> Any:
        """Refused, as `init`."""
        raise self._elsewhere()

    def _elsewhere(self) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__} is trained by Stable-Baselines3: agents.run runs "
            "it, and model(env, seed) is its model."
        )


@dataclasses.dataclass(frozen=True)
class Annealed:
    """A learning rate that falls linearly to 0, which can be pickled."""

    initial: float

    def __call__(self, remaining: float | int) -> float:
        """The rate where this share of the run remains."""
        return self.initial * remaining


@functools.lru_cache(maxsize=64)
def _sized(agent: Baseline) -> tuple[int, int]:
    """Features that a memory reads, and parameters outside of memories."""
    model = agent.model(agent.vec_env(agent.env, 1, 0), 0, buffers=False)
    policy = model.policy
    memories = [getattr(policy, name, None) for name in ("lstm_actor", "lstm_critic")]
    inside = {
        id(p) for memory in memories if memory is not None for p in memory.parameters()
    }
    count = sum(
        p.numel()
        for p in policy.parameters()
        if p.requires_grad and id(p) not in inside
    )
    # A target network is a copy that does not learn.
    target = getattr(policy, "q_net_target", None)
    if target is not None:
        count -= sum(p.numel() for p in target.parameters())
    return int(getattr(policy, "features_dim", 0)), count
