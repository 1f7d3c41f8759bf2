"""What a run leaves beside its event files: where it was, and what it ran on."""

import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from omegaconf import OmegaConf

from agents.convert import ConfigError
from agents.running.configuration.config import Plan

CONFIG_FILE = "config.yaml"


def make_run_directory(plan: Plan, parent: Path, name: str | None = None) -> Path:
    """Make a folder with configuration and versions.

    Args:
        plan: what is run.
        parent: of the folder.
        name: of the folder, the time by default. One that is a run already stays as it
            is.

    Raises:
        ConfigError: it cannot be written.
    """
    if name is not None and (parent / name / CONFIG_FILE).is_file():
        return parent / name
    stem = time.strftime("%Y%m%d-%H%M%S")
    directory, number = parent / (name or stem), 1
    while name is None and directory.exists():  # another run, begun in this second
        number += 1
        directory = parent / f"{stem}-{number}"
    known = directory.exists()  # without settings: interrupted before it began
    try:
        directory.mkdir(parents=True, exist_ok=known)
        write_records(plan, directory)
    except OSError as error:
        if not known:
            shutil.rmtree(directory, ignore_errors=True)  # half a folder is no run
        raise ConfigError(
            f"run_directory={plan.config['run_directory']} cannot be written: "
            f"{error.strerror} ({error.filename or directory}); nothing was begun."
        ) from error
    return directory


def write_records(plan: Plan, directory: Path) -> None:
    """Write configuration and versions; each file appears whole or not at all."""
    files = {
        "versions.json": json.dumps(versions(), indent=2) + "\n",
        CONFIG_FILE: _yaml(plan),  # last: it is what makes a folder a run
    }
    for name, text in files.items():
        write_whole(directory / name, text)


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        OSError: it cannot be written; one that was there before is as it was.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def _yaml(plan: Plan) -> str:
    config = {**plan.config, "resume": None}
    return OmegaConf.to_yaml(OmegaConf.create(config), sort_keys=True)


def versions() -> dict[str, Any]:
    """What this run ran on: packages, commit, device, command line."""
    packages = ("engram-rl", "jax", "jaxlib", "equinox", "optax", "gymnasium", "numpy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: importlib.metadata.version(name) for name in packages},
        "commit": _commit(),
        "devices": [str(device) for device in jax.devices()],
        "command": sys.argv,
    }


def _commit() -> str | None:
    """The commit of this checkout, None outside one or without git."""
    if shutil.which("git") is None:
        return None
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None


def peak_bytes() -> int:
    """Peak memory so far: of the accelerator, or of this process on CPU."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "peak_bytes_in_use" in statistics:
        return statistics["peak_bytes_in_use"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def available_bytes() -> int | None:
    """Memory to be had: of the accelerator, or free on this machine and allowed to us.

    None where the system tells neither.
    """
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    limits = [_free_bytes(), *_group_limits()]
    return min((limit for limit in limits if limit), default=None)


def _free_bytes() -> int | None:
    """Free and reclaimable memory on Linux; elsewhere all there is, where known."""
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _group_limits() -> list[int]:
    """Limits of the control group (containers, batch systems), versions 2 and 1."""
    own = [
        line.rsplit(":", 1)[1].strip("/")
        for line in _read("/proc/self/cgroup").splitlines()
        if ":" in line
    ]
    files = [f"/sys/fs/cgroup/{group}/memory.max" for group in {"", *own}]
    files += [
        f"/sys/fs/cgroup/memory/{group}/memory.limit_in_bytes" for group in {"", *own}
    ]
    return [int(text) for text in map(_read, files) if text.strip().isdigit()]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested mapping as `{"a.b": value}`."""
    result = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = value
    return result
