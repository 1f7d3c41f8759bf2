"""How the pole on a cart looks."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from envs import draw
from envs.base import Return, simulated, unknown
from envs.pixels.tiles import Picture, blank, gauge
from envs.popgym.control import balancing
from envs.popgym.control.cartpole import CartPole, CartPoleState

_GAUGE = 7  # rows of each of the four gauges in a picture of 64
_PLAYED_STARTS, _PLAYED_STEPS = 2**14, 1000


HALF = {"positions": (0.5, 0.05), "velocities": (0.5, 0.5)}
"""What a gauge shows half full: in metres and radians, and those per second."""


def squashed(number: Float[Array, ""], half: float) -> Float[Array, ""]:
    """A number without limits as one between -1 and 1, one half for `half`."""
    return number / (half + jnp.abs(number))


def cartpole(
    task: CartPole,
    observation: Float[Array, "2"],
    state: CartPoleState,
    image_size: int,
    everything: bool,
) -> Picture:
    """Cart and pole where positions are seen; below, gauges for all that is seen.

    From above: position, angle, speed, turning. The full face shows the state itself,
    without noise.
    """
    unit = image_size // 64
    height = _GAUGE * unit
    first, second = observation
    shown = {task.observed: (first, second)}
    if everything:
        numbers = [number.astype(jnp.float32) for number in state[:4]]
        shown = {"positions": numbers[::2], "velocities": numbers[1::2]}
    gauges = [blank(height, image_size)] * 4
    scene = blank(image_size - 4 * height, image_size)
    for i, name in enumerate(HALF):
        for j, number in enumerate(shown.get(name, ())):
            value = squashed(number, HALF[name][j])
            gauges[2 * i + j] = gauge(value, height, image_size)
    if "positions" in shown:
        scene = _cart(scene, *shown["positions"])
    return jnp.concatenate([scene, *gauges])


def best(task: CartPole) -> Return:
    """What the oracle's rule returns for numbers read off pictures."""
    if task.steps > _PLAYED_STEPS:
        return unknown(f"played from pictures for {_PLAYED_STEPS:,} steps only")
    return simulated(
        1.0,
        _PLAYED_STARTS,
        3 / _PLAYED_STARTS,
        "the most there is; none of the starts played fell: as the oracle, from "
        "numbers read off the gauges, velocities from differences or positions from "
        "sums where they are not drawn",
    )


def _cart(
    image: Picture, position: Float[Array, ""], angle: Float[Array, ""]
) -> Picture:
    """Draw cart and pole, its tilt doubled, on a track twice as long as is allowed."""
    height, width = image.shape[:2]
    unit = width // 64
    ground = height - 6 * unit
    middle = (position / (2 * balancing.TRACK) + 1) * (width / 2)
    left = (middle - 5 * unit).round().astype(jnp.int32)
    image = draw.rectangle(image, (height - 2 * unit, 0), (unit, width), draw.MARK)
    image = draw.rectangle(image, (ground, left), (4 * unit, 10 * unit), draw.AGENT)
    length = ground - 2.0 * unit
    foot = jnp.stack([jnp.full_like(middle, ground), middle])
    pole = length * jnp.stack([-jnp.cos(2 * angle), jnp.sin(2 * angle)])
    return draw.rod(image, jnp.stack([foot, foot + pole]), 2.5 * unit, draw.FLOOR)
