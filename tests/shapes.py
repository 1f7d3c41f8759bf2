"""The checker of annotated shapes and types, built when a function is first called.

To build it is two fifths of importing the packages under jaxtyping's hook,
and a process that runs a few tests calls a few functions.
"""

import functools
from collections.abc import Callable
from typing import Any

import beartype

_CALL = """
def call(*given, **named):
    if not built:
        built.append(build(function))
    return built[0](*given, **named)
"""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`beartype.beartype(function)`, later.

    Like beartype's own its code is in no file, so that nobody takes it for a user's.
    """
    names = {"built": [], "build": beartype.beartype, "function": function}
    exec(_COMPILED, names)
    return functools.wraps(function)(names["call"])


_COMPILED = compile(_CALL, "<checked when first called>", "exec")
