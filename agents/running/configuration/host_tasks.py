"""Numpy environments in a configuration: `env=gymnasium`, and classes of one's own."""

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium

import envs
from agents.base import Agent
from agents.convert import ConfigError, convert
from envs.host.task import Vectorization


def names_gymnasium(group: Mapping[str, Any]) -> bool:
    """Whether an `env` group is that of `env=gymnasium`."""
    return "make" in group and "target" not in group


def is_numpy(target: Any) -> bool:
    """Whether a class of one's own, or a function that makes one, is numpy's."""
    if inspect.isclass(target):
        return issubclass(target, gymnasium.Env)
    return inspect.isfunction(target)


def host_task(
    group: Mapping[str, Any], arguments: Mapping[str, Any] | None, prefix: str
) -> envs.HostTask:
    """The task of an `env` group.

    Args:
        group: with the settings of `configs/env/gymnasium.yaml`, or with a `target`.
        arguments: passed to whatever makes an environment.
        prefix: what messages call the group.
    """
    own = "target" in group
    name = "target" if own else "id"
    try:
        return envs.HostTask(
            id=convert(group[name], str, f"{prefix}.{name}"),
            arguments=dict(arguments or {}),
            own=own,
            **_settings(group, prefix),
        )
    except ValueError as error:
        raise ConfigError(f"{prefix}: {error}") from error


def _settings(group: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    types = {"vectorization": Vectorization, "step_timeout": float | None}
    defaults = {"vectorization": "sync", "step_timeout": None}
    return {
        name: convert(group.get(name, defaults[name]), annotation, f"{prefix}.{name}")
        for name, annotation in types.items()
    }


def check_compiled(group: Mapping[str, Any], prefix: str) -> None:
    """Refuse settings of numpy environments for a class that is compiled."""
    for name, default in (("vectorization", "sync"), ("step_timeout", None)):
        if group.get(name, default) != default:
            raise ConfigError(
                f"{prefix}.{name}={group[name]} is for numpy environments, and "
                f"{group['target']} is compiled; leave it out."
            )


def check_one_device(settings: Mapping[str, Any], who: str) -> None:
    """Refuse several devices or processes.

    Args:
        settings: the whole configuration.
        who: has but one of each, such as 'agent=sb3_ppo trains'.

    Raises:
        ConfigError: the settings ask for more.
    """
    if (settings["num_devices"] or 1) > 1:
        raise ConfigError(
            f"num_devices={settings['num_devices']}: {who} on one device; leave it out."
        )
    distributed = settings["distributed"]
    for name in ("num_processes", "coordinator"):  # auto says no number
        if distributed[name]:
            raise ConfigError(
                f"distributed.{name}={distributed[name]}: {who} in one process; leave "
                "it out."
            )


def check_host_run(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run on numpy environments, which has one device.

    Raises:
        ConfigError: a setting that such a run cannot have.
    """
    why = "environments on the host"
    if settings["num_seeds"] > 1:
        raise ConfigError(
            f"num_seeds={settings['num_seeds']}: seeds with {why} do not train in one "
            "program; start separate runs, for example -m seed=0,1,2."
        )
    check_one_device(settings, f"an agent with {why} learns")
    if settings["evaluation"].get("env"):
        raise ConfigError(
            f"evaluation.env={settings['evaluation']['env']} is for compiled tasks; "
            f"{why} are evaluated as they are trained on."
        )
    partial = settings["partial"]
    hidden = {name: partial[name] for name in partial if partial[name]}
    if hidden:
        raise ConfigError(
            f"partial={hidden} is for compiled tasks; hide parts of {why} with a "
            "wrapper of Gymnasium."
        )
    return {**settings, "num_devices": 1}


def check_host_agent(agent: Agent, name: str) -> None:
    """Refuse agents and settings that cannot learn from environments on the host.

    Raises:
        ConfigError: it cannot.
    """
    if not agent.learns_from_rollouts:
        raise ConfigError(
            f"agent={name} has only update, which compiles its environments; give it "
            "gathering and learn_from (docs/host_environments.md) to learn from "
            "environments on the host."
        )
    if getattr(agent, "staggered_starts", False):
        raise ConfigError(
            "agent.staggered_starts=True is for compiled tasks: environments on the "
            "host cannot be stepped one by one; set agent.staggered_starts=false."
        )
