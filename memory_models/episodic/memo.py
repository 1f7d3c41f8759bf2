"""MEMO: facts of several separate items, and a query that looks again and again."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.heads import join_heads, masked_softmax, split_heads
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.recent import by_age
from memory_models.mechanisms.stores.slot_store import (
    Ring,
    View,
    empty_ring,
    ring_tape,
    ring_view,
    ring_write,
)

State = tuple[Ring, Float[Array, "past item_size"]]


class Memo(MemoryModel):
    """MEMO (Banino et al. 2020): a fact of `items` steps is written at every step.

        c_t = x_t W_c                                             [item_size]
        k_t = [c_t, c_{t-1}, ..] W_k,   v_t = [c_t, c_{t-1}, ..] W_v
        q_1 = x_t W_q + b
        w = softmax_i((q_h W_h) k_i / sqrt(head size))            per head
        q_{h+1} = layer_norm(q_h + [sum_i w_i v_i] W_o)           for h = 1 .. hops
        y_t = layer_norm([x_t, q_{hops+1}] W + b)

    The items of a fact share the embedding W_c and are kept apart, side by side, rather
    than summed; before the start of an episode they are zero. The paper's facts come
    ready-made: here they are the last few steps, the current one included. The memory
    keeps the last `num_slots` facts, and the weights are shared by all hops.

    With `halting` each hop also gives a probability of stopping there,
    sigmoid(q_{h+1} w + b), and the answer is the mean of the q under the resulting
    distribution (what is left goes to the last hop). The paper samples the decision and
    learns it with REINFORCE and a penalty on hops, a loss that a memory model cannot
    have; all hops are computed here. The skip connections are ours too.

    Attributes:
        embed: W_c.
        write: W_k and W_v side by side.
        query: W_q.
        address: W_h of all heads, side by side.
        combine: W_o.
        halt: w, None without halting.
        read: W.
        num_slots: how many facts are kept.
        items: how many steps make a fact.
        num_heads: heads of the attention.
        hops: looks at the memory per step.
    """

    sizing = Sizing(state="num_slots")

    embed: Linear
    write: Linear
    query: Linear
    address: Linear
    combine: Linear
    halt: Linear | None
    read: Linear
    num_slots: int = eqx.field(static=True)
    items: int = eqx.field(static=True)
    num_heads: int = eqx.field(static=True)
    hops: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_slots: int = 64,
        items: int = 2,
        item_size: int = 24,
        num_heads: int = 4,
        head_size: int = 8,
        hops: int = 3,
        halting: bool = False,
    ):
        """Draw the weights; halting begins at a half per hop.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_slots: how many facts are kept.
            items: how many steps make a fact.
            item_size: width of the embedding of a step.
            num_heads: heads of the attention.
            head_size: width of a head's keys and values.
            hops: looks at the memory per step.
            halting: whether the answer is a mean over hops, by learned probabilities.

        Raises:
            ValueError: fewer than 2 slots, or a size without meaning.
        """
        sizes = {
            "items": items,
            "item_size": item_size,
            "num_heads": num_heads,
            "head_size": head_size,
            "hops": hops,
        }
        if num_slots < 2 or min(sizes.values()) < 1:
            given = ", ".join(f"{name}={size}" for name, size in sizes.items())
            raise ValueError(
                "memo needs num_slots >= 2 (one holds the current step) and at least 1 "
                f"of everything else; got num_slots={num_slots}, {given}."
            )
        keys = jax.random.split(key, 7)
        width = num_heads * head_size
        self.embed = Linear(input_size, item_size, use_bias=False, key=keys[0])
        self.write = Linear(items * item_size, 2 * width, use_bias=False, key=keys[1])
        self.query = Linear(input_size, width, key=keys[2])
        self.address = Linear(width, width, use_bias=False, key=keys[3])
        self.combine = Linear(width, width, use_bias=False, key=keys[4])
        self.halt = Linear(width, 1, key=keys[5]) if halting else None
        self.read = Linear(input_size + width, output_size, key=keys[6])
        self.num_slots = num_slots
        self.items = items
        self.num_heads = num_heads
        self.hops = hops

    def initial_state(self) -> State:
        """Empty slots for keys and values, and no past items."""
        weight, width = self.embed.weight, self.query.weight.shape[1]
        nothing = jnp.zeros(width, weight.dtype)
        past = jnp.zeros((self.items - 1, weight.shape[1]), weight.dtype)
        return empty_ring(self.num_slots, (nothing, nothing)), past

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Gather the facts, write them on a tape, and read it from all steps."""
        ring, past = select_state(starts[0], self.initial_state(), state)
        items, past = by_age(past, self.embed(inputs), starts)
        rows = jnp.split(self.write(jnp.concatenate(items, axis=-1)), 2, axis=-1)
        view, ring = ring_tape(ring, tuple(rows), starts)
        return (ring, past), self._answer(view, inputs)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """Write one fact and read the slots."""
        ring, past = select_state(start, self.initial_state(), state)
        window = jnp.concatenate([past, self.embed(input)[None]])
        fact = window[::-1].reshape(-1)
        ring = ring_write(ring, tuple(jnp.split(self.write(fact), 2)))
        return (ring, window[1:]), self._answer(ring_view(ring), input[None])[0]

    def _answer(
        self, view: View, inputs: Float[Array, "time features"]
    ) -> Float[Array, "time outputs"]:
        """All hops, and the output."""
        keys, values = (split_heads(rows, self.num_heads) for rows in view.rows)
        query = self.query(inputs)
        queries, halts, looks = [], [], []
        for _ in range(self.hops):
            asked = split_heads(self.address(query), self.num_heads)
            scores = jnp.einsum("thd,mhd->htm", asked, keys) * keys.shape[-1] ** -0.5
            readable = jnp.broadcast_to(view.readable[None], scores.shape)
            weights = masked_softmax(scores, readable)
            looks.append(weights)
            found = join_heads(jnp.einsum("htm,mhd->thd", weights, values))
            query = layer_norm(query + self.combine(found))
            queries.append(query)
            if self.halt is not None:
                halts.append(jax.nn.sigmoid(self.halt(query)))
        record("attention", lambda: jnp.concatenate(looks).swapaxes(0, 1))
        answer = _stopped(queries, halts) if halts else query
        return layer_norm(self.read(jnp.concatenate([inputs, answer], axis=-1)))

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Banino et al. 2020, arXiv:2001.10913",
            mechanism="slot store",
            context=self.num_slots + self.items - 2,
            context_option="num_slots",
            summary="facts of several steps, queried again and again",
            use="inference over chains of facts: A with B, B with C",
        )


def _stopped(queries: list[Array], halts: list[Array]) -> Array:
    """The mean of the queries, by the probability to stop at each hop."""
    left, mean = jnp.ones_like(halts[0]), jnp.zeros_like(queries[0])
    for query, halt in zip(queries[:-1], halts[:-1], strict=True):
        mean = mean + left * halt * query
        left = left * (1 - halt)
    return mean + left * queries[-1]
