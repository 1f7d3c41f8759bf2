"""Compiled programs kept on disk, so that the next start need not compile them.

JAX does the keeping (its persistent compilation cache), keyed by the whole program, the
compiler's version and its options: a program found there is the one that would have
been compiled. This module only says where.
"""

import hashlib
import os
import platform
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import jax

AUTO = "auto"
"""The setting that chooses the user's cache directory."""

MINIMUM_SECONDS = 0.2
"""Programs that compile faster are not worth a file."""

MAXIMUM_BYTES = 2 * 10**9
"""Beyond this the programs that were used least recently are removed."""


def use_compilation_cache(setting: str | None) -> str | None:
    """Let JAX keep compiled programs from now on.

    Whatever is already set in JAX (`JAX_COMPILATION_CACHE_DIR`,
    `JAX_ENABLE_COMPILATION_CACHE`) is left as it is.

    Args:
        setting: a directory, 'auto' for the user's cache directory, None for no cache.

    Returns:
        One sentence if the directory cannot be used, in which case nothing is kept.
    """
    config: Any = jax.config
    if setting is None or not config.jax_enable_compilation_cache:
        return None
    current = config.jax_compilation_cache_dir
    if current is not None and current != _ours.get("directory"):
        return None
    base = user_directory() if setting == AUTO else Path(setting).expanduser()
    directory = base / machine()
    try:
        # Of this user alone: whoever can write here can make us run anything.
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
        remove_oldest(directory, MAXIMUM_BYTES)
    except OSError as error:
        return (
            f"compiled programs are not kept: compilation_cache={setting} cannot be "
            f"written ({error.strerror}: {error.filename})"
        )
    _tell_failures_once(directory)
    if current != str(directory):
        _ours["directory"] = str(directory)
        config.update("jax_compilation_cache_dir", str(directory))
        config.update("jax_persistent_cache_min_compile_time_secs", MINIMUM_SECONDS)
    return None


_ours: dict[str, str] = {}


def _tell_failures_once(directory: Path) -> None:
    """Put one sentence in place of JAX's warnings about programs it cannot keep."""
    shown = warnings.showwarning
    if getattr(shown, "__name__", "") == "told_once":
        return
    told = []

    def told_once(message: Any, *arguments: Any, **keywords: Any) -> None:
        found = _FAILURE.match(str(message))
        if found is None:
            shown(message, *arguments, **keywords)
        elif not told:
            told.append(True)
            print(
                f"note    a compiled program could not be kept or read ({found[1]}); "
                f"where there is room again, remove {directory}.",
                file=sys.stderr,
                flush=True,
            )

    warnings.showwarning = told_once


_FAILURE = re.compile(
    r"Error (?:reading|writing) persistent compilation cache entry for '[^']*': (.*)",
    re.DOTALL,
)


def user_directory() -> Path:
    """`$XDG_CACHE_HOME/engram`, which defaults to `~/.cache/engram`."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "engram"


def machine() -> str:
    """A name for this kind of processor.

    A program compiled for one CPU may use instructions that another lacks, and home
    directories are shared between machines.
    """
    description = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        description += sorted(
            {line for line in lines if line.startswith(("model name", "flags"))}
        )
    except OSError:  # not Linux
        pass
    return hashlib.sha256("\n".join(description).encode()).hexdigest()[:12]


def remove_oldest(directory: Path, limit: int) -> None:
    """Remove the least recently used files until at most `limit` bytes remain."""
    files = []
    for path in directory.iterdir():
        try:
            files.append((path, path.stat()))
        except FileNotFoundError:  # another process removed it
            continue
    excess = sum(status.st_size for _, status in files) - limit
    for path, status in sorted(
        files, key=lambda file: max(file[1].st_atime, file[1].st_mtime)
    ):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= status.st_size
