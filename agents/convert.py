"""Configured values become the types that classes declare, or one clear sentence."""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from command_line.words import nearest

__all__ = ["ConfigError", "convert", "convert_all", "nearest"]


class ConfigError(ValueError):
    """A mistake in the configuration; the message is one sentence for the user."""


def convert(value: Any, annotation: Any, name: str) -> Any:
    """Convert a configured value to an annotated type.

    Args:
        value: what the configuration holds.
        annotation: bool, int, float, str, a Literal, a tuple of those, or a union
            with None.
        name: dotted key, for the message.

    Raises:
        ConfigError: the value does not fit.
    """
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        inner = [a for a in arguments if a is not type(None)]
        return convert(value, inner[0], name)
    if origin is Literal:
        if value in arguments:
            return value
        choices = ", ".join(repr(a) for a in arguments)
        raise ConfigError(
            f"{name}={value!r} is not one of {choices}."
            + nearest(str(value), [str(a) for a in arguments])
        )
    if origin in (tuple, Sequence):
        if value is None or isinstance(value, Mapping):
            raise ConfigError(f"{name}={value!r} must be a list, such as [a,b].")
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(convert(item, arguments[0], name) for item in items)
    if annotation in _CONVERSIONS:
        converted = _CONVERSIONS[annotation](value)
        if converted is not None:
            return converted
        raise ConfigError(f"{name}={value!r} must be {_NAMES[annotation]}.")
    return value


def _to_int(value: Any) -> int | None:
    number = _to_float(value)
    if number is None or number != int(number):
        return None
    return int(number)


def _to_float(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None


_CONVERSIONS: dict[Any, Any] = {
    int: _to_int,
    float: _to_float,
    bool: lambda value: value if isinstance(value, bool) else None,
    str: lambda value: value if isinstance(value, str) else None,
}
_NAMES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
}


def convert_all(
    given: Mapping[str, Any], annotations: Mapping[str, Any], prefix: str
) -> dict[str, Any]:
    """Convert a mapping of values; unknown keys are errors.

    Args:
        given: name -> value.
        annotations: name -> type, of all known names.
        prefix: of the dotted keys in messages, such as 'agent'.
    """
    converted = {}
    for name, value in given.items():
        if name not in annotations:
            raise ConfigError(
                f"there is no setting {prefix}.{name}.{nearest(name, annotations)}"
            )
        converted[name] = convert(value, annotations[name], f"{prefix}.{name}")
    return converted
