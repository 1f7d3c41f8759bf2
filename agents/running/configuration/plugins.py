"""Modules of a user's own: found from the current folder, and imported to register.

A package whose import registers tasks, memories or agents makes their names choices of
the command line: named in `plugins`, or by an entry point of the group `engram` once it
is installed.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterable
from types import ModuleType

from agents.convert import ConfigError

ENTRY_POINTS = "engram"
"""The group of entry points; each names a module whose import registers."""


def load_plugins(names: Iterable[str] = ()) -> None:
    """Import the modules in `names`, after those that entry points name.

    Raises:
        ConfigError: one of them cannot be imported.
    """
    _load_entry_points()
    for name in names:
        import_own(name, f"plugins=[{name}]")


@functools.cache
def _load_entry_points() -> None:
    """Once per process: what is installed does not change while it runs."""
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        owner = entry.dist.name if entry.dist else "a package"
        import_own(entry.module, f"the entry point {entry.name!r} of {owner}")


def import_own(name: str, told: str) -> ModuleType:
    """Import a module by name, from the current folder too, as `python -m` would.

    The folder comes last, so that nothing in it takes the place of what is installed.

    Args:
        name: of the module, with dots.
        told: where the name stands, for the message.

    Raises:
        ConfigError: it cannot be imported; the message says why.
    """
    with contextlib.suppress(OSError):  # the folder may be gone
        if not {"", os.getcwd()} & set(sys.path):
            sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except Exception as error:  # a module of the user's may fail in any way
        reason = (str(error).splitlines() or ["no reason given"])[0].rstrip(".")
        raise ConfigError(
            f"{told} cannot be imported: {type(error).__name__}: {reason}."
        ) from error
