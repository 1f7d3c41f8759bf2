"""Nearest neighbours within the episode, weighted by inverse distance."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.slot_reads import (
    inverse_distance,
    nearest,
    squared_distances,
)
from memory_models.mechanisms.stores.slot_store import (
    Ring,
    View,
    empty_ring,
    ring_tape,
    ring_view,
    ring_write,
)


class EpisodicNeighbours(MemoryModel):
    """The dictionary of Neural Episodic Control (Pritzel et al. 2017), per episode.

        k_t = x_t W_k + b_k,   v_t = x_t W_v + b_v                 [slot_size]
        w_i = 1 / (||k_t - k_i||^2 + delta)       over the p nearest i < t
        r_t = sum_i w_i v_i / sum_i w_i           (0 at the first step)
        y_t = layer_norm([x_t, r_t] W + b)

    As in the paper the look-up comes before the write: the current step cannot find
    itself, which it would do at distance 0. Where the paper keeps returns in one table
    per action across episodes and drops the least recently used, here the values are
    learned from the inputs, the table is emptied at a start, and the oldest is dropped.
    The second way for x_t and the layer normalisation are ours.

    Attributes:
        write: W_k and W_v side by side.
        read: W.
        num_slots: how many past steps are kept.
        neighbours: p.
        delta: what bounds the weight of an exact hit.
    """

    sizing = Sizing(state="slot_size")

    write: Linear
    read: Linear
    num_slots: int = eqx.field(static=True)
    neighbours: int = eqx.field(static=True)
    delta: float = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_slots: int = 128,
        slot_size: int = 32,
        neighbours: int = 50,
        delta: float = 1e-3,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_slots: how many past steps are kept.
            slot_size: width of a key and of a value.
            neighbours: how many of them are read; 50 is the paper's.
            delta: added to squared distances.

        Raises:
            ValueError: more neighbours than slots, none of either, no slot width, or
                a delta that is not above 0.
        """
        if not 1 <= neighbours <= num_slots or slot_size < 1 or not delta > 0:
            raise ValueError(
                "episodic_knn needs 1 <= neighbours <= num_slots, slot_size >= 1 and "
                "delta > 0 (an exact hit would weigh infinitely much); got "
                f"neighbours={neighbours}, num_slots={num_slots}, "
                f"slot_size={slot_size}, delta={delta}."
            )
        keys = jax.random.split(key, 2)
        self.write = Linear(input_size, 2 * slot_size, key=keys[0])
        self.read = Linear(input_size + slot_size, output_size, key=keys[1])
        self.num_slots = num_slots
        self.neighbours = neighbours
        self.delta = delta

    def initial_state(self) -> Ring:
        """Empty slots for keys and values."""
        weight = self.write.weight
        nothing = jnp.zeros(weight.shape[1] // 2, weight.dtype)
        return empty_ring(self.num_slots, (nothing, nothing))

    def __call__(
        self,
        state: Ring,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time outputs"]]:
        """Write all steps on a tape; each reads what lies before it."""
        keys, values = jnp.split(self.write(inputs), 2, axis=-1)
        view, state = ring_tape(state, (keys, values), starts, first_age=1)
        return state, self._answer(view, keys, inputs)

    def step(
        self,
        state: Ring,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Ring, Float[Array, " outputs"]]:
        """Read the slots, then write one row."""
        keys, values = jnp.split(self.write(input), 2)
        state = select_state(start, self.initial_state(), state)
        view = ring_view(state, first_age=1)
        output = self._answer(view, keys[None], input[None])[0]
        return ring_write(state, (keys, values)), output

    def _answer(
        self,
        view: View,
        queries: Float[Array, "time size"],
        inputs: Float[Array, "time features"],
    ) -> Float[Array, "time outputs"]:
        """The mean of the neighbours' values, and the output."""
        keys, values = view.rows
        squared = squared_distances(queries, keys)
        # The newest of several at the same distance.
        chosen = nearest(
            squared + self.delta,
            view.readable,
            view.ages - 1,
            self.neighbours,
            self.num_slots,
        )
        weights = inverse_distance(squared, chosen, self.delta)
        record("attention", lambda: weights[:, None])
        found = weights @ values
        return layer_norm(self.read(jnp.concatenate([inputs, found], axis=-1)))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Pritzel et al. 2017, arXiv:1703.01988",
            mechanism="slot store",
            context=self.num_slots,
            context_option="num_slots",
            summary="the most similar past steps, by inverse distance",
            use="what came the last times it looked like this",
        )
