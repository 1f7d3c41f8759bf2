"""What runs are called: task, memory and agent, and whatever differs from the defaults.

Names are made of words that a shell and Hydra take as they are, such as
`tmaze+env.length=10` and `ffm-ppo+agent.learning_rate=0.0003`.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import envs
from agents.convert import ConfigError
from agents.running.configuration.config import reconstructing
from agents.running.files.records import flat
from agents.running.files.resume import choices_of
from agents.running.overrides import compose_config

WITHOUT_EFFECT = (
    *("run_directory", "resume", "device", "num_devices", "compilation_cache"),
    *("check", "log_interval", "plugins", "distributed.", "checkpoint."),
)
"""Settings, or the beginnings of some, that change no result."""

UNTOLD = (
    *WITHOUT_EFFECT,
    *("env.id", "env.target", "memory.name", "memory.target"),
    *("agent.name", "agent.target"),
)
"""Settings that change no result or are told by a name."""

OF_TASK = ("env.", "partial.", "evaluation.env.")
"""Beginnings of the settings that say which task is played."""

NOT_OF_MODEL = (*OF_TASK, "seed", "num_seeds", "evaluation.")
"""Beginnings of the settings that do not say what learns, or how."""

LONGEST = 120
"""Characters of a name; what is longer ends in a hash of itself."""

LABELLED = ("evaluation/", "train/", "comparison/")
"""Beginnings of the tags that are of one task, and carry its name."""


def task_name(config: Mapping[str, Any]) -> str:
    """Of the task that is evaluated, with its settings that differ from the defaults.

    Args:
        config: the resolved configuration of a run.
    """
    settings = differing(config)
    env = config["env"]
    own = str(env["id"] if "id" in env else env["target"])
    return _name(
        envs.config_name(own),
        {key: x for key, x in settings.items() if key.startswith(OF_TASK)},
    )


def model_name(config: Mapping[str, Any]) -> str:
    """Of memory and agent, with the settings of training that differ."""
    settings = differing(config)
    own = [config[group] for group in ("memory", "agent")]
    names = [str(group.get("name") or group["target"]) for group in own]
    return _name(
        "-".join(names),
        {key: x for key, x in settings.items() if not key.startswith(NOT_OF_MODEL)},
    )


def run_folder(config: Mapping[str, Any]) -> Path:
    """Where a run belongs, below which its time has a folder."""
    return Path(config["run_directory"]) / task_name(config) / model_name(config)


def fingerprint(config: Mapping[str, Any]) -> str:
    """Twelve digits of a hash of every setting that can change a result.

    Args:
        config: the resolved configuration of a run.
    """
    settings = {
        name: value
        for name, value in flat(config).items()
        if not name.startswith(WITHOUT_EFFECT)
    }
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def tag_of(tag: str, task: str) -> str:
    """The tag as it is written: `evaluation/return` of a task `evaluation/task/return`.

    Args:
        tag: of docs/metrics.md.
        task: its name.
    """
    if not tag.startswith(LABELLED):
        return tag
    group, _, rest = tag.partition("/")
    return f"{group}/{task}/{rest}"


def differing(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, `{"env.length": 10}`, that are not those of the chosen groups."""
    try:
        chosen = choices_of(config, "the configuration")
        plugins = f"plugins=[{','.join(config.get('plugins') or ())}]"
        words = [f"{group}={name}" for group, name in chosen.items()]
        default = _defaults((*words, plugins))
    except ConfigError:  # a choice that is here no more, such as one of a plugin
        default = {}
    return {
        name: Path(value).name if name == "start_from" and value else value
        for name, value in _resolved(config).items()
        if not name.startswith(UNTOLD)
        and not (name in default and _same(value, default[name]))
    }


@functools.cache
def _defaults(words: tuple[str, ...]) -> dict[str, Any]:
    return _resolved(compose_config(words))


def _resolved(config: Mapping[str, Any]) -> dict[str, Any]:
    """Flat, with the setting of the agent that follows the memory's."""
    agent = reconstructing(config["agent"], config["memory"])
    return flat({**config, "agent": agent})


def _name(first: str, settings: Mapping[str, Any]) -> str:
    """A name for a folder, of bounded length."""
    parts = [f"{key}={_text(value)}" for key, value in sorted(settings.items())]
    name = "+".join(re.sub(r"[^\w.=-]", "_", part) for part in [first, *parts])
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9]}+{digest}"


def _same(value: Any, default: Any) -> bool:
    """Whether two settings are equal, be they lists or tuples."""
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return list(value) == list(default)
    return value == default


def _text(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        short = f"{value:g}".replace("e+0", "e").replace("e+", "e")
        return short if float(short) == value else str(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return "-".join(map(_text, value))
    return str(value)
