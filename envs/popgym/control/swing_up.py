"""The pendulum's physics, and its swing-up planned by dynamic programming.

Costs to go are kept on a grid of angles and speeds and interpolated linearly. Torques
are a few equidistant ones. The plan ignores how much time is left: within a hundred
steps the pendulum stands, and standing costs nothing.
"""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

FASTEST, STRONGEST = 8.0, 2.0
SECONDS = 0.05  # per step


def advance(angle: Any, speed: Any, torque: Any, xp: Any = jnp) -> tuple[Any, Any]:
    """Angle from upright and speed a step later: Gymnasium's Pendulum.

    A rod of 1 kg and 1 m in a gravity of 10 m/s^2; the speed is limited. `xp` is
    jax.numpy or numpy.
    """
    faster = speed + (15.0 * xp.sin(angle) + 3.0 * torque) * SECONDS
    faster = xp.clip(faster, -FASTEST, FASTEST)
    return angle + faster * SECONDS, faster


def cost(angle: Any, speed: Any, torque: Any) -> Any:
    """What a step costs: at most pi^2 + 6.4 + 0.004 = 16.2736."""
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    return wrapped**2 + 0.1 * speed**2 + 0.001 * torque**2


def torques(number: int) -> np.ndarray:
    """The torques that the plan chooses from."""
    return np.linspace(-STRONGEST, STRONGEST, number)


def _corners(angle: Any, speed: Any, shape: tuple[int, int], xp: Any) -> list[tuple]:
    """The four grid points around a state, `(row, column, weight)`."""
    row = (angle / (2 * np.pi) + 0.5) * shape[0]
    column = (speed / FASTEST + 1.0) * ((shape[1] - 1) / 2)
    first, left = xp.floor(row), xp.clip(xp.floor(column), 0, shape[1] - 2)
    down, right = row - first, column - left
    top, left = first.astype(xp.int32) % shape[0], left.astype(xp.int32)
    bottom = (top + 1) % shape[0]
    return [
        (top, left, (1 - down) * (1 - right)),
        (top, left + 1, (1 - down) * right),
        (bottom, left, down * (1 - right)),
        (bottom, left + 1, down * right),
    ]


@functools.cache
def plan(angles: int = 101, speeds: int = 81, choices: int = 9, steps: int = 100):
    """Costs to go of `steps` steps, `[angles, speeds]`, in float32."""
    angle = (np.arange(angles) / angles - 0.5) * (2 * np.pi)
    speed = np.linspace(-FASTEST, FASTEST, speeds)
    grid = np.meshgrid(angle, speed, torques(choices), indexing="ij")
    corners = [
        (row * speeds + column, weight.astype(np.float32))
        for row, column, weight in _corners(*advance(*grid, np), (angles, speeds), np)
    ]
    now = cost(*grid).astype(np.float32)
    ahead = np.zeros(angles * speeds, np.float32)
    for _ in range(steps):
        total = now.copy()
        for index, weight in corners:
            total += weight * ahead[index]
        ahead = total.min(-1).ravel()
    return ahead.reshape(angles, speeds)


def outlook(costs: Any, angle: Any, speed: Any, choices: int, xp: Any = jnp) -> Any:
    """What each torque now and the plan's costs `costs` afterwards cost.

    `angle` and `speed` have any shape, to which an axis of torques is added.
    """
    torque = xp.asarray(torques(choices), angle.dtype)
    angle, speed = angle[..., None], speed[..., None]
    torque = torque.reshape((1,) * (angle.ndim - 1) + (choices,))
    after = advance(angle, speed, torque, xp)
    total = cost(angle, speed, torque)
    for row, column, weight in _corners(*after, costs.shape, xp):
        total = total + weight * costs[row, column].astype(angle.dtype)
    return total
