"""The physics of a pole on a cart, and how long random pushes keep it up."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from envs.base import Return, simulated

SECONDS, FORCE = 0.02, 10.0  # of a step
TRACK, TILT = 2.4, math.radians(12)  # the farthest that are no fall
START = 0.05  # the farthest start of each of the four numbers


def advance(state: Any, right: Any, xp: Any = jnp) -> tuple[Any, Any, Any, Any]:
    """Position, speed, angle and turning a step later: Gymnasium's CartPole.

    A cart of 1 kg without friction and a pole of 0.1 kg, 1 m long (Florian 2007), by
    explicit Euler steps. `xp` is jax.numpy or numpy.
    """
    position, speed, angle, turning = state
    force = xp.where(right, FORCE, -FORCE).astype(angle.dtype)
    sine, cosine = xp.sin(angle), xp.cos(angle)
    push = (force + 0.05 * turning**2 * sine) / 1.1
    pole = (9.8 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
    cart = push - 0.05 * pole * cosine / 1.1
    return (
        position + SECONDS * speed,
        speed + SECONDS * cart,
        angle + SECONDS * turning,
        turning + SECONDS * pole,
    )


def fell(position: Any, angle: Any) -> Any:
    """Whether the cart left its track or the pole tilted too far."""
    return (abs(position) > TRACK) | (abs(angle) > TILT)


@functools.cache
def random_return(steps: int) -> Return:
    """Return of uniformly random pushes, which last for 22.2 steps on average."""
    episodes = 2**15
    rng = np.random.default_rng(0)
    numbers = rng.uniform(-START, START, (4, episodes)).astype(np.float32)
    lasted = np.zeros(0)
    for time in range(1, steps + 1):
        right = rng.integers(0, 2, numbers.shape[1], np.int8) > 0
        numbers = np.stack(advance(numbers, right, np))
        stands = ~fell(numbers[0], numbers[2]) & (time < steps)
        lasted = np.append(lasted, np.full((~stands).sum(), time))
        numbers = numbers[:, stands]
        if not stands.any():
            break
    error = lasted.std() / math.sqrt(episodes) / steps
    return simulated(float(lasted.mean() / steps), episodes, float(1.96 * error))
