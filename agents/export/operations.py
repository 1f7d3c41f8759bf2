"""A program in the operations that a converter knows.

Operations of this repository are written out, calls that only carry a derivative or a
rule for `vmap` are replaced by what they call, and of two ways to compute the same
(`by_platform`) the one for CPUs is kept. What no result depends on is left out. The
numbers stay the same, bit for bit.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Literal
from jaxtyping import Array

from agents.export.rewording import REWORDED

OWN = ("affine", "prefix_scan")
"""Operations of this repository, which call jitted functions by themselves."""

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
    "custom_vmap_call": "call",
}
"""Operations that are calls, and the parameter that holds what they call."""


def written_out(
    function: Callable[..., Sequence[Array]], *arguments: jax.ShapeDtypeStruct
) -> ClosedJaxpr:
    """The same function of arrays in operations that converters know.

    Args:
        function: of arrays, to a sequence of arrays.
        arguments: shapes and dtypes of what it will be called with.
    """
    traced = jax.make_jaxpr(function)(*arguments)
    plain = jax.make_jaxpr(lambda *values: _evaluate(traced, values))(*arguments)
    return _without_dead_ends(plain)


def _without_dead_ends(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The program without operations that no result depends on."""
    needed, kept = set(_variables(closed.jaxpr.outvars)), []
    for equation in reversed(closed.jaxpr.eqns):
        if needed.intersection(equation.outvars):
            needed.update(_variables(equation.invars))
            kept.append(equation)
    return closed.replace(jaxpr=closed.jaxpr.replace(eqns=kept[::-1]))


def _variables(atoms: Sequence[Any]) -> list[Any]:
    return [atom for atom in atoms if not isinstance(atom, Literal)]


def _evaluate(closed: ClosedJaxpr, values: Sequence[Any]) -> list[Any]:
    """What a program gives, written out while it is traced."""
    known = dict(zip(closed.jaxpr.invars, values, strict=True))
    known.update(zip(closed.jaxpr.constvars, closed.consts, strict=True))

    def value(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else known[atom]

    for equation in closed.jaxpr.eqns:
        inputs = [value(atom) for atom in equation.invars]
        results = _apply(equation.primitive, equation.params, inputs)
        known.update(zip(equation.outvars, results, strict=True))
    return [value(atom) for atom in closed.jaxpr.outvars]


def _apply(primitive: Any, params: dict[str, Any], inputs: list[Any]) -> list[Any]:
    """The results of one operation, in operations that converters know."""
    name = primitive.name
    if name in CALLS:
        return _evaluate(params[CALLS[name]], inputs)
    platforms = params.get("branches_platforms")
    if platforms is not None:
        return _evaluate(params["branches"][_for_cpu(platforms)], inputs[1:])
    reworded = primitive.impl if name in OWN else None
    if name in REWORDED:
        reworded = REWORDED[name](params, *map(jax.typeof, inputs))
    if reworded is not None:
        shapes = [
            jax.ShapeDtypeStruct(x.shape, x.dtype) for x in map(jax.typeof, inputs)
        ]
        return _evaluate(jax.make_jaxpr(reworded)(*shapes), inputs)
    inner = {key: _inner(value) for key, value in params.items()}
    results = primitive.bind(*inputs, **inner)
    return results if primitive.multiple_results else [results]


def _for_cpu(platforms: Sequence[tuple[str, ...] | None]) -> int:
    """Which branch is for CPUs; None stands for every other device."""
    named = [i for i, group in enumerate(platforms) if group and "cpu" in group]
    return named[0] if named else list(platforms).index(None)


def _inner(parameter: Any) -> Any:
    """Programs inside of loops and branches are written out as well."""
    if type(parameter) is tuple:  # of branches; named tuples are no programs
        return tuple(map(_inner, parameter))
    if not isinstance(parameter, ClosedJaxpr):
        return parameter
    return jax.make_jaxpr(lambda *values: _evaluate(parameter, values))(
        *parameter.in_avals
    )
