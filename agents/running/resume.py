"""Going on with a run: which settings may change, and where it stands."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf

import envs
from agents.convert import ConfigError, nearest
from agents.running.records import CONFIG_FILE, flat

MAY_CHANGE = (
    *("total_steps", "log_interval", "checkpoint.interval", "checkpoint.keep"),
    *("device", "num_devices", "compilation_cache", "check"),
    *("distributed.coordinator", "distributed.num_processes", "distributed.process_id"),
)
"""Settings that a resumed run may be given anew."""


def resumed_config(
    directory: str, overrides: Sequence[str], defaults: dict[str, Any]
) -> dict[str, Any]:
    """The configuration of the run in `directory`, with what may change changed.

    Args:
        directory: of the run.
        overrides: the other words of the command line, `name=value`.
        defaults: a whole configuration, for settings younger than the run.

    Raises:
        ConfigError: no run there, or a setting that may not change.
    """
    config = {**defaults, **saved_config(directory), "resume": str(directory)}
    for group in ("checkpoint", "evaluation"):
        config[group] = {**defaults[group], **config[group]}
    config["distributed"] = dict(defaults["distributed"])
    known = {**flat(config), **_choices(config)}
    for word in overrides:
        name, _, text = word.partition("=")
        if name not in known:
            raise ConfigError(
                f"there is no setting {name!r} here.{nearest(name, known)}"
            )
        value = value_of(text)
        if name in MAY_CHANGE:
            group, _, key = name.rpartition(".")
            (config[group] if group else config)[key] = value
        elif value != known[name] and text != str(known[name]):
            raise ConfigError(
                f"{word} cannot change on resume, where the run has "
                f"{name}={known[name]}; only {', '.join(MAY_CHANGE)} can."
            )
    return config


def saved_config(directory: str | Path) -> dict[str, Any]:
    """The configuration that a run was started with.

    Raises:
        ConfigError: there is no run in `directory`.
    """
    path = Path(directory) / CONFIG_FILE
    if not path.is_file():
        runs = [str(p.parent) for p in Path("runs").glob(f"*/*/*/{CONFIG_FILE}")]
        hint = nearest(str(directory), runs)
        raise ConfigError(
            f"{directory} is not the folder of a run: it has no {CONFIG_FILE}.{hint}"
        )
    config = OmegaConf.to_container(OmegaConf.load(path))
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold a run for this process; the system lets go when the process ends.

    Raises:
        ConfigError: another process is at it, or it cannot be written.
    """
    try:
        descriptor = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot be written: {error.strerror} ({error.filename})."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(
            f"{directory} is in use by another process; stop that one first."
        ) from None
    try:
        yield
    finally:
        os.close(descriptor)


def _choices(config: dict[str, Any]) -> dict[str, str]:
    """The choice of every group, as on the command line."""
    id = config["env"].get("id")
    return {
        "env": "custom" if id is None else envs.config_name(id),
        "memory": config["memory"]["name"],
        "agent": config["agent"]["name"],
        "experiment": "default",
    }


def value_of(text: str) -> Any:
    """What `name=text` sets on the command line."""
    value = OverridesParser.create().parse_override(f"name={text}").value()
    return value.text if isinstance(value, QuotedString) else value
