"""What `torch_bridge` computes: a memory model over a batch, compiled by JAX.

A `Program` is a model without its trainable arrays, which each call is given. It never
changes, so copies of a torch module share one and compile nothing again; a pickled
one is compiled again where it is loaded.
"""

import importlib
import io
import pickle
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from memory_models.base import MemoryModel


class Program:
    """A model's compiled calls, as functions of its trainable arrays.

    Attributes:
        kind: name of the model's class.
        names: of the trainable arrays, by their place in the model.
        double: whether it computes in float64.
    """

    def __init__(self, model: MemoryModel):
        """Take a model apart; nothing is compiled yet."""
        arrays, rest = eqx.partition(model, eqx.is_inexact_array)
        found = jax.tree.flatten_with_path(arrays)[0]
        self._take(jax.tree.unflatten(jax.tree.structure(arrays), _names(found)), rest)
        self.double = any(leaf.dtype == jnp.float64 for _, leaf in found)

    def _take(self, named: Any, rest: Any) -> None:
        """Set up for `named`, the model with names for arrays, and `rest`."""
        self._named, self._rest, self.kind = named, rest, type(rest).__name__
        self.names, self._structure = jax.tree.flatten(named)
        self.forward = jax.jit(self._differentiated, static_argnums=0)
        self.plain = jax.jit(self._computed, static_argnums=0)
        self.backward = jax.jit(lambda pull, cotangents: pull(cotangents))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Program":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        buffer = io.BytesIO()
        _Pickler(buffer).dump((self._named, self._rest, self.double))
        return _unpickled, (buffer.getvalue(),)

    def assembled(self, leaves: list[Any]) -> Any:
        """The model with `leaves` for trainable arrays, in the order of `names`."""
        arrays = jax.tree.unflatten(self._structure, leaves)
        return eqx.combine(arrays, self._rest)

    def _computed(self, static, floating, fixed):
        """Outputs and new state of a batch, floating parts first."""
        method, structure, floats = static
        parameters, inputs, state_floats = floating
        starts, state_rest = fixed
        state = merged(floats, state_floats, state_rest)
        model = self.assembled(parameters)
        time_axis = 1 if method == "__call__" else 0
        batched = jax.vmap(
            getattr(model, method),
            in_axes=(0, time_axis, time_axis),
            out_axes=(0, time_axis),
        )
        state = jax.tree.unflatten(structure, state)
        state, outputs = batched(state, inputs, starts)
        new_floats, new_rest = split(jax.tree.leaves(state), floats)
        return (outputs, new_floats), new_rest

    def _differentiated(self, static, floating, fixed):
        return jax.vjp(
            lambda x: self._computed(static, x, fixed), floating, has_aux=True
        )


class _Pickler(pickle.Pickler):
    """Pickles JAX's compiled functions, such as jax.nn.relu, by their names."""

    def reducer_override(self, obj: Any) -> Any:
        module = getattr(obj, "__module__", None)
        name = getattr(obj, "__qualname__", None)
        if isinstance(obj, type) or not (callable(obj) and module and name):
            return NotImplemented
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        return name if found is obj else NotImplemented


def _unpickled(data: bytes) -> Program:
    program = Program.__new__(Program)
    named, rest, program.double = pickle.loads(data)
    program._take(named, rest)
    return program


def split(leaves, floats) -> tuple[list, list]:
    """Floating leaves, and the others."""
    pairs = list(zip(leaves, floats, strict=True))
    return [x for x, f in pairs if f], [x for x, f in pairs if not f]


def merged(floats, floating, others) -> list:
    """The inverse of `split`."""
    floating, others = iter(floating), iter(others)
    return [next(floating) if f else next(others) for f in floats]


def _names(leaves: list[tuple[Any, Any]]) -> list[str]:
    """`project_weight` for the leaf at `.project.weight`."""
    return [
        "_".join(
            str(getattr(k, "name", getattr(k, "idx", getattr(k, "key", k))))
            for k in path
        )
        for path, _ in leaves
    ]
