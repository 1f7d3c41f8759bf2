"""The Legendre memory unit: the last steps of a signal, as a polynomial."""

import functools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.layers import Linear, check_sizes, orthogonal
from memory_models.mechanisms.scans.dense_scan import dense_scan, dense_step
from memory_models.mechanisms.scans.recurrent_scan import Gate, gates_of, recurrent_scan

State = tuple[Float[Array, " hidden"], Float[Array, "channels order"]]


class LegendreMemoryUnit(MemoryModel):
    """LMU (Voelker et al. 2019) whose memory is written from the input alone.

        u_t = x_t W_u                                              [channels]
        m_t = m_{t-1} A + u_t^T B                                  [channels, order]
        h_t = tanh(x_t W_x + m_t W_m + h_{t-1} W_h + b)            [outputs]

    A and B are constants: the zero-order hold, over one step, of the system that keeps
    the last `window` steps of u as `order` coefficients of Legendre polynomials. The
    paper also writes h and m into u, by weights of which those of m start at zero; as
    in the later parallel form (Chilkuri and Eliasmith 2021), they are left out, and m
    is a linear scan. The paper has one channel of u; by default there are 8 here.

    Attributes:
        write: W_u, without bias.
        project: W_x and b.
        read: W_m, without bias.
        recurrent: W_h, orthogonal at first.
        order: coefficients per channel.
        window: steps that they describe.
    """

    sizing = Sizing(state="channels")

    write: Linear
    project: Linear
    read: Linear
    recurrent: Linear
    order: int = eqx.field(static=True)
    window: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        channels: int = 8,
        order: int = 16,
        window: int = 64,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output and of h.
            key: for the weights.
            channels: signals that are remembered.
            order: coefficients per channel; more resolve faster signals.
            window: steps that they describe.

        Raises:
            ValueError: a size below 1.
        """
        check_sizes("lmu", channels=channels, order=order, window=window)
        keys = jax.random.split(key, 4)
        self.write = Linear(input_size, channels, key=keys[0], use_bias=False)
        self.project = Linear(input_size, output_size, key=keys[1])
        self.read = Linear(channels * order, output_size, key=keys[2], use_bias=False)
        self.recurrent = Linear(
            output_size,
            output_size,
            key=keys[3],
            use_bias=False,
            initializer=orthogonal(),
        )
        self.order, self.window = order, window

    def initial_state(self) -> State:
        """Zeros."""
        channels, dtype = self.write.weight.shape[1], self.write.weight.dtype
        hidden = jnp.zeros(self.recurrent.weight.shape[0], dtype)
        return hidden, jnp.zeros((channels, self.order), dtype)

    def dynamics(self) -> tuple[Float[Array, "order order"], Float[Array, " order"]]:
        """A and B, for rows multiplied from the left."""
        dtype = self.write.weight.dtype
        transition, drive = legendre_hold(self.order, self.window)
        return jnp.asarray(transition.T, dtype), jnp.asarray(drive, dtype)

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Scan the memory, read all of it at once, then scan the cell."""
        transition, drive = self.dynamics()
        written = self.write(inputs)[..., None] * drive[None, None]
        initial = self.initial_state()
        memory = dense_scan(transition, written, starts, state[1])
        outputs = recurrent_scan(
            _cell,
            (self.recurrent,),
            state[0],
            initial[0],
            (self._read(inputs, memory),),
            None,
            starts,
        )
        return (outputs[-1], memory[-1]), outputs

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One step of memory and cell, without a loop around them."""
        hidden, memory = select_state(start, self.initial_state(), state)
        transition, drive = self.dynamics()
        written = self.write(input)[:, None] * drive[None]
        memory = dense_step(transition, written, memory)
        gates = gates_of((self.recurrent,), (self._read(input, memory),))
        hidden = _cell(gates, hidden, None)
        return (hidden, memory), hidden

    def _read(self, inputs: Array, memory: Array) -> Array:
        """X W_x + m W_m + b."""
        flat = memory.reshape(*memory.shape[:-2], -1)
        return self.project(inputs) + self.read(flat)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Voelker et al. 2019, NeurIPS 32",
            mechanism="cell scan",
            context=None,
            summary="the last steps of a signal as Legendre polynomials",
            use="smooth signals over a window of known length",
        )


def _cell(gates: Sequence[Gate], hidden: Array, nothing: None) -> Array:
    del nothing
    return jnp.tanh(gates[0](hidden))


@functools.cache
def legendre_hold(order: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The Legendre delay system over one step, in double precision.

    `window dm/dt = A m + B u` with A_ij = (2i + 1) (-1 if i < j else (-1)^(i-j+1)) and
    B_i = (2i + 1) (-1)^i, its input held over the step: exp of the matrix of A and B.

    Args:
        order: coefficients.
        window: steps that they describe.

    Returns:
        What multiplies m from the left, `[order, order]`, and u, `[order]`.
    """
    i, j = np.arange(order)[:, None], np.arange(order)[None, :]
    a = (2 * i + 1) * np.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    b = (2 * i[:, 0] + 1) * (-1.0) ** i[:, 0]
    system = np.zeros((order + 1, order + 1))
    system[:order, :order], system[:order, order] = a / window, b / window
    # Scaled until a short power series suffices, then squared as often.
    halvings = max(0, int(np.ceil(np.log2(np.abs(system).sum(1).max()))) + 2)
    system = system / 2.0**halvings
    total = term = np.eye(order + 1)
    for power in range(1, 20):
        term = term @ system / power
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total[:order, :order], total[:order, order]
