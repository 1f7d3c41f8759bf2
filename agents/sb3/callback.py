"""What a run hears of Stable-Baselines3 after each of its updates."""

from collections.abc import Callable
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback


class UpdateCallback(BaseCallback):
    """Calls `updated(model, episodes)` once an update is complete.

    Stable-Baselines3 tells where a rollout begins; the update of the one before is
    complete there.
    """

    def __init__(
        self,
        updated: Callable[[Any, dict[str, float]], bool],
        stopping: Callable[[], bool],
    ):
        """Prepare.

        Args:
            updated: gets the model and what the training episodes of the update came
                to, by the tags of docs/metrics.md; False ends the learning.
            stopping: whether to end it within a rollout.
        """
        super().__init__()
        self._updated, self._stopping = updated, stopping
        self._goes_on, self._rollouts = True, 0
        self._episodes: list[dict[str, Any]] = []

    def _on_rollout_start(self) -> None:
        if self._rollouts:
            self._tell()
        self._rollouts += 1

    def _on_step(self) -> bool:
        dones, infos = self.locals["dones"], self.locals["infos"]
        self._episodes += [infos[i] for i in np.flatnonzero(dones)]
        return self._goes_on and not self._stopping()

    def _on_training_end(self) -> None:
        if self._goes_on and not self._stopping():
            self._tell()

    def _tell(self) -> None:
        ended, self._episodes = self._episodes, []

        def mean(values: list[Any]) -> float:
            return float(np.mean(values)) if values else float("nan")

        told = {
            "train/return": mean([info["episode"]["r"] for info in ended]),
            "train/episode_length": mean([info["episode"]["l"] for info in ended]),
            "train/episodes": float(len(ended)),
        }
        successes = [info["is_success"] for info in ended if "is_success" in info]
        if successes:
            told["train/success"] = mean(successes)
        self._goes_on = self._updated(self.model, told)
