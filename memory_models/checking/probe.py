"""What the properties of checker.py look at: one model, compiled once per shape."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from memory_models.base import MemoryModel
from memory_models.checking.comparison import fail
from memory_models.checking.structure import check_returns, parameter_dtype


@dataclasses.dataclass(frozen=True)
class Probe:
    """A model with everything needed to question it.

    All lengths are `half` and `2 * half`, so that each compiled function is compiled
    for two shapes only, whatever the starts and the values.

    Attributes:
        model: the model, its parameters a little off their initial values (zero
            biases and zero learned states hide mistakes).
        input_size: width of the features.
        output_size: width of the outputs.
        half: an odd length, so that it is no multiple of a window or a segment.
        tolerance: allowed difference where values are about 1.
    """

    model: MemoryModel
    input_size: int
    output_size: int
    half: int
    tolerance: float

    @property
    def time(self) -> int:
        """The longer of the two lengths."""
        return 2 * self.half

    def inputs(self, seed: int) -> Array:
        """`[time, input_size]` of unit scale, in the dtype of the parameters."""
        values = np.random.default_rng(seed).normal(size=(self.time, self.input_size))
        return jnp.asarray(values, parameter_dtype(self.model))

    def weights(self, seed: int) -> tuple[Array, Any]:
        """Random cotangents for the outputs and for the last state."""
        generator = np.random.default_rng(seed)
        dtype = parameter_dtype(self.model)
        on_outputs = generator.normal(size=(self.time, self.output_size))
        on_state = jax.tree.map(
            lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), leaf.dtype),
            eqx.filter(self.model.initial_state(), eqx.is_inexact_array),
        )
        return jnp.asarray(on_outputs, dtype), on_state

    def used_state(self, seed: int) -> Any:
        """A state such as one meets: that after `half` random inputs."""
        inputs = self.inputs(seed + 1)[: self.half]
        starts = np.zeros(self.half, bool)
        return self.sequence(self.model.initial_state(), inputs, starts)[0]

    def sequence(self, state: Any, inputs: Array, starts: np.ndarray) -> tuple:
        """The model's own `__call__`, compiled."""
        return _sequence(self.model, state, inputs, jnp.asarray(starts))

    def scanned(self, state: Any, inputs: Array, starts: np.ndarray) -> tuple:
        """The model's `step` under a scan, compiled."""
        return _scanned(self.model, state, inputs, jnp.asarray(starts))

    def gradients(
        self,
        state: Any,
        inputs: Array,
        starts: np.ndarray,
        weights: tuple[Array, Any],
        *,
        scanned: bool = False,
    ) -> dict[str, Any]:
        """Gradients of the weighted outputs and last state.

        Returns:
            With respect to 'parameters', 'state' and 'inputs'.
        """
        pull = _pull_scanned if scanned else _pull_sequence
        return pull(self.model, state, inputs, jnp.asarray(starts), weights)


def make_probe(
    model: MemoryModel, *, input_size: int | None, half: int, seed: int
) -> Probe:
    """Perturb the parameters by 0.01 and measure the sizes."""
    parameters, rest = eqx.partition(model, eqx.is_inexact_array)
    generator = np.random.default_rng(seed)

    def moved(leaf: Any) -> Array:  # in numpy: nothing is compiled for it
        noise = 0.01 * generator.normal(size=leaf.shape)
        return jnp.asarray(np.asarray(leaf) + noise.astype(leaf.dtype))

    model = eqx.combine(jax.tree.map(moved, parameters), rest)
    size = input_size or infer_input_size(model)
    width = check_returns(model, size, (1, half))
    double = parameter_dtype(model) == jnp.float64
    return Probe(model, size, width, half, 1e-10 if double else 1e-5)


def abstract_call(model: MemoryModel, input_size: int, time: int) -> tuple:
    """Shapes and dtypes of what a call returns, without computing it."""
    inputs = jax.ShapeDtypeStruct((time, input_size), parameter_dtype(model))
    starts = jax.ShapeDtypeStruct((time,), jnp.bool_)
    return eqx.filter_eval_shape(_run_sequence, model, None, inputs, starts)


def fill(state: Any, value: float) -> Any:
    """A state whose every leaf holds `value`, or the largest its dtype can hold."""

    def worst(leaf):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            return jnp.full_like(leaf, value)
        if leaf.dtype == jnp.bool_:
            return jnp.ones_like(leaf)
        return jnp.full_like(leaf, jnp.iinfo(leaf.dtype).max)

    return jax.tree.map(worst, state)


def infer_input_size(model: MemoryModel) -> int:
    """The only axis length among the parameters that the model accepts as inputs."""
    sizes = {
        size
        for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array))
        for size in leaf.shape
    }
    fitting = []
    for size in sorted(sizes):
        try:
            abstract_call(model, size, 2)
        except Exception:
            continue
        fitting.append(size)
    if len(fitting) != 1:
        fail(
            f"The input size is not given and cannot be told: {fitting or 'no'} axis "
            f"lengths among the parameters ({sorted(sizes)}) work as one.",
            "inputs of that width have to be made up.",
            "pass check_memory(model, input_size=...); if that fails too, its error "
            "shows what is wrong in the model.",
        )
    return fitting[0]


def _run_sequence(model, state, inputs, starts):
    return model(model.initial_state() if state is None else state, inputs, starts)


def _run_scanned(model, state, inputs, starts):
    def body(state, element):
        return model.step(state, *element)

    return jax.lax.scan(body, state, (inputs, starts))


def _gradient_of(run):
    def weighted(differentiable, rest, starts, weights):
        model, state, inputs = eqx.combine(differentiable, rest)
        last, outputs = run(model, state, inputs, starts)
        pairs = [(outputs, weights[0])]
        floating = jax.tree.leaves(eqx.filter(last, eqx.is_inexact_array))
        pairs += zip(floating, jax.tree.leaves(weights[1]), strict=True)
        return sum(jnp.real(jnp.sum(value * weight)) for value, weight in pairs)

    def gradients(model, state, inputs, starts, weights):
        everything = (model, state, inputs)
        differentiable, rest = eqx.partition(everything, eqx.is_inexact_array)
        gradient = jax.grad(weighted)
        found = gradient(differentiable, rest, starts, weights)
        return {"parameters": found[0], "state": found[1], "inputs": found[2]}

    return eqx.filter_jit(gradients)


_sequence = eqx.filter_jit(_run_sequence)
_scanned = eqx.filter_jit(_run_scanned)
_pull_sequence = _gradient_of(_run_sequence)
_pull_scanned = _gradient_of(_run_scanned)
