"""The memory contract: what a memory model is to everything else in this repository.

A memory model works on one stream of features. Batches are `jax.vmap`. The flag
`starts[t]` is true iff `inputs[t]` is the first observation of an episode; the state
that enters such a step is replaced by `initial_state()`. That is the only reset of
memory in this repository, and it is done with `where`, never by multiplying with
zero, because 0 * nan is nan.
"""

import abc
import dataclasses
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from memory_models.mechanisms.inspection import with_records

State = Any
"""A pytree of arrays, of the same structure, shapes and dtypes at every step."""


@dataclasses.dataclass(frozen=True)
class Card:
    """What a model is, and how far it can see.

    Attributes:
        paper: where the equations come from.
        mechanism: the machinery underneath.
        context: the most steps back that an input can still influence the output
            (0: only the current input), or None where there is no such limit.
        gradient_stops: where gradients stop inside a sequence, or 'nowhere'.
        context_option: the option that raises `context`, None where there is none.
        summary: what the model is, in a line of the table in docs/models.md.
        use: when to choose it, in the same line.
    """

    paper: str
    mechanism: Literal[
        "none",
        "window",
        "linear scan",
        "cell scan",
        "ring-cache attention",
        "segment clock",
        "slot store",
    ]
    context: int | None
    gradient_stops: str = "nowhere"
    context_option: str | None = None
    summary: str = ""
    use: str = ""


@dataclasses.dataclass(frozen=True)
class Sizing:
    """Which options set a model's size, for `memory.match`.

    A unit is what the option must be a multiple of: a number, or another option's name.

    Attributes:
        state: the option that sets the floats of the state; None where none does.
        parameters: the option that sets the number of parameters.
        state_unit: of the option `state`.
        parameters_unit: of the option `parameters`.
    """

    state: str | None = "output_size"
    parameters: str | None = "output_size"
    state_unit: int | str = 1
    parameters_unit: int | str = 1


class MemoryModel(eqx.Module):
    """A memory over one stream of features.

    Class attributes:
        sizing: which options set its size.
        is_block: whether the model is a residual block itself, so that a stack puts
            no norm and no skip connection around it.
        feeds_forward: whether a feed-forward layer is part of the model, so that a
            stack adds none.
    """

    sizing: ClassVar[Sizing] = Sizing()
    is_block: ClassVar[bool] = False
    feeds_forward: ClassVar[bool] = False

    @abc.abstractmethod
    def initial_state(self) -> State:
        """The state before the first step of an episode. May depend on parameters."""

    @abc.abstractmethod
    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Read a sequence.

        Args:
            state: the state left by the steps before `inputs`.
            inputs: consecutive features.
            starts: true where an input is the first of an episode.

        Returns:
            The state after the last input, and one output per input.
        """

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """Read one input: a sequence of length 1, unless a model has a cheaper way."""
        state, outputs = self(state, input[None], start[None])
        return state, outputs[0]

    def inspect(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> dict[str, Array]:
        """What the model looks at and keeps while it reads a sequence, `[time, ...]`.

        It is what the model and its mechanisms `record` when they are called, under
        the names in docs/memory_models.md; never used in training.

        Returns:
            Attention weights, choices, gates; empty where there is nothing of the kind.
        """
        return with_records(self)(state, inputs, starts)[1]

    @property
    @abc.abstractmethod
    def card(self) -> Card:
        """What the model is."""


def select_state(start: Bool[Array, ""], initial: State, state: State) -> State:
    """`initial` where `start` holds, else `state`, leaf by leaf."""
    return jax.tree.map(
        lambda new, old: jnp.where(start, new.astype(old.dtype), old), initial, state
    )


def state_bytes(model: MemoryModel) -> int:
    """Bytes of one stream's state."""
    leaves = jax.tree.leaves(jax.eval_shape(model.initial_state))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def parameter_count(tree: Any) -> int:
    """Number of trainable values in a module."""
    return sum(x.size for x in jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array)))
