"""Memory builders that a saved model can be built from again: by name and options.

Those of `memory_models.builder` are functions, which hold more than can be pickled.
"""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from memory_models.base import Card, MemoryModel
from memory_models.registry import builder_of


@dataclasses.dataclass(frozen=True)
class NamedMemory:
    """A builder of memories, as the configuration names them.

    Attributes:
        target: what builds one, of the signature that `memory_models.register` asks.
        name: of it.
        registered: whether that name is of `memory_models.names()`.
        output_size: features that it gives.
        options: its others, by name, sorted.
    """

    target: Any
    name: str
    registered: bool
    output_size: int
    options: tuple[tuple[str, Any], ...]

    def __call__(
        self, input_size: int, *, key: Any, columns: Any = None
    ) -> MemoryModel:
        """Build one; see `memory_models.builder`."""
        given = dict(self.options)
        build = builder_of(
            self.target, self.name, output_size=self.output_size, **given
        )
        return build(input_size, key=key, columns=columns)

    def policy_kwargs(self) -> dict[str, Any]:
        """What `MemoryRecurrentPolicy` builds it from."""
        return {
            "memory": self.name if self.registered else self.target,
            "memory_kwargs": dict(self.options),
            "output_size": self.output_size,
        }


@dataclasses.dataclass(frozen=True)
class OwnLSTM:
    """In place of a memory builder: sb3-contrib's own LSTM.

    Attributes:
        hidden_size: of each layer.
        num_layers: one above the other.
    """

    hidden_size: int
    num_layers: int = 1

    def __call__(
        self, input_size: int, *, key: Any, columns: Any = None
    ) -> "LSTMSizes":
        """Its sizes, as a memory has them."""
        return LSTMSizes(input_size, self.hidden_size, self.num_layers)


class LSTMSizes(MemoryModel):
    """`torch.nn.LSTM` as far as its sizes go: torch computes it."""

    numbers: Float[Array, " parameters"]
    hidden_size: int = eqx.field(static=True)
    num_layers: int = eqx.field(static=True)

    def __init__(self, input_size: int, hidden_size: int, num_layers: int):
        """As many numbers as it has, two biases per gate among them."""
        sizes = [input_size, *[hidden_size] * (num_layers - 1)]
        count = sum(4 * hidden_size * (size + hidden_size + 2) for size in sizes)
        self.numbers = jnp.zeros(count)
        self.hidden_size, self.num_layers = hidden_size, num_layers

    @property
    def card(self) -> Card:
        """What it is."""
        return Card("Hochreiter and Schmidhuber 1997", "cell scan", None)

    def initial_state(self) -> tuple[Array, Array]:
        """Hidden and cell state of every layer."""
        zeros = jnp.zeros((self.num_layers, self.hidden_size))
        return zeros, zeros

    def __call__(self, state: Any, inputs: Any, starts: Any) -> Any:
        """Refused: torch computes it."""
        raise NotImplementedError("sb3-contrib's own LSTM is computed by torch.")
