"""The relational memory core: slots that attend to each other and to the input."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.platform import by_platform
from memory_models.mechanisms.scans.cell_scan import cell_scan

Slots = Float[Array, "slots size"]
Inputs = tuple[Float[Array, " size"], Float[Array, " gates"]]
GATES = ("unit", "memory")


class RelationalMemory(MemoryModel):
    """RMC (Santoro et al. 2018), nearly as the authors' Sonnet module computes it.

        A = [M; x_t W_x + b]                                       [slots + 1, size]
        A = norm(A + attention(A)),  A = norm(A + mlp(A))          num_blocks times
        i, f = split(x_t' W_i + tanh(M) W_m + b),   x_t' = x_t W_x + b
        M' = sigmoid(i) * tanh(A without the last row) + sigmoid(f + 1) * M
        y_t = layer_norm(flatten(M') W + b)

    attention: queries, keys and values of all heads are one product, normalised
    together; queries are scaled by 1 / sqrt(head_size), as in the paper and in the
    module (early versions of it, and copies made of those, divided by the root of the
    width of query, key and value together). mlp: relu layers, of which the last is
    linear, shared by all blocks; the other weights are a block's own. The gates are per
    element ('unit') or per slot ('memory'). Slots begin as rows of the identity, so
    that they differ. The read-out to `output_size`, with its layer normalisation, is
    ours: theirs is all of M'. Keys are as wide as values, and the gates have one bias
    where theirs have two that add up.

    Attributes:
        enter: W_x.
        attend: queries, keys and values, per block.
        attend_norm: scale and offset of their normalisation, per block.
        block_norm: those after attention and after the mlp, per block.
        mlp: two layers.
        input_gates: W_i.
        slot_gates: W_m.
        read: W.
        num_slots: rows of M.
        num_heads: heads of the attention.
    """

    sizing = Sizing(state="num_slots")

    enter: Linear
    attend: tuple[Linear, ...]
    attend_norm: Float[Array, "blocks 2 width"]
    block_norm: Float[Array, "blocks 4 size"]
    mlp: tuple[Linear, Linear]
    input_gates: Linear
    slot_gates: Linear
    read: Linear
    num_slots: int = eqx.field(static=True)
    num_heads: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_slots: int = 4,
        num_heads: int = 4,
        head_size: int = 32,
        num_blocks: int = 1,
        gate: str = "unit",
    ):
        """Draw the weights; the forget gate begins open, by its bias of 1.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_slots: how many slots.
            num_heads: heads of the attention; a slot is `num_heads * head_size` wide.
            head_size: width of a head.
            num_blocks: times that the slots attend to each other per step.
            gate: 'unit' for a gate per element, 'memory' for one per slot.

        Raises:
            ValueError: a size below 1, or no such gate.
        """
        if min(num_slots, num_heads, head_size, num_blocks) < 1 or gate not in GATES:
            raise ValueError(
                "relational_memory needs sizes of at least 1 and a gate of 'unit' or "
                f"'memory'; got num_slots={num_slots}, num_heads={num_heads}, "
                f"head_size={head_size}, num_blocks={num_blocks}, gate={gate!r}."
            )
        size = num_heads * head_size
        gates = 2 * (size if gate == "unit" else 1)
        keys = jax.random.split(key, 6 + num_blocks)
        self.enter = Linear(input_size, size, key=keys[0])
        self.attend = tuple(Linear(size, 3 * size, key=k) for k in keys[6:])
        dtype = self.enter.weight.dtype
        self.attend_norm = _norms(num_blocks, 1, 3 * size, dtype)
        self.block_norm = _norms(num_blocks, 2, size, dtype)
        self.mlp = (Linear(size, size, key=keys[1]), Linear(size, size, key=keys[2]))
        self.input_gates = Linear(size, gates, key=keys[3])
        self.slot_gates = Linear(size, gates, use_bias=False, key=keys[4])
        self.read = Linear(num_slots * size, output_size, key=keys[5])
        self.num_slots = num_slots
        self.num_heads = num_heads

    def initial_state(self) -> Slots:
        """Rows of the identity: zeros would make all slots equal for ever."""
        weight = self.enter.weight
        return jnp.eye(self.num_slots, weight.shape[1], dtype=weight.dtype)

    def __call__(
        self,
        state: Slots,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Slots, Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan the cell, then read all steps."""

        def cell(slots: Slots, projected: Inputs) -> tuple[Slots, Slots]:
            slots = self._cell(slots, projected)
            return slots, slots

        projected = self._project(inputs)
        state, slots = cell_scan(cell, state, self.initial_state(), projected, starts)
        return state, self._output(slots)

    def step(
        self,
        state: Slots,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Slots, Float[Array, " outputs"]]:
        """The cell alone, without a loop around it."""
        state = select_state(start, self.initial_state(), state)
        state = self._cell(state, self._project(input))
        return state, self._output(state)

    def _project(self, inputs: Float[Array, "*time features"]) -> tuple[Array, Array]:
        """The row that joins the slots, and its part of the gates."""
        row = self.enter(inputs)
        return row, self.input_gates(row)

    def _output(self, slots: Float[Array, "*time slots size"]) -> Array:
        return layer_norm(self.read(slots.reshape(*slots.shape[:-2], -1)))

    def _cell(self, slots: Slots, projected: Inputs) -> Slots:
        """One step."""
        row, gates = projected
        rows = jnp.concatenate([slots, row[None]])
        first, second = self.mlp
        for index in range(len(self.attend)):
            norms = self.block_norm[index]
            # Of the last block the slots alone are wanted, not the input's own row.
            asking = len(rows) - (index + 1 == len(self.attend))
            found = self._attention(index, rows, asking)
            rows = _affine_norm(rows[:asking] + found, norms[:2])
            hidden = second(jax.nn.relu(first(rows)))
            rows = _affine_norm(rows + hidden, norms[2:])
        gates = self.slot_gates(_in_rows(jnp.tanh(slots))) + gates[None]
        write, keep = jnp.split(gates, 2, axis=-1)
        candidate = jnp.tanh(rows)
        return jax.nn.sigmoid(write) * candidate + jax.nn.sigmoid(keep + 1.0) * slots

    def _attention(
        self, index: int, rows: Float[Array, "rows size"], asking: int
    ) -> Float[Array, "{asking} size"]:
        """The first `asking` rows attend to all rows, themselves included."""
        count, heads = rows.shape[0], self.num_heads
        size = rows.shape[1] // heads
        both = self.attend[index](_in_rows(rows))
        both = _affine_norm(both, self.attend_norm[index])
        # A head's query, key and value lie next to each other.
        query, key, value = jnp.split(both.reshape(count, heads, 3 * size), 3, axis=-1)
        query = query[:asking] * size**-0.5
        scores = jnp.einsum("nhd,mhd->hnm", query, key)
        weights = jax.nn.softmax(scores)
        record("slots", lambda: weights)
        found = jnp.einsum("hnm,mhd->nhd", weights, value)
        return found.reshape(asking, heads * size)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Santoro et al. 2018, arXiv:1806.01822",
            mechanism="cell scan",
            context=None,
            summary="a few slots that attend to each other",
            use="relations between remembered things; slow",
        )


def _norms(blocks: int, count: int, width: int, dtype) -> Float[Array, "..."]:
    """Scale 1 and offset 0 for `count` normalisations per block."""
    one = jnp.stack([jnp.ones(width, dtype), jnp.zeros(width, dtype)])
    return jnp.tile(one[None], (blocks, count, 1))


def _affine_norm(x: Array, scale_and_offset: Float[Array, "2 width"]) -> Array:
    scale, offset = scale_and_offset
    return layer_norm(x) * scale[None] + offset[None]


def _in_rows(x: Float[Array, "rows size"]) -> Array:
    """The operand of a product, on accelerators as an array of its own.

    Left to itself, XLA reads it from an array in which rows are innermost, and its
    product (Triton's) has no tiles for that where their number is no power of 2.
    """

    def alone(x: Array) -> Array:
        return jax.lax.optimization_barrier(x.reshape(-1)).reshape(x.shape)

    return by_platform(lambda x: x, alone, x)
