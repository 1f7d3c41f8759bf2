"""Compiling for a few executions: compiling is then what takes the time."""

import functools
from collections.abc import Callable
from typing import Any

import jax


def compile_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` without optimisation."""
    return jax.jit(function, compiler_options=_options())


@functools.cache
def _options() -> dict[str, Any]:
    """No optimisation, and the older loops, which compile in half the time."""
    options: dict[str, Any] = {"xla_backend_optimization_level": 0}
    older = {**options, "xla_cpu_use_fusion_emitters": False}
    try:
        jax.jit(lambda x: x, compiler_options=older).lower(0).compile()
    except jax.errors.JaxRuntimeError:  # this XLA has them no more
        return options
    return older
