"""The end-to-end memory network: several looks at a buffer of keys and values."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.heads import masked_softmax
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.stores.slot_store import (
    Ring,
    View,
    empty_ring,
    ring_tape,
    ring_view,
    ring_write,
)


class MemoryNetwork(MemoryModel):
    """MemN2N (Sukhbaatar et al. 2015) over the last `num_slots` steps of the episode.

        m_i = x_i A + T_A[t - i],   c_i = x_i C + T_C[t - i]       [slot_size]
        u_1 = x_t B + b
        p = softmax_i(u_h m_i / sqrt(slot_size)),   o_h = sum_i p_i c_i
        u_{h+1} = u_h H + o_h                                      for h = 1 .. hops
        y_t = layer_norm([x_t, u_{hops+1}] W + b)

    Every step writes its key and value first, in the place of the oldest: it can read
    itself, and the first step of an episode reads nothing else. The sentences of the
    paper are steps here and its question is the current input. Weights are tied across
    hops as in its recurrent variant, and T_A, T_C are its temporal encoding. Scaled
    scores, the second way for x_t and the layer normalisation are ours; the paper's
    random empty memories and its start without softmax are left out.

    Attributes:
        write: A and C side by side.
        query: B.
        hop: H.
        read: W.
        key_age: T_A, a row per age.
        value_age: T_C.
        hops: looks at the memory per step.
    """

    sizing = Sizing(state="slot_size", parameters="slot_size")

    write: Linear
    query: Linear
    hop: Linear
    read: Linear
    key_age: Float[Array, "slots slot_size"]
    value_age: Float[Array, "slots slot_size"]
    hops: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_slots: int = 64,
        slot_size: int = 32,
        hops: int = 3,
    ):
        """Draw the weights: LeCun-normal, temporal encodings with deviation 0.1.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_slots: how many steps the memory holds, the current one included.
            slot_size: width of a key, of a value and of the query.
            hops: looks at the memory per step.

        Raises:
            ValueError: fewer than 2 slots, or no slot width or hop.
        """
        if num_slots < 2 or slot_size < 1 or hops < 1:
            raise ValueError(
                "memory_network needs num_slots >= 2 (one holds the current step), "
                f"slot_size >= 1 and hops >= 1; got num_slots={num_slots}, "
                f"slot_size={slot_size}, hops={hops}."
            )
        keys = jax.random.split(key, 6)
        self.write = Linear(input_size, 2 * slot_size, use_bias=False, key=keys[0])
        self.query = Linear(input_size, slot_size, key=keys[1])
        self.hop = Linear(slot_size, slot_size, use_bias=False, key=keys[2])
        self.read = Linear(input_size + slot_size, output_size, key=keys[3])
        dtype, shape = self.hop.weight.dtype, (num_slots, slot_size)
        self.key_age = 0.1 * jax.random.normal(keys[4], shape, dtype)
        self.value_age = 0.1 * jax.random.normal(keys[5], shape, dtype)
        self.hops = hops

    def initial_state(self) -> Ring:
        """Empty slots for keys and values."""
        slots, size = self.key_age.shape
        nothing = jnp.zeros(size, self.key_age.dtype)
        return empty_ring(slots, (nothing, nothing))

    def __call__(
        self,
        state: Ring,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[Ring, Float[Array, "time outputs"]]:
        """Write all steps on a tape, and read it from all of them."""
        keys, values = jnp.split(self.write(inputs), 2, axis=-1)
        view, state = ring_tape(state, (keys, values), starts)
        return state, self._answer(view, inputs)

    def step(
        self,
        state: Ring,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[Ring, Float[Array, " outputs"]]:
        """Write one row and read the slots."""
        keys, values = jnp.split(self.write(input), 2)
        state = select_state(start, self.initial_state(), state)
        state = ring_write(state, (keys, values))
        return state, self._answer(ring_view(state), input[None])[0]

    def _answer(
        self, view: View, inputs: Float[Array, "time features"]
    ) -> Float[Array, "time outputs"]:
        """All hops, and the output."""
        keys, values = view.rows
        scale = keys.shape[-1] ** -0.5
        query, looks = self.query(inputs), []
        for _ in range(self.hops):
            scores = query @ keys.T + view.spread(query @ self.key_age.T)
            weights = masked_softmax(scale * scores, view.readable)
            looks.append(weights)
            found = weights @ values + view.gather(weights) @ self.value_age
            query = self.hop(query) + found
        record("attention", lambda: jnp.stack(looks, axis=1))
        return layer_norm(self.read(jnp.concatenate([inputs, query], axis=-1)))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Sukhbaatar et al. 2015, arXiv:1503.08895",
            mechanism="slot store",
            context=self.key_age.shape[0] - 1,
            context_option="num_slots",
            summary="several looks at the last steps, key by value",
            use="facts that have to be combined, a window away",
        )
