"""Mamba: a diagonal state space that the input selects what to do with."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing, select_state
from memory_models.mechanisms.convolution import ShortConvolution, Tail
from memory_models.mechanisms.layers import Linear, check_sizes, rms_norm
from memory_models.mechanisms.scans.chunks import chunk_scan
from memory_models.mechanisms.scans.linear_scan import diagonal_scan

Modes = Float[Array, "channels modes"]
State = tuple[Modes, Tail]


class Mamba(MemoryModel):
    """Mamba, the selective state space S6 in its block (Gu and Dao 2023).

        n = rms_norm(x),  u = n W_u,  c = silu(convolution(u))     [channels]
        r, B, C = c W_x,   dt = softplus(r W_dt + b_dt)            dt: [channels]
        h_t = exp(-dt exp(log_rate)) * h_{t-1} + (dt * c)^T B      [channels, modes]
        o = h_t C + D * c
        y = (o * silu(n W_z)) W_o + x W_s + b                      [outputs]

    A large dt forgets and writes, a dt of 0 keeps everything. The norm is that of the
    paper's block: what is read of the past grows with c, B, C and the gate, the fourth
    power of n, and x W_s only as fast as x. The paper adds its input
    where x W_s is added here, and its W_u and W_z have no biases, where these do. The
    states of a chunk of time are computed again in the backward pass, so that not all
    of them are stored.

    Attributes:
        project: W_u, W_z, W_s side by side.
        convolve: over u.
        select: W_x.
        step_size: W_dt and b_dt; the latter such that softplus(b_dt) is log-uniform
            from 0.001 to 0.1.
        log_rate: `[channels, modes]`, log(1), log(2), ... at first.
        through: D, ones at first.
        mix: W_o.
        chunk_size: steps that are computed at once.
    """

    sizing = Sizing(state="channels", parameters="channels")

    project: Linear
    convolve: ShortConvolution
    select: Linear
    step_size: Linear
    log_rate: Modes
    through: Float[Array, " channels"]
    mix: Linear
    chunk_size: int = eqx.field(static=True)

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        channels: int = 128,
        modes: int = 16,
        taps: int = 4,
        chunk_size: int = 32,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            channels: width of the block; the authors' is twice `output_size`.
            modes: states per channel.
            taps: inputs that the short convolution sees.
            chunk_size: steps that are computed at once.

        Raises:
            ValueError: a size below 1.
        """
        check_sizes(
            "mamba", channels=channels, modes=modes, taps=taps, chunk_size=chunk_size
        )
        keys = jax.random.split(key, 7)
        rank = math.ceil(channels / 32)
        self.project = Linear(input_size, 2 * channels + output_size, key=keys[0])
        self.convolve = ShortConvolution(channels, taps, key=keys[1])
        self.select = Linear(channels, rank + 2 * modes, key=keys[2], use_bias=False)
        step_size = Linear(rank, channels, key=keys[3])
        dtype = step_size.weight.dtype
        bound = rank**-0.5
        weight = jax.random.uniform(keys[4], (rank, channels), dtype, -bound, bound)
        low, high = math.log(0.001), math.log(0.1)
        size = jnp.exp(jax.random.uniform(keys[5], (channels,), dtype, low, high))
        self.step_size = eqx.tree_at(
            lambda layer: (layer.weight, layer.bias),
            step_size,
            (weight, jnp.log(jnp.expm1(size))),
        )
        rates = jnp.log(jnp.arange(1, modes + 1).astype(dtype))
        self.log_rate = jnp.tile(rates[None], (channels, 1))
        self.through = jnp.ones(channels, dtype)
        self.mix = Linear(channels, output_size, key=keys[6], use_bias=False)
        self.chunk_size = chunk_size

    def initial_state(self) -> State:
        """Modes at rest, no input convolved."""
        return jnp.zeros_like(self.log_rate), self.convolve.initial_state()

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Project all inputs at once; select, scan and read in chunks."""
        modes, tail = select_state(starts[0], self.initial_state(), state)
        u, gate, skip = self._project(inputs)
        tail, mixed = self.convolve(tail, u, starts)
        mixed = jax.nn.silu(mixed)
        arrays = (mixed, *self._select(mixed))
        modes, outputs = chunk_scan(
            self._chunk, modes, arrays, starts, chunk_size=self.chunk_size
        )
        return (modes, tail), self.mix(outputs * gate) + skip

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One step of the recurrence."""
        modes, tail = select_state(start, self.initial_state(), state)
        u, gate, skip = self._project(input)
        tail, mixed = self.convolve.step(tail, u, start)
        mixed = jax.nn.silu(mixed)
        size, write, read = self._select(mixed)
        decay, drive = self._dynamics(mixed, size, write)
        modes = decay * modes + drive
        output = self._read(modes, read, mixed)
        return (modes, tail), self.mix(output * gate) + skip

    def _project(self, inputs: Float[Array, "*time features"]) -> tuple:
        """u, the gate and the skip connection."""
        inner = 2 * self.through.shape[0]
        into = jax.tree.map(lambda leaf: leaf[..., :inner], self.project)
        around = jax.tree.map(lambda leaf: leaf[..., inner:], self.project)
        u, gate = jnp.split(into(rms_norm(inputs)), 2, axis=-1)
        return u, jax.nn.silu(gate), around(inputs)

    def _select(self, mixed: Float[Array, "*time channels"]) -> tuple:
        """dt, B and C."""
        rank = self.step_size.weight.shape[0]
        cuts = [rank, rank + self.log_rate.shape[1]]
        low, write, read = jnp.split(self.select(mixed), cuts, axis=-1)
        return jax.nn.softplus(self.step_size(low)), write, read

    def _dynamics(self, mixed: Array, size: Array, write: Array) -> tuple[Array, Array]:
        """What each mode keeps, and what drives it."""
        shape = (*size.shape, self.log_rate.shape[1])
        rate = jnp.broadcast_to(jnp.exp(self.log_rate), shape)
        decay = jnp.exp(-size[..., None] * rate)
        return decay, (size * mixed)[..., None] * write[..., None, :]

    def _chunk(self, modes: Modes, arrays: tuple, starts: Array) -> tuple[Modes, Array]:
        mixed, size, write, read = arrays
        decay, drive = self._dynamics(mixed, size, write)
        states = diagonal_scan(decay, drive, starts, modes, jnp.zeros_like(modes))
        return states[-1], self._read(states, read, mixed)

    def _read(self, states: Array, read: Array, mixed: Array) -> Array:
        """O."""
        direct = jnp.broadcast_to(self.through, mixed.shape) * mixed
        return (states * read[..., None, :]).sum(-1) + direct

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Gu and Dao 2023, arXiv:2312.00752",
            mechanism="linear scan",
            context=None,
            summary="decays and writes chosen by the input, several per channel",
            use="selective memory; a state of many floats",
        )
