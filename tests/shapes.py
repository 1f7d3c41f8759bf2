"""The checker of annotated shapes and types, built when a function is first called.

To build it is two fifths of importing the packages under jaxtyping's hook,
and a process that runs a few tests calls a few functions.
"""

import functools
from collections.abc import Callable
from typing import Any

import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`beartype.beartype(function)`, later."""
    built: list[Callable[..., Any]] = []

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        if not built:
            built.append(beartype.beartype(function))
        return built[0](*given, **named)

    return call
