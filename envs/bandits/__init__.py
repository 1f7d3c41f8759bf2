"""Sources and bandits whose odds change without a sign, several times an episode."""

from typing import Any

from envs.bandits.switching_bandit import SwitchingBandit
from envs.bandits.switching_bernoulli import SwitchingBernoulli
from envs.base import Environment

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "SwitchingBernoulli-v0": (SwitchingBernoulli, {}),
    "SwitchingBandit-v0": (SwitchingBandit, {}),
}
