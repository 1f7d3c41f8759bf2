"""The table as a picture for people: from above, the robot at the bottom."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt8

from envs import draw
from envs.robot.seeing.seen import Looks
from envs.robot.tabletop import Thing, World

SIZE = draw.SCENE
_SCALE = 0.72 / SIZE
"""Metres a pixel."""
FINGER_LENGTH, PALM = 0.045, 0.03
"""How tall the fingers and, above them, the palm are drawn, metres."""
COLOURS = {
    **{"red": (220, 40, 40), "lime": (60, 220, 60), "blue": (50, 80, 230)},
    **{"yellow": (240, 230, 60), "magenta": (230, 60, 230), "cyan": (70, 230, 230)},
    **{"maroon": (128, 20, 20), "orange": (255, 150, 30), "teal": (20, 128, 128)},
    **{"white": (250, 250, 250), "black": (5, 5, 5), "dark": (70, 70, 70)},
    **{"green": (20, 160, 60), "": (160, 150, 130)},
}
"""Red, green and blue of the names of `Appearance`; of nothing, a mug's."""


def from_above(
    things: tuple[Thing, ...],
    world: World,
    looks: Looks,
    colours: tuple[str, ...],
    view: float = 1.0,
) -> UInt8[Array, "size size 3"]:
    """What is visible, in its colour, and the gripper as a ring, smaller when low.

    Args:
        things: of the table.
        world: as it is.
        looks: what they look like.
        colours: that they may have, by name.
        view: how many times as much of the table is seen as usual.
    """
    scale = _SCALE * view
    names = colours or ("",)
    table = jnp.asarray(np.array([COLOURS[name] for name in names], np.uint8))
    across = (SIZE - 1) / 2 - jnp.arange(SIZE, dtype=jnp.float32)
    x, y = (scale * across)[:, None], (scale * across)[None, :]
    colour = jnp.zeros(len(things), jnp.int32) if looks.colour is None else looks.colour
    image = draw.canvas(SIZE, SIZE)
    # What is wide lies below what may stand on it.
    for i in sorted(range(len(things)), key=lambda i: -things[i].half[0]):
        thing = things[i]
        place = world.position[i].astype(jnp.float32)
        yaw = world.yaw[i].astype(jnp.float32)
        cosine, sine = jnp.cos(yaw), jnp.sin(yaw)
        along = cosine * (x - place[0]) + sine * (y - place[1])
        beside = cosine * (y - place[1]) - sine * (x - place[0])
        half_x, half_y = (max(half, scale) for half in thing.half[:2])
        if thing.form == "box":
            inside = (jnp.abs(along) <= half_x) & (jnp.abs(beside) <= half_y)
        else:
            inside = along**2 + beside**2 <= half_x**2
        shown = (inside & looks.visible[i])[..., None]
        image = jnp.where(shown, table[colour[i]], image)
    tool = world.gripper.position.astype(jnp.float32)
    distance = jnp.sqrt((x - tool[0]) ** 2 + (y - tool[1]) ** 2)
    radius = 0.02 + 0.15 * tool[2]
    ring = jnp.abs(distance - radius) <= 0.7 * scale
    return jnp.where(ring[..., None], jnp.asarray(draw.AGENT), image)
