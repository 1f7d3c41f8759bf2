"""Completion of `train.py` by the shell: Hydra's own, asked before JAX is imported.

    eval "$(python train.py --shell-completion install=bash)"

The shell then asks with the line in `COMP_LINE`. What the files of `configs/` know is
answered in a quarter of a second. Names that have no file (numbered tasks, names from
plugins) are registered by packages that import JAX, so those are imported only where
such a name is, or may be, on the line.
"""

import importlib.metadata
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from command_line.words import nearest

FLAGS = ("--shell-completion", "-sc")
ACTIONS = ("install", "uninstall", "query")
SHELLS = ("bash", "zsh", "fish")

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
_GROUPS = ("env", "memory", "agent")


def complete(arguments: Sequence[str]) -> bool:
    """Answer the shell, if it is the shell that asks.

    Args:
        arguments: the words after `train.py`, those of this process.

    Returns:
        Whether it was: there is nothing else to do then.
    """
    flag, _, joined = arguments[0].partition("=") if arguments else ("", "", "")
    if flag not in FLAGS:
        return False
    asked_for = joined or " ".join(arguments[1:])
    _check(asked_for)
    sys.argv[1:] = [flag, asked_for]
    line = os.environ.get("COMP_LINE", "")
    if needs_registered(line):
        _register(line)
    import hydra

    @hydra.main(config_path=str(CONFIGS), config_name="config", version_base="1.3")
    def asked(_: object) -> None:
        """Never reached: Hydra answers and is done."""

    asked()
    return True


def _check(asked: str) -> None:
    """Refuse what Hydra would answer with a traceback, in one sentence."""
    known = [f"{action}={shell}" for action in ACTIONS for shell in SHELLS]
    if asked not in known:
        hint = nearest(asked, known) if asked else ""
        print(
            f"error: --shell-completion {asked or 'alone'} installs nothing: write "
            f"install= or uninstall= and one of {', '.join(SHELLS)} after it.{hint}",
            file=sys.stderr,
        )
        sys.exit(2)


def needs_registered(line: str) -> bool:
    """Whether completing a line takes names that have no file in `configs/`.

    Args:
        line: the command line so far.
    """
    words = line.split()
    unfinished = words[-1:] if not line.endswith(" ") else []
    extended = _is_extended(words)
    for word in words:
        group, equals, choice = word.partition("=")
        if group not in _GROUPS or not equals:
            continue
        has_file = (CONFIGS / group / f"{choice}.yaml").exists()
        if [word] == unfinished and (group == "env" or extended):
            return True
        if [word] != unfinished and not has_file:
            return True
    return False


def _is_extended(words: Sequence[str]) -> bool:
    """Whether packages of the user's own may add names."""
    named = any(word.startswith("plugins=") for word in words)
    return named or bool(importlib.metadata.entry_points(group="engram"))


def _register(line: str) -> None:
    """Make every registered name a choice, those of plugins on the line included."""
    from agents.convert import ConfigError
    from agents.running.configuration.choices import store_registered
    from agents.running.configuration.plugins import load_plugins

    named = [x.partition("=")[2] for x in line.split() if x.startswith("plugins=")]
    try:
        load_plugins(name for text in named for name in text.strip("[]").split(","))
    except ConfigError:
        return  # half a name: the shell has nowhere to show a mistake
    store_registered()
