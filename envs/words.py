"""Words of a command line: what values mean, and how mistakes are told."""

import argparse
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one sentence, as `train.py` does."""

    def error(self, message: str) -> NoReturn:
        """End with the sentence, and where help is."""
        self.exit(2, f"error: {message}; see {self.prog} --help.\n")


def value_of(text: str) -> Any:
    """What `name=text` sets on the command line."""
    value = OverridesParser.create().parse_override(f"name={text}").value()
    return _unquoted(value)


def _unquoted(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list):
        return [_unquoted(item) for item in value]
    return value
