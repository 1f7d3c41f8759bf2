"""What a model's methods return: by tracing, nothing is computed."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from memory_models.base import Card, MemoryModel
from memory_models.checking.comparison import fail, kinds_of, same_structure


def fixed_structure(probe: Any) -> None:
    """The state keeps its structure, shapes and dtypes; outputs are [time, size]."""
    check_returns(probe.model, probe.input_size, (1, probe.half))


def check_returns(model: MemoryModel, input_size: int, times: tuple[int, ...]) -> int:
    """The state keeps its structure, shapes and dtypes; outputs are [time, size].

    Args:
        model: the model, its arrays real or traced.
        input_size: width of its features.
        times: lengths of the sequences to try.

    Returns:
        The width of the outputs.
    """
    _check_kind(model)
    initial = eqx.filter_eval_shape(lambda m: m.initial_state(), model)
    _only_arrays(initial, "initial_state", "initial_state()")
    dtype = parameter_dtype(model)
    width = None
    for time in times:
        inputs = jax.ShapeDtypeStruct((time, input_size), dtype)
        starts = jax.ShapeDtypeStruct((time,), jnp.bool_)
        event = f"a call with {time} inputs"
        outputs = _checked(model, "__call__", event, initial, inputs, starts)
        width = width or (outputs.shape[-1] if outputs.ndim else 0)
        if outputs.ndim != 2 or outputs.shape != (time, width):
            fail(
                f"{time} inputs give outputs of shape {outputs.shape}, not "
                f"({time}, output_size).",
                "there is exactly one output per input, along the axis of time.",
                "return outputs of shape [time, output_size].",
                "__call__",
            )
    one = jax.ShapeDtypeStruct((input_size,), dtype)
    flag = jax.ShapeDtypeStruct((), jnp.bool_)
    output = _checked(model, "step", "a step", initial, one, flag)
    if output.shape != (width,):
        fail(
            f"A step gives an output of shape {output.shape}, where a call gives "
            f"{width} numbers per input.",
            "acting takes steps, and learning takes sequences.",
            "return an output of shape [output_size] from step, without time.",
            "step",
        )
    assert width is not None
    return width


def _check_kind(model: Any) -> None:
    if not isinstance(model, MemoryModel):
        fail(
            f"It is a {type(model).__name__}, not a memory_models.MemoryModel.",
            "agents call initial_state, __call__ and step, and read the card.",
            "subclass memory_models.MemoryModel.",
        )
    if not isinstance(model.card, Card):
        fail(
            f"card is {model.card!r}, not a Card.",
            "tables and plots are made from it.",
            "return memory_models.Card(paper=..., mechanism=..., context=...).",
            "card",
        )


def _checked(model: MemoryModel, method: str, event: str, state: Any, *rest: Any):
    """The shapes of the outputs of a method, whose state is as it was."""
    found = eqx.filter_eval_shape(
        lambda m, *arguments: getattr(m, method)(*arguments), model, state, *rest
    )
    pair = isinstance(found, tuple) and len(found) == 2
    if not pair:
        what = f"{len(found)} values" if isinstance(found, tuple) else _kind(found)
        fail(
            f"{method} returns {what}, not two.",
            "callers unpack a state and outputs.",
            "return (state, outputs).",
            method,
        )
    _only_arrays(found, method, f"what {method} returns, at ")
    after, outputs = found
    if kinds_of(outputs) == kinds_of(state) != kinds_of(after):
        fail(
            f"{method} returns (outputs, state), the wrong way round.",
            "callers unpack a state and outputs.",
            "return (state, outputs).",
            method,
        )
    same_structure(state, after, event, method)
    floating = _is_shape(outputs) and jnp.issubdtype(outputs.dtype, jnp.floating)
    if not floating:
        fail(
            f"{method} returns outputs that are {_kind(outputs)}.",
            "an agent's heads read one array of floating numbers.",
            "return (state, outputs), outputs of a floating dtype.",
            method,
        )
    return outputs


def _only_arrays(tree: Any, method: str, what: str) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if not isinstance(leaf, jax.ShapeDtypeStruct | jax.Array | np.ndarray):
            place = jax.tree_util.keystr(path)
            fail(
                f"{what}{place} holds {leaf!r}, a Python {type(leaf).__name__}, where "
                "arrays are wanted.",
                "a state is carried by lax.scan, which needs a fixed shape and dtype.",
                "make it an array of a fixed dtype, such as jnp.zeros((), jnp.int32).",
                method,
            )


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


def _kind(value: Any) -> str:
    if _is_shape(value):
        return f"{value.dtype}{list(value.shape)}"
    return f"a {type(value).__name__}"


def parameter_dtype(model: MemoryModel) -> Any:
    """The dtype of the first real parameter, or JAX's default."""
    for leaf in jax.tree.leaves(eqx.filter(model, _is_inexact)):
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf.dtype
    return jnp.zeros(0, float).dtype


def _is_inexact(leaf: Any) -> bool:
    shape = _is_shape(leaf) and jnp.issubdtype(leaf.dtype, jnp.inexact)
    return shape or eqx.is_inexact_array(leaf)
