"""Words of a command line: how mistakes in them are told."""

import argparse
import difflib
from collections.abc import Iterable
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one sentence, as `train.py` does; flags stand in full."""

    def __init__(self, prog: str, about: str | None):
        """Begin.

        Args:
            prog: the command, such as `python -m envs`.
            about: text of `--help`, shown as it is.
        """
        super().__init__(
            prog=prog,
            description=about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """End with the sentence, and where help is."""
        self.exit(2, f"error: {message}; see {self.prog} --help.\n")


def nearest(name: str, known: Iterable[str]) -> str:
    """' Did you mean ...?' with the nearest known name, in any case, or nothing."""
    folded = {candidate.lower(): candidate for candidate in known}
    matches = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.0)
    return f" Did you mean {folded[matches[0]]!r}?" if matches else ""
