"""Dual-coding episodic memory: steps are found by one column, read from another."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.heads import masked_softmax
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.slot_reads import cosines, nearest
from memory_models.mechanisms.stores.slot_store import (
    Ring,
    View,
    empty_ring,
    ring_tape,
    ring_view,
    ring_write,
)
from memory_models.registry import Columns, column


class DualCodingMemory(MemoryModel):
    """DCEM (Hill et al. 2021): a code of each of two observation keys per step.

        a_t = x_t[key column] W_a + b_a,   c_t = x_t[value column] W_c + b_c
        s_i = cosine(x_t W_q + b_q, a_i)                       for the steps i < t
        r_t = sum_i softmax_i(sharpness * s_i) c_i             over the top_k largest
        y_t = layer_norm([x_t, r_t] W + b)

    With `both_directions` a second query is compared with the c_i and returns the a_i
    too. The current step is written after it has read. In the paper an LSTM makes the
    query and reads the result, and the rows found attend to each other before they are
    summed; here the query comes from the input, so that whole sequences are read at
    once. The learned sharpness (cosines alone are all but uniform in a softmax), the
    second way for x_t and the layer normalisation are ours. The paper's reconstruction
    loss belongs to an agent.

    Attributes:
        encode: W_a and W_c, one per column.
        queries: W_q, one per direction.
        read: W.
        log_sharpness: one per direction.
        slices: where the columns are in the features.
        num_slots: how many past steps are kept.
        top_k: how many of them are read.
    """

    sizing = Sizing(state="slot_size")

    encode: tuple[Linear, Linear]
    queries: tuple[Linear, ...]
    read: Linear
    log_sharpness: Float[Array, " directions"]
    slices: tuple[tuple[int, int], tuple[int, int]] = eqx.field(static=True)
    num_slots: int = eqx.field(static=True)
    top_k: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        columns: Columns,
        key_column: str = "place",
        value_column: str = "cue",
        both_directions: bool = False,
        num_slots: int = 128,
        slot_size: int = 32,
        top_k: int = 8,
    ):
        """Draw the weights; sharpness begins at 10.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            columns: which slice of the features comes from which observation key.
            key_column: the observation key by which steps are found.
            value_column: the one that is returned.
            both_directions: whether the value column also finds the key column.
            num_slots: how many past steps are kept.
            slot_size: width of a code.
            top_k: how many steps are read, the most similar ones.

        Raises:
            ValueError: a column that the task lacks, more steps to read than slots,
                none of either, or no slot width.
        """
        if not 1 <= top_k <= num_slots or slot_size < 1:
            raise ValueError(
                "dual_coding needs 1 <= top_k <= num_slots and slot_size >= 1; got "
                f"top_k={top_k}, num_slots={num_slots}, slot_size={slot_size}."
            )
        names = (key_column, value_column)
        options = ("key_column", "value_column")
        first, second = (
            column(columns, name, needed_by="dual_coding", options=options)
            for name in names
        )
        directions = 2 if both_directions else 1
        keys = jax.random.split(key, 3 + directions)
        self.encode = (
            Linear(first[1] - first[0], slot_size, key=keys[0]),
            Linear(second[1] - second[0], slot_size, key=keys[1]),
        )
        self.queries = tuple(Linear(input_size, slot_size, key=k) for k in keys[3:])
        width = input_size + directions * slot_size
        self.read = Linear(width, output_size, key=keys[2])
        self.log_sharpness = jnp.full(directions, jnp.log(10.0), self.read.weight.dtype)
        self.slices = (first, second)
        self.num_slots = num_slots
        self.top_k = top_k

    def initial_state(self) -> Ring:
        """Empty slots for both codes."""
        weight = self.encode[0].weight
        nothing = jnp.zeros(weight.shape[1], weight.dtype)
        return empty_ring(self.num_slots, (nothing, nothing))

    def __call__(
        self,
        state: Ring,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time outputs"]]:
        """Write all steps on a tape; each reads what lies before it."""
        view, state = ring_tape(state, self._codes(inputs), starts, first_age=1)
        return state, self._answer(view, inputs)

    def step(
        self,
        state: Ring,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Ring, Float[Array, " outputs"]]:
        """Read the slots, then write one row."""
        state = select_state(start, self.initial_state(), state)
        output = self._answer(ring_view(state, first_age=1), input[None])[0]
        return ring_write(state, self._codes(input)), output

    def _codes(self, inputs: Float[Array, "*time features"]) -> tuple[Array, Array]:
        """A code per column."""
        (start, stop), (other_start, other_stop) = self.slices
        first, second = self.encode
        return (
            first(inputs[..., start:stop]),
            second(inputs[..., other_start:other_stop]),
        )

    def _answer(
        self, view: View, inputs: Float[Array, "time features"]
    ) -> Float[Array, "time outputs"]:
        """Look up every direction, and the output."""
        found, weights = [inputs], []
        directions = (view.rows, view.rows[::-1])
        for index, query in enumerate(self.queries):
            keys, values = directions[index]
            similar = cosines(query(inputs), keys)
            # The newest of several that are as similar.
            chosen = nearest(
                1 + jnp.maximum(1 - similar, 0.0),
                view.readable,
                view.ages - 1,
                self.top_k,
                self.num_slots,
            )
            sharpness = jnp.exp(self.log_sharpness[index])
            weights.append(masked_softmax(sharpness * similar, chosen))
            found.append(weights[-1] @ values)
        record("attention", lambda: jnp.stack(weights, axis=1))
        return layer_norm(self.read(jnp.concatenate(found, axis=-1)))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Hill et al. 2021, arXiv:2009.01719",
            mechanism="slot store",
            context=self.num_slots,
            context_option="num_slots",
            summary="pairs of two observation keys, found by one",
            use="which of one thing went with which of another",
        )
