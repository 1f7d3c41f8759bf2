"""Parameters of a task that are of another type than declared: told at once."""

import typing
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from types import UnionType
from typing import Any, Literal

_NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
}


def check_types(types: Mapping[str, Any], given: Mapping[str, Any], told: str) -> None:
    """Check values against annotated types, where those are simple.

    Args:
        types: name -> annotation; values without one may be anything.
        given: name -> value.
        told: whose values they are, for the message.

    Raises:
        ValueError: a value of another type, with what it must be.
    """
    for name, value in given.items():
        wanted = _mismatch(value, types.get(name, Any))
        if wanted is not None:
            raise ValueError(f"{told} got {name}={value!r}; it must be {wanted}.")


def _mismatch(value: Any, annotation: Any) -> str | None:
    """What the value must be, if it is something else."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, UnionType):
        found = [_mismatch(value, kind) for kind in inner]
        return None if None in found else " or ".join(filter(None, found))
    if annotation is type(None):
        return None if value is None else "None"
    if origin is Literal:
        choices = ", ".join(repr(choice) for choice in inner)
        return None if value in inner else f"one of {choices}"
    if origin in (tuple, Sequence):
        if not isinstance(value, tuple | list):
            return "a tuple"
        found = [_mismatch(item, inner[0]) for item in value] if inner else []
        return next((f"a tuple, each {kind}" for kind in found if kind), None)
    kinds: dict[Any, Any] = {bool: bool, int: Integral, float: Real, str: str}
    if annotation not in kinds:
        return None
    fits = isinstance(value, kinds[annotation])
    if isinstance(value, bool) and annotation is not bool:
        fits = False
    return None if fits else _NAMES[annotation]
