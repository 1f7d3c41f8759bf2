"""What POPGym's tasks share beyond cards: limits of their parameters, and noise."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from envs.base import Return, unknown

PAPER = 'Morad et al. 2023, "POPGym"'


def check_steps(name: str, steps: int, least: int = 2) -> None:
    """Refuse episodes too short to remember anything in, or too long to be counted.

    Raises:
        ValueError: `steps` is below `least` or does not fit into 32 bits.
    """
    if not least <= steps < 2**31:
        raise ValueError(
            f"{name} needs steps of at least {least}, or nothing could be remembered, "
            f"and below 2**31, where clocks wrap; not {steps}."
        )


def check_sigma(name: str, sigma: float) -> None:
    """Refuse a standard deviation that is none.

    Raises:
        ValueError: `sigma` is negative or not finite.
    """
    if not 0 <= sigma < math.inf:
        raise ValueError(
            f"{name} needs a sigma of at least 0, the standard deviation of the noise, "
            f"and finite; not {sigma}."
        )


def with_noise(
    key: PRNGKeyArray,
    shown: Float[Array, " n"],
    sigma: float,
    high: Float[Array, " n"] | float,
) -> Float[Array, " n"]:
    """`shown` with normal noise on it, clipped to [-high, high]; as it is without."""
    if sigma == 0:
        return shown
    noise = sigma * jax.random.normal(key, shown.shape, shown.dtype)
    return jnp.clip(shown + noise, -high, high)


def unknown_without_memory() -> Return:
    """The memoryless return of a physical system of which a part is seen."""
    return unknown(
        "the best stationary policy of a continuous, nonlinear system seen in part has "
        "no closed form, and no search could prove it the best"
    )


def unknown_through_noise() -> Return:
    """What the best filter and controller of such a system return."""
    return unknown("the optimal control of a nonlinear system seen with noise")
