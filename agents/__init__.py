"""Agents: algorithms with swappable memories, and the run loop where all meets."""

from agents.algorithms.dqn import DQN
from agents.algorithms.ppo import PPO
from agents.algorithms.pqn import PQN
from agents.algorithms.sac import SAC
from agents.base import Agent, Extras, Inputs
from agents.convert import ConfigError
from agents.devices import mean_over, sum_over
from agents.evaluate import play_episodes, score, verdict
from agents.load import Policy, load
from agents.registry import make, names, register
from agents.run import run
from agents.running.configuration.config import build
from agents.running.jobs.signals import Stopped
from agents.running.output.results import Result
from agents.running.trainer import RunError
from envs._siblings import check_siblings

__all__ = [
    "DQN",
    "PPO",
    "PQN",
    "SAC",
    "Agent",
    "ConfigError",
    "Extras",
    "Inputs",
    "Policy",
    "Result",
    "RunError",
    "Stopped",
    "build",
    "load",
    "make",
    "mean_over",
    "names",
    "play_episodes",
    "register",
    "run",
    "score",
    "sum_over",
    "verdict",
]

check_siblings(__file__, ("envs", "memory_models"))
