"""Several processes, one run: how they find each other, and who writes.

Every process runs the same program; the first one alone prints and writes. All of
this must happen before JAX looks for devices.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from agents.convert import ConfigError, convert, convert_all
from agents.running.jobs.clusters import local_devices

SETTINGS: dict[str, Any] = {
    "coordinator": str | None,
    "num_processes": int | None,
    "process_id": int | None,
}
"""Settings under `distributed`, and their types."""

AUTO = "auto"
"""The coordinator that a batch system names."""

_PATH_BYTES = 4096


def start(configs: Sequence[Mapping[str, Any]]) -> None:
    """Prepare this process for the runs of some configurations.

    Makes as many CPU devices as any of them asks for, and joins the other processes.

    Raises:
        ConfigError: settings that contradict each other, or JAX is already in use.
    """
    groups = [check(config) for config in configs]
    if any(group != groups[0] for group in groups):
        raise ConfigError(
            "the jobs of a sweep share a process: choose one value for each of the "
            "distributed settings."
        )
    _make_cpu_devices(
        convert(config.get("num_devices"), int | None, "num_devices")
        for config in configs
    )
    coordinator = groups[0]["coordinator"]
    if coordinator is None or jax.distributed.is_initialized():
        return
    if coordinator == AUTO:
        _join_cluster()
    else:
        _join(**groups[0])


def check(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the group `distributed`, all of them or none.

    Raises:
        ConfigError: some are missing or out of range.
    """
    given = convert_all(config.get("distributed") or {}, SETTINGS, "distributed")
    settings: dict[str, Any] = {name: given.get(name) for name in SETTINGS}
    named = [name for name, value in settings.items() if value is not None]
    if settings["coordinator"] == AUTO:
        if len(named) > 1:
            raise ConfigError(
                f"distributed.{named[1]} is found out with coordinator=auto; leave it "
                "away."
            )
        return settings
    if named and len(named) < len(SETTINGS):
        missing = next(name for name in SETTINGS if name not in named)
        raise ConfigError(
            f"distributed.{named[0]} needs distributed.{missing} as well; set all of "
            f"{', '.join(SETTINGS)}, or none."
        )
    if not named:
        return settings
    if not re.fullmatch(r".+:\d+", settings["coordinator"]):
        raise ConfigError(
            f"distributed.coordinator={settings['coordinator']!r} must be the first "
            "process's host:port, such as localhost:1234."
        )
    count, number = settings["num_processes"], settings["process_id"]
    if count < 1:
        raise ConfigError(f"distributed.num_processes={count} must be at least 1.")
    if not 0 <= number < count:
        raise ConfigError(
            f"distributed.process_id={number} must be in 0 to {count - 1}, since "
            f"distributed.num_processes={count}."
        )
    return settings


def _make_cpu_devices(counts: Any) -> None:
    """Split the CPU into as many devices as the largest of `counts` asks for.

    Leaves a number alone that the environment sets (XLA_FLAGS), or that JAX already
    uses; `choose_devices` says so if it is too small.
    """
    wanted = max((n for n in counts if n is not None), default=1)
    flags = os.environ.get("XLA_FLAGS", "")
    if wanted > 1 and "xla_force_host_platform_device_count" not in flags:
        try:
            jax.config.update("jax_num_cpu_devices", wanted)
        except RuntimeError:  # JAX is running
            return


def _join(coordinator: str, num_processes: int, process_id: int) -> None:
    """Wait for the other processes (`jax.distributed`)."""
    try:
        jax.distributed.initialize(coordinator, num_processes, process_id)
    except RuntimeError as error:
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".")
        raise ConfigError(
            f"distributed.coordinator={coordinator}: process {process_id} cannot join "
            f"({reason}); start {num_processes} fresh processes."
        ) from error


def _join_cluster() -> None:
    """Wait for the other processes that a batch system has started."""
    try:
        jax.distributed.initialize(local_device_ids=local_devices())
    except ValueError as error:  # JAX found none
        raise ConfigError(
            "distributed.coordinator=auto finds neither SLURM (start it with srun) nor "
            f"OpenMPI nor Kubernetes here ({str(error).rstrip('.')}); set all of "
            f"{', '.join(SETTINGS)}."
        ) from error
    except RuntimeError as error:
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".")
        raise ConfigError(
            f"distributed.coordinator=auto: this process cannot join ({reason})."
        ) from error


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return jax.process_index() == 0


def first_makes(make: Callable[[], Path]) -> Path:
    """Let the first process make a directory; every process gets its path.

    Raises:
        ConfigError: it could not.
    """
    if jax.process_count() == 1:
        return make()
    path = ""
    try:
        if is_first():
            path = str(make())
    finally:  # also when it failed, or the others would wait for ever
        text = np.zeros(_PATH_BYTES, np.uint8)
        encoded = np.frombuffer(path.encode(), np.uint8)[:_PATH_BYTES]
        text[: len(encoded)] = encoded
        shared = multihost_utils.broadcast_one_to_all(text)
    path = np.asarray(shared).tobytes().rstrip(b"\0").decode()
    if not path:
        raise ConfigError("the first process could not begin the run; see its message.")
    return Path(path)


def agree(units: int, stop: int | None) -> tuple[int, int | None]:
    """What all processes do next, so that none waits for another for ever.

    Args:
        units: updates that this process would make in its next call.
        stop: number of a signal that this process got, None without one.

    Returns:
        What the first process would make, and a signal that any of them got.
    """
    if jax.process_count() == 1:
        return units, stop
    mine = np.asarray([units, -1 if stop is None else stop], np.int32)
    everyone = np.asarray(multihost_utils.process_allgather(mine))
    signal = int(everyone[:, 1].max())
    return int(everyone[0, 0]), None if signal < 0 else signal
