"""DQN of Stable-Baselines3, as an agent of a run."""

import dataclasses
from typing import Any

from gymnasium.spaces import Discrete

from agents.footprint import Part
from agents.sb3.baseline import Baseline


@dataclasses.dataclass(frozen=True)
class SB3DQN(Baseline):
    """DQN of Stable-Baselines3, without a memory.

    Attributes:
        replay_size: steps kept, over all streams.
        learning_starts: steps, over all streams, before the first gradient.
        gradient_steps: steps of the optimiser per update.
        batch_size: steps per step of the optimiser.
        target_period: steps, over all streams, between copies to the target network.
        target_rate: share by which the target network follows at each copy.
        exploration_share: share of the run over which epsilon falls from 1.
        exploration_last: epsilon afterwards.
    """

    num_envs: int = 16
    rollout_length: int = 16
    learning_rate: float = 1e-4
    anneal_learning_rate: bool = False
    max_gradient_norm: float = 10.0
    replay_size: int = 200_000
    learning_starts: int = 5_000
    gradient_steps: int = 16
    batch_size: int = 64
    target_period: int = 10_000
    target_rate: float = 1.0
    exploration_share: float = 0.1
    exploration_last: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("replay_size", "gradient_steps", "batch_size", "target_period"):
            if getattr(self, name) < 1:
                value = getattr(self, name)
                raise ValueError(f"agent.{name}={value} must be at least 1.")

    def check(self) -> None:
        """Raise ValueError for actions that cannot be listed, or a missing extra."""
        super().check()
        if not isinstance(self.env.action_space, Discrete):
            raise ValueError(
                f"agent.name=sb3_dqn with {self.env.action_space}: DQN of "
                "Stable-Baselines3 needs one discrete action."
            )

    def describe(self) -> str:
        """How an update is made, in half a line."""
        return (
            f"{self.num_envs} environments x {self.rollout_length} steps, "
            f"{self.gradient_steps} gradient steps x {self.batch_size}, by "
            "Stable-Baselines3"
        )

    @property
    def optimizer_steps(self) -> int:
        """Steps of the optimiser that one update takes."""
        return self.gradient_steps

    def model(self, env: Any, seed: int, *, buffers: bool = True) -> Any:
        """`stable_baselines3.DQN`."""
        from stable_baselines3 import DQN

        return DQN(
            self.policy_name(),
            env,
            learning_rate=self.schedule(),
            buffer_size=self.replay_size if buffers else env.num_envs,
            learning_starts=self.learning_starts,
            batch_size=self.batch_size,
            tau=self.target_rate,
            gamma=self.gamma,
            train_freq=self.rollout_length,
            gradient_steps=self.gradient_steps,
            target_update_interval=self.target_period,
            exploration_fraction=self.exploration_share,
            exploration_final_eps=self.exploration_last,
            max_grad_norm=self.max_gradient_norm,
            policy_kwargs={"net_arch": list(self.layers)},
            seed=seed,
            device="cpu",
        )

    def learned(self, model: Any) -> dict[str, float]:
        """The loss of the update, where there was one, and epsilon."""
        logged = model.logger.name_to_value
        found = {"exploration/epsilon": float(model.exploration_rate)}
        if "train/loss" in logged:
            found["loss/total"] = float(logged["train/loss"])
        return found

    def stored(self, observation: int, memories: list[Any]) -> dict[str, Part]:
        """The replay: of every step what was seen and what followed."""
        size = self.replay_size * (2 * observation + 20)
        return {"replay": Part(size, "experience", ("agent.replay_size",))}
