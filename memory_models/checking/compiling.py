"""Compiling for a few executions: compiling is then what takes the time."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax


def compile_quickly(function: Callable[..., Any]) -> Callable[..., Any]:
    """`jax.jit` without optimisation, of a function whose arguments are arrays."""
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


def build_quickly(build: Callable[[Any], Any], key: Any) -> Any:
    """`build(key)`, as one program: one by one its operations compile for seconds."""
    shapes = eqx.filter_eval_shape(build, key)
    arrays = compile_quickly(lambda key: eqx.filter(build(key), eqx.is_array))(key)
    is_shape = lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct)  # noqa: E731
    return eqx.combine(arrays, eqx.partition(shapes, is_shape)[1])
