"""A trained policy, ready to act: parameters and `act`, without the training state."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from agents.convert import ConfigError
from agents.evaluate.policy import Policy
from agents.keys import Use, key_for
from agents.running.configuration.config import Plan, build
from agents.running.files.resume import resumed_config
from agents.running.overrides import compose_config
from agents.running.trained import restore


def load(
    run: str | Path, *, seed: int | None = None, exploration: float | None = 0.0
) -> Policy:
    """The policy of a run's newest checkpoint.

    Args:
        run: the run's folder.
        seed: which of its seeds; None takes the only one.
        exploration: passed to `act`: 0.0 acts greedily, None as in training.

    Raises:
        ConfigError: no run or no checkpoint there, or it has no such seed.
    """
    plan = load_plan(run)
    trained = restore(run, plan, seed)
    if len(trained.seeds) > 1:
        raise ConfigError(
            f"{run} holds the seeds {trained.seeds[0]} to {trained.seeds[-1]}; name "
            "one of them: seed=."
        )
    one = jax.tree.map(lambda x: x[0], trained.params)
    key = key_for(jax.random.key(trained.seeds[0]), Use.POLICY)
    return Policy(plan.agent, one, exploration=exploration, key=key)


def load_plan(run: str | Path) -> Plan:
    """Task and agent of a run, rebuilt from its configuration.

    Raises:
        ConfigError: no run there, or one that Stable-Baselines3 trained.
    """
    config = resumed_config(str(run), (), compose_config)
    baseline = baseline_of(config)
    if baseline is not None:
        raise ConfigError(
            f"{run} was trained by Stable-Baselines3 (agent={baseline}), whose runs "
            "keep no checkpoint that could be loaded here; python -m analysis compare "
            "takes such runs, and `load` of Stable-Baselines3 their "
            "seed_<n>/model.zip."
        )
    return build({**config, "check": False})  # it has trained


def baseline_of(config: Mapping[str, Any]) -> str | None:
    """The name of the agent of Stable-Baselines3 that a run trained, if it did."""
    name = str(config["agent"].get("name"))
    return name if name.startswith("sb3_") else None
