"""Which runs an agent of Stable-Baselines3 can have."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import envs
from agents.convert import ConfigError
from agents.running.configuration.host_tasks import check_one_device
from agents.sb3.baseline import Baseline
from agents.sb3.memories import NamedMemory, OwnLSTM
from agents.sb3.on_policy import SB3RecurrentPPO
from memory_models import registry as memory_registry


def check_baseline(
    agent: Baseline, settings: Mapping[str, Any], memory: NamedMemory
) -> Baseline:
    """The agent as it is run, with its memory chosen.

    Args:
        agent: as the configuration names it.
        settings: the whole configuration.
        memory: that it names.

    Raises:
        ConfigError: a memory or a setting that it cannot have.
    """
    name = settings["agent"]["name"]
    _check_run(name, agent, settings)
    if not isinstance(agent, SB3RecurrentPPO):
        if memory.name != "none":
            raise ConfigError(
                f"agent={name} has no memory, so memory={memory.name} would do "
                "nothing; use memory=none, or agent=sb3_recurrent_ppo."
            )
        return _with_networks(agent)
    if agent.raw_keys:
        raise ConfigError(
            f"memory.raw_keys={list(agent.raw_keys)}: the features of "
            "Stable-Baselines3 do not say which observation key they come from; leave "
            "it out."
        )
    own, is_lstm = agent.own_lstm, memory.registered and memory.name == "lstm"
    if own and not is_lstm:
        raise ConfigError(
            f"agent.own_lstm=true with memory={memory.name}: sb3-contrib's own memory "
            "is an LSTM; use memory=lstm, or leave it out."
        )
    chosen = _own_lstm(memory) if is_lstm and own is not False else memory
    return _with_networks(dataclasses.replace(agent, memory=chosen))


def _with_networks(agent: Baseline) -> Baseline:
    """The agent, whose networks can be built."""
    try:
        agent.check_networks()
    except (AssertionError, NotImplementedError, ValueError) as error:
        raise ConfigError(f"Stable-Baselines3 refuses: {error}") from error
    return agent


def _own_lstm(memory: NamedMemory) -> OwnLSTM:
    """The LSTM of sb3-contrib of the size that a memory has."""
    given = dict(memory.options)
    differ = {
        key: given[key]
        for key, option in memory_registry.options_of(memory.target).items()
        if key != "num_layers" and given.get(key, option.default) != option.default
    }
    if differ:
        told = ", ".join(f"memory.{key}={value}" for key, value in differ.items())
        raise ConfigError(
            f"{told}: sb3-contrib's own LSTM has no such option; leave it out, or take "
            "ours with agent.own_lstm=false."
        )
    return OwnLSTM(memory.output_size, given.get("num_layers", 1))


def _check_run(name: str, agent: Baseline, settings: Mapping[str, Any]) -> None:
    if isinstance(agent.env, envs.HostTask):
        raise ConfigError(
            f"agent={name} with a numpy environment needs nothing of this repository: "
            "train it with Stable-Baselines3 itself."
        )
    for key in ("resume", "start_from"):
        if settings[key] is not None:
            raise ConfigError(
                f"{key}={settings[key]}: agent={name} keeps no checkpoints, only the "
                "models that it ends with, seed_<n>/model.zip, for `load` of "
                "Stable-Baselines3."
            )
    check_one_device(settings, f"agent={name} trains")
    films = settings["evaluation"]["films"]
    if films:
        raise ConfigError(
            f"evaluation.films={films}: agent={name} is not filmed; leave it out."
        )
