"""Compiled programs kept between runs, so that a second start need not compile."""

import hashlib
import os
import platform
from pathlib import Path

import jax

from agents.convert import ConfigError

_SHORTEST = 0.3
"""Seconds of compiling below which a program is not kept."""


def use_compilation_cache(setting: str | None) -> None:
    """Make JAX keep what it compiles.

    Args:
        setting: a folder; 'auto' for one in the user's cache folder
            (`$XDG_CACHE_HOME/engram` or `~/.cache/engram`); None for nothing. A folder
            that JAX was already told of (`JAX_COMPILATION_CACHE_DIR`) is left alone.

    Raises:
        ConfigError: a folder that was asked for cannot be written.
    """
    if jax.config.jax_compilation_cache_dir is not None or setting is None:
        return
    folder = _own_folder() if setting == "auto" else Path(setting)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        if setting == "auto":  # nobody asked for it, and all works without
            return
        raise ConfigError(
            f"compilation_cache={setting} cannot be written; name another folder, or "
            "null for none."
        )
    jax.config.update("jax_compilation_cache_dir", str(folder.absolute()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST)


def _own_folder() -> Path:
    """A folder per kind of processor: homes are shared, machine code is not."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(_processor().encode()).hexdigest()[:8]
    return Path(base) / "engram" / f"jax-{jax.__version__}-{digest}"


def _processor() -> str:
    """What this machine's processor can do."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = {line for line in lines if line.startswith(("model name", "flags"))}
    return "\n".join([platform.machine(), platform.processor(), *sorted(told)])
