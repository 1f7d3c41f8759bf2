"""A memory's state as the two tensors that Stable-Baselines3 keeps of an LSTM.

sb3-contrib stores a hidden and a cell state, each `[layers, batch, hidden_size]` in
float32. A state of any structure becomes one vector of float32 per stream, of which
each of the two holds a half. Numbers of four bytes or more keep their bits, so that
counters are exact however large they are; smaller ones are converted, exactly too.
"""

import math
from typing import Any, NamedTuple

import jax
import torch

Packed = tuple[torch.Tensor, torch.Tensor]
"""Two float32 tensors `[1, batch, size]`."""


class Leaf(NamedTuple):
    """One tensor of a state: its shape without the batch, its type, its place."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    begin: int
    width: int


class StatePacking:
    """How the states of one memory are packed.

    Attributes:
        size: float32 numbers per stream in each of the two tensors, at least 1.
    """

    def __init__(self, state: Any):
        """Take the layout from a state.

        Args:
            state: a pytree of tensors `[batch, ...]`, of any batch.

        Raises:
            ValueError: a leaf that is not a tensor, or without a batch axis.
        """
        leaves, self._structure = jax.tree.flatten(state)
        self._leaves: list[Leaf] = []
        begin = 0
        for leaf in leaves:
            if not isinstance(leaf, torch.Tensor) or leaf.ndim == 0:
                raise ValueError(
                    "a memory's state must be a pytree of tensors [batch, ...]; it "
                    f"holds {leaf!r:.60}."
                )
            shape = tuple(leaf.shape[1:])
            width = math.prod(shape) * _floats_per_number(leaf.dtype)
            self._leaves.append(Leaf(shape, leaf.dtype, begin, width))
            begin += width
        self.size = max(1, -(-begin // 2))

    def pack(self, state: Any, batch: int) -> Packed:
        """A state `[batch, ...]` as two tensors, without its gradient.

        Raises:
            ValueError: it is not laid out as the one that the packing was made from.
        """
        leaves, structure = jax.tree.flatten(state)
        found = [(tuple(x.shape[1:]), x.dtype) for x in leaves]
        wanted = [(leaf.shape, leaf.dtype) for leaf in self._leaves]
        if structure != self._structure or found != wanted:
            raise ValueError(
                f"the memory gave a state of {found}, after one of {wanted}; a state "
                "must keep its structure, shapes and types."
            )
        parts = [_to_floats(x.detach()) for x in leaves]
        device = leaves[0].device if leaves else None
        missing = 2 * self.size - sum(leaf.width for leaf in self._leaves)
        parts.append(torch.zeros(batch, missing, device=device))
        whole = torch.cat(parts, dim=1)[None]
        return whole[..., : self.size], whole[..., self.size :]

    def unpack(self, packed: Packed) -> Any:
        """The inverse of `pack`."""
        whole = torch.cat([packed[0][0], packed[1][0]], dim=1)
        leaves = [
            _from_floats(whole[:, leaf.begin : leaf.begin + leaf.width], leaf)
            for leaf in self._leaves
        ]
        return jax.tree.unflatten(self._structure, leaves)


def _floats_per_number(dtype: torch.dtype) -> int:
    return max(1, dtype.itemsize // 4)


def _to_floats(leaf: torch.Tensor) -> torch.Tensor:
    """`[batch, width]` in float32."""
    flat = leaf.reshape(leaf.shape[0], -1).contiguous()
    if leaf.dtype.itemsize < 4:
        return flat.to(torch.float32)
    return flat.view(torch.float32)


def _from_floats(part: torch.Tensor, leaf: Leaf) -> torch.Tensor:
    """The inverse of `_to_floats`."""
    shape = (part.shape[0], *leaf.shape)
    if leaf.dtype.itemsize < 4:
        return part.to(leaf.dtype).reshape(shape)
    own = part.clone(memory_format=torch.contiguous_format)
    return own.view(leaf.dtype).reshape(shape)
