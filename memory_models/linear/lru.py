"""The linear recurrent unit: a ring of freely learned complex decays."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing
from memory_models.linear.state_space import Dynamics, Modes, State, StateSpaceLayer
from memory_models.mechanisms.scans.linear_scan import MINIMUM_RATE, rotating_decay


class LinearRecurrentUnit(MemoryModel):
    """LRU (Orvieto et al. 2023): one block, that is norm, recurrence, GLU and skip.

        h_t = lambda * h_{t-1} + exp(log_gain) * (v_t B)
        lambda = exp(-(1e-6 + exp(log_rate)) + 1j * exp(log_phase))

    The rest of the block is `StateSpaceLayer`, with the paper's gated linear unit. At
    the start |lambda|^2 is uniform between r_min^2 and r_max^2 (a ring), the phase
    uniform up to max_phase, and the gain sqrt(1 - |lambda|^2), which keeps h at the
    scale of white input; the gain is a parameter of its own afterwards. The 1e-6, which
    the paper does not have, keeps |lambda| below 1 in float32 whatever is learned.

    Attributes:
        layer: B, C, D, encoder and gated linear unit.
        log_rate: the paper's nu_log.
        log_phase: the paper's theta_log, of radians per step.
        log_gain: the paper's gamma_log.
    """

    sizing = Sizing(state="modes")

    layer: StateSpaceLayer
    log_rate: Modes
    log_phase: Modes
    log_gain: Modes

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        modes: int = 64,
        r_min: float = 0.9,
        r_max: float = 0.999,
        max_phase: float = 6.28,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            modes: complex numbers in the state.
            r_min: smallest |lambda| at the start.
            r_max: largest |lambda| at the start.
            max_phase: largest rotation per step at the start, in radians.

        Raises:
            ValueError: no mode, a ring that does not lie in the unit disc, or a
                `max_phase` that is not above 0.
        """
        if modes < 1 or not 0 <= r_min < r_max <= 1 or not max_phase > 0:
            raise ValueError(
                "lru needs modes >= 1, 0 <= r_min < r_max <= 1 (outside the unit disc "
                f"a state grows) and max_phase > 0; got modes={modes}, r_min={r_min}, "
                f"r_max={r_max}, max_phase={max_phase}."
            )
        layer_key, ring_key, phase_key = jax.random.split(key, 3)
        self.layer = StateSpaceLayer(
            input_size,
            output_size,
            modes,
            read_scale=2.0,
            linear_value=True,
            key=layer_key,
        )
        dtype = self.layer.through.dtype
        # Neither bound is reached: the logarithms of 0 and of |lambda| = 1 are not.
        ring = jax.random.uniform(ring_key, (modes,), dtype, minval=1e-6)
        square = ring * (r_max**2 - r_min**2) + r_min**2
        rate = jnp.maximum(-0.5 * jnp.log(square), 2 * MINIMUM_RATE)
        self.log_rate = jnp.log(rate - MINIMUM_RATE)
        turn = jax.random.uniform(phase_key, (modes,), dtype, minval=1e-6)
        self.log_phase = jnp.log(max_phase * turn)
        self.log_gain = 0.5 * jnp.log(-jnp.expm1(-2 * rate))

    def dynamics(self) -> Dynamics:
        """Lambda, and the real gain."""
        decay = rotating_decay(jnp.exp(self.log_rate), jnp.exp(self.log_phase))
        return Dynamics(decay, jnp.exp(self.log_gain))

    def initial_state(self) -> State:
        """Zeros: the real and the imaginary part of h."""
        return self.layer.initial_state()

    def __call__(
        self,
        state: State,
        inputs: Float[Array, "time features"],
        starts: Bool[Array, " time"],
    ) -> tuple[State, Float[Array, "time outputs"]]:
        """Drive the modes with all inputs, scan them, read them all."""
        return self.layer.sequence(self.dynamics(), state, inputs, starts)

    def step(
        self,
        state: State,
        input: Float[Array, " features"],
        start: Bool[Array, ""],
    ) -> tuple[State, Float[Array, " outputs"]]:
        """One step of the recurrence, without a loop around it."""
        return self.layer.step(self.dynamics(), state, input, start)

    @property
    def card(self) -> Card:
        """What the model is."""
        return Card(
            paper="Orvieto et al. 2023, arXiv:2303.06349",
            mechanism="linear scan",
            context=None,
            summary="learned complex decays on a ring",
            use="long lags, trained in parallel on accelerators",
        )
