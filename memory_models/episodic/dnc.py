"""The differentiable neural computer: an LSTM that addresses slots."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm
from memory_models.mechanisms.scans.cell_scan import cell_scan
from memory_models.mechanisms.stores import addressing


class State(NamedTuple):
    """The controller, the memory, and how it is addressed.

    Attributes:
        hidden: h of the LSTM.
        carry: c of the LSTM.
        memory: M.
        reads: read weights of each head, w^r.
        write: write weights, w.
        usage: u, from 0 (free) to 1.
        link: L, which slot was written after which.
        precedence: p, which slot was written last.
    """

    hidden: Float[Array, " hidden"]
    carry: Float[Array, " hidden"]
    memory: Float[Array, "slots size"]
    reads: Float[Array, "reads slots"]
    write: Float[Array, " slots"]
    usage: Float[Array, " slots"]
    link: Float[Array, "slots slots"]
    precedence: Float[Array, " slots"]


class NeuralComputer(MemoryModel):
    """DNC (Graves et al. 2016) with one write head, in the order of the authors' code.

        h, c = LSTM([x_t, w^r M], h, c);   everything below is a layer on h
        u = (u + (1 - u) w) prod_r (1 - f_r w^r)
        w = g_w (g_a allocation(u) + (1 - g_a) content(M, k_w, b_w))
        M = M (1 - w e^T) + w v^T
        L = (1 - w_i - w_j) L + w_i p_j, diagonal 0;   p = (1 - sum w) p + w
        w^r = m_1 L^T w^r + m_2 L w^r + m_3 content(M, k_r, b_r)
        y_t = layer_norm([h, w^r M] W + b)

    content is a softmax over cosines, sharpened by softplus(b). Gates and e are
    sigmoids, the modes m a softmax. Memory and all weights begin at 0, the LSTM's
    forget gate with a bias of 1. Ours is the layer normalisation of the output, for
    which the clipping of h and y at 20 is left out.

    Attributes:
        project: input weights of the LSTM's gates i, f, g, o, side by side.
        recurrent: their weights on what was read and on h.
        interface: all that addresses the memory, side by side.
        read: W.
        num_slots: rows of M.
        slot_size: width of a row.
        num_reads: read heads.
    """

    sizing = Sizing(state="num_slots", parameters="hidden_size")

    project: Linear
    recurrent: Linear
    interface: Linear
    read: Linear
    num_slots: int = eqx.field(static=True)
    slot_size: int = eqx.field(static=True)
    num_reads: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        num_slots: int = 16,
        slot_size: int = 16,
        num_reads: int = 4,
        hidden_size: int = 64,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            num_slots: how many slots; the state grows with its square.
            slot_size: width of a slot.
            num_reads: read heads.
            hidden_size: width of the LSTM.

        Raises:
            ValueError: fewer than 2 slots, or another size below 1.
        """
        if num_slots < 2 or min(slot_size, num_reads, hidden_size) < 1:
            raise ValueError(
                "dnc needs num_slots >= 2 (links are between slots) and other sizes of "
                f"at least 1; got num_slots={num_slots}, slot_size={slot_size}, "
                f"num_reads={num_reads}, hidden_size={hidden_size}."
            )
        keys = jax.random.split(key, 4)
        found, hidden = num_reads * slot_size, hidden_size
        dtype = jax.dtypes.canonicalize_dtype(float)
        forget_bias = jnp.zeros(4 * hidden, dtype).at[hidden : 2 * hidden].set(1)
        self.project = Linear(input_size, 4 * hidden, key=keys[0], bias=forget_bias)
        self.recurrent = Linear(found + hidden, 4 * hidden, use_bias=False, key=keys[1])
        self.num_slots = num_slots
        self.slot_size = slot_size
        self.num_reads = num_reads
        self.interface = Linear(hidden, sum(self._widths()), key=keys[2])
        self.read = Linear(hidden + found, output_size, key=keys[3])

    def _widths(self) -> tuple[int, ...]:
        """Of the parts of the interface, in the order of `_address`."""
        size, reads = self.slot_size, self.num_reads
        return (reads * size, reads, size, 1, size, size, reads, 1, 1, 3 * reads)

    def initial_state(self) -> State:
        """Zeros."""
        slots, hidden = self.num_slots, self.interface.weight.shape[0]

        def zeros(*shape: int) -> Array:
            return jnp.zeros(shape, self.read.weight.dtype)

        return State(
            hidden=zeros(hidden),
            carry=zeros(hidden),
            memory=zeros(slots, self.slot_size),
            reads=zeros(self.num_reads, slots),
            write=zeros(slots),
            usage=zeros(slots),
            link=zeros(slots, slots),
            precedence=zeros(slots),
        )

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project all inputs at once, then scan the cell, then read all steps."""
        projected, initial = self.project(inputs), self.initial_state()
        state, seen = cell_scan(self._cell, state, initial, projected, starts)
        return state, layer_norm(self.read(seen))

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """The cell alone, without a loop around it."""
        state = select_state(start, self.initial_state(), state)
        state, seen = self._cell(state, self.project(input))
        return state, layer_norm(self.read(seen))

    def _cell(self, state: State, projected: Float[Array, " gates"]) -> tuple:
        """One step: the new state, and [h, w^r M]."""
        found = (state.reads @ state.memory).reshape(-1)
        gates = projected + self.recurrent(jnp.concatenate([found, state.hidden]))
        write, keep, candidate, show = jnp.split(gates, 4)
        carry = jax.nn.sigmoid(keep) * state.carry
        carry = carry + jax.nn.sigmoid(write) * jnp.tanh(candidate)
        hidden = jax.nn.sigmoid(show) * jnp.tanh(carry)
        state = self._address(state._replace(hidden=hidden, carry=carry))
        found = (state.reads @ state.memory).reshape(-1)
        return state, jnp.concatenate([hidden, found])

    def _address(self, state: State) -> State:
        """Free, write, link and read, in this order."""
        heads, slots = self.num_reads, self.num_slots
        parts, at = [], 0
        flat = self.interface(state.hidden)
        for width in self._widths():
            parts.append(flat[at : at + width])
            at += width
        read_keys, read_strengths, write_key, write_strength = parts[:4]
        erase, value = jax.nn.sigmoid(parts[4]), parts[5]
        free, allocate, write_gate = (jax.nn.sigmoid(part) for part in parts[6:9])
        modes = jax.nn.softmax(parts[9].reshape(heads, 3))

        usage = addressing.usage_after(state.usage, state.write, state.reads, free)
        match = addressing.content_weights(
            state.memory, write_key[None], write_strength
        )[0]
        share = jnp.broadcast_to(allocate, (slots,))
        write = share * addressing.allocation(usage) + (1 - share) * match
        write = jnp.broadcast_to(write_gate, (slots,)) * write
        memory = state.memory * (1 - write[:, None] * erase[None])
        memory = memory + write[:, None] * value[None]
        link = addressing.link_after(state.link, state.precedence, write)
        precedence = addressing.precedence_after(state.precedence, write)
        match = addressing.content_weights(
            memory, read_keys.reshape(heads, -1), read_strengths
        )
        ways = jnp.stack([state.reads @ link, state.reads @ link.T, match], axis=1)
        reads = jnp.einsum("rm,rmn->rn", modes, ways)
        record("read", lambda: reads)
        record("write", lambda: write)
        return State(
            state.hidden, state.carry, memory, reads, write, usage, link, precedence
        )

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Graves et al. 2016, Nature 538:471-476",
            mechanism="cell scan",
            context=None,
            gradient_stops="in the write weights, where they raise the usage",
            summary="an LSTM that allocates, links and reads slots",
            use="algorithmic tasks; slow, and slow to learn",
        )
