"""S5: a discretised state space whose modes begin as those of HiPPO."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from memory_models.base import Card, MemoryModel, Sizing
from memory_models.linear.state_space import (
    Dynamics,
    Modes,
    State,
    StateSpaceLayer,
    zero_order_hold,
)


class SimplifiedStateSpace(MemoryModel):
    """S5 (Smith et al. 2023): one layer, that is norm, state space, gate and skip.

        dh/dt = Lambda h + v B,   y = 2 Re(h C) + D * v              (continuous)
        h_t = exp(Lambda step) * h_{t-1} + gain * (v_t B)            (discrete)
        Lambda = -exp(log_rate) + 1j * frequency
        gain = (exp(Lambda step) - 1) / Lambda                       (zero-order hold)

    The rest of the layer is `StateSpaceLayer`, with the paper's weighted gate
    w * sigmoid(w W_g + b_g). Of each conjugate pair of modes one is kept, and twice its
    real part read; the 2 is part of C.

    At the start Lambda holds the eigenvalues of `blocks` equal normal HiPPO-LegS
    matrices. The authors also change B and C to the basis of the eigenvectors: that
    basis is unitary, so normal B and C are as normal as before, and are drawn there.

    The authors leave the real part of Lambda free, or clip it. Here it is negative, and
    `Lambda step` has a real part of at most -1e-6, so that |exp(Lambda step)| < 1 in
    float32 whatever is learned, without a range in which gradients are zero.

    Attributes:
        layer: B, C, D, encoder and gate.
        log_rate: log(-Re Lambda).
        frequency: Im Lambda.
        log_step: log of each mode's step size.
    """

    sizing = Sizing(state="modes", state_unit="blocks")

    layer: StateSpaceLayer
    log_rate: Modes
    frequency: Modes
    log_step: Modes

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        key: PRNGKeyArray,
        modes: int = 64,
        blocks: int = 8,
        step_min: float = 0.001,
        step_max: float = 0.1,
    ):
        """Draw the weights.

        Args:
            input_size: width of the features.
            output_size: width of the output.
            key: for the weights.
            modes: complex numbers in the state, half of the paper's P.
            blocks: HiPPO matrices, the paper's J; divides `modes`.
            step_min: smallest step size at the start.
            step_max: largest step size at the start; between the two, their logarithms
                are uniform.

        Raises:
            ValueError: sizes below 1, modes that blocks do not divide, or a range of
                step sizes that is empty or not above 0.
        """
        if modes < 1 or blocks < 1 or modes % blocks or not 0 < step_min <= step_max:
            raise ValueError(
                "s5 needs modes >= 1 that blocks >= 1 divide (blocks are equal) and "
                f"0 < step_min <= step_max; got modes={modes}, blocks={blocks}, "
                f"step_min={step_min}, step_max={step_max}."
            )
        layer_key, step_key = jax.random.split(key)
        self.layer = StateSpaceLayer(
            input_size,
            output_size,
            modes,
            read_scale=4.0,
            linear_value=False,
            key=layer_key,
        )
        dtype = self.layer.through.dtype
        self.log_rate = jnp.full(modes, np.log(0.5), dtype)
        frequencies = np.tile(hippo_frequencies(modes // blocks), blocks)
        self.frequency = jnp.asarray(frequencies, dtype)
        low, high = np.log(step_min), np.log(step_max)
        uniform = jax.random.uniform(step_key, (modes,), dtype)
        self.log_step = low + (high - low) * uniform

    def dynamics(self) -> Dynamics:
        """Zero-order hold, with z = Lambda step: exp(z), and (exp(z) - 1) / Lambda."""
        return zero_order_hold(
            jnp.exp(self.log_rate), self.frequency, jnp.exp(self.log_step)
        )

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
            paper="Smith et al. 2023, arXiv:2208.04933",
            mechanism="linear scan",
            context=None,
            summary="a discretised state space from HiPPO",
            use="long lags and smooth signals",
        )


def hippo_frequencies(modes: int) -> np.ndarray:
    """Im Lambda of one of each conjugate pair of modes of the normal part of HiPPO.

    With n = 0, 1, ..., 2 * modes - 1 the normal part of the HiPPO-LegS matrix is -1/2
    on the diagonal and -+ sqrt((n + 1/2) (k + 1/2)) below and above it (HiPPO-N in
    Smith et al. 2023). All eigenvalues have the real part -1/2. Their imaginary parts
    are found, in float64, as the eigenvalues of a Hermitian matrix: the rest, times 1j.

    Args:
        modes: frequencies kept, of twice as many eigenvalues; radians per unit of time.
    """
    root = np.sqrt(np.arange(2 * modes) + 0.5)
    upper = np.triu(np.outer(root, root), 1)
    return np.linalg.eigvalsh(1j * (upper.T - upper))[modes:]
