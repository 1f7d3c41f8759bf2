"""Words of a command line: what values mean."""

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString


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
