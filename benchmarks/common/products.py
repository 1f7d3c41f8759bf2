"""How many floating-point operations an agent's matrix products take.

What trains with these counts in float32 cannot be faster than its products: a rate of
training is read beside the rate of products that the machine reaches.
"""

import math
from collections.abc import Iterator
from typing import Any

import jax


def flops_per_step(agent: Any) -> float:
    """Of the matrix products of an update, per step that it plays."""
    state = jax.eval_shape(agent.init, jax.random.key(0))
    traced = jax.make_jaxpr(agent.update)(state)
    return products(traced.jaxpr) / agent.steps_per_update


def products(program: Any) -> int:
    """Floating-point operations of the matrix products of a traced program.

    Of branches the dearest counts, of those by platform the one for JAX's default
    backend; of loops every turn.

    Raises:
        ValueError: a loop of unknown length has products.
    """
    total, here = 0, {}
    for equation in program.eqns:
        name, parameters = equation.primitive.name, equation.params
        inner = [products(part) for part in _parts(parameters)]
        if name == "dot_general":
            (contracted, _), _ = parameters["dimension_numbers"]
            shape = equation.invars[0].aval.shape
            terms = math.prod(shape[axis] for axis in contracted)
            total += 2 * terms * math.prod(equation.outvars[0].aval.shape)
        elif name == "affine":  # ours: memory_models.mechanisms.affine
            terms = equation.invars[1].aval.shape[-2]
            total += 2 * terms * math.prod(equation.outvars[0].aval.shape)
        elif name == "scan":
            total += parameters["length"] * sum(inner)
        elif name == "platform_index":
            here[equation.outvars[0]] = _branch(parameters["platforms"])
        elif name == "cond":
            branch = here.get(equation.invars[0])
            total += max(inner) if branch is None else inner[branch]
        elif name == "while" and sum(inner):
            raise ValueError("a loop of unknown length has matrix products.")
        else:
            total += sum(inner)
    return total


def _branch(platforms: tuple[tuple[str, ...] | None, ...]) -> int:
    """The one for this backend; None stands for all others."""
    backend = jax.default_backend()
    named = [x for x in platforms if x is not None and backend in x]
    return platforms.index(named[0] if named else None)


def _parts(parameters: dict[str, Any]) -> Iterator[Any]:
    """Programs among the parameters of an operation."""
    for value in parameters.values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if hasattr(part, "jaxpr"):
                yield part.jaxpr
            elif hasattr(part, "eqns"):
                yield part
