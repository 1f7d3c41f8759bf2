"""The optimiser that agents share."""

from typing import Any

import optax


def adam(
    learning_rate: float, *, max_gradient_norm: float, annealed_over: int | None
) -> optax.GradientTransformation:
    """Adam on gradients whose global norm is clipped.

    Args:
        learning_rate: at the start.
        max_gradient_norm: to which gradients are clipped.
        annealed_over: steps over which the rate falls linearly to 0; None keeps it.
    """
    rate: Any = learning_rate
    if annealed_over is not None:
        rate = optax.linear_schedule(learning_rate, 0.0, annealed_over)
    return optax.chain(
        optax.clip_by_global_norm(max_gradient_norm), optax.adam(rate, eps=1e-5)
    )
