"""Films of a run's first seed, for TensorBoard: always the same episodes."""

import dataclasses
from typing import Any

import jax

from agents.evaluate.film import films_of
from agents.evaluate.policy import Policy
from agents.keys import Use, key_for
from agents.running.configuration.config import Plan
from envs.film import gif

LONGEST = 300
"""Steps after which an episode is cut in the film."""


class Filmer:
    """Films the policy that evaluations play, on the task that they play."""

    def __init__(self, plan: Plan):
        """Prepare; nothing is compiled before the first film."""
        self.settings, self.seed = plan.config["evaluation"], plan.config["seed"]
        self.agent = dataclasses.replace(plan.agent, env=plan.evaluation_env)
        self.policy: Policy | None = None

    def __call__(self, params: Any) -> bytes | None:
        """An animated GIF of some whole episodes; None where none are asked for.

        Args:
            params: of the first seed.
        """
        episodes = self.settings["films"]
        if not episodes:
            return None
        if self.policy is None:
            key = key_for(jax.random.key(self.seed), Use.POLICY)
            exploration = self.settings["exploration"]
            self.policy = Policy(self.agent, params, exploration=exploration, key=key)
        self.policy.params = params
        films = films_of(
            self.policy, seed=self.seed, episodes=episodes, max_steps=LONGEST
        )
        return gif([frames for frames, _ in films])
