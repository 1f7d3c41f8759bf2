"""Buttons: a stroke counts when the tool has pressed and been lifted again."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from envs.robot.tabletop import Thing
from envs.robot.tabletop.things import cylinder

TRAVEL = 0.014
_CAP_TOP = 0.058
_TOOL = 0.03
"""How far the fingers reach below the height at which they begin to press, metres."""
_PRESS, _ARM = 0.35, 0.2
"""Shares of the travel: pressed from the first on, armed again up to the second."""
PRESSED_AT = _CAP_TOP + _TOOL - _PRESS * TRAVEL
"""Height of the tool centre point below which a button is pressed."""
LIFT = 0.09
"""Metres above that to which the tool must be lifted before the next stroke; the
original has .085 to .1."""
_RADIUS = 0.065
"""How far beside the middle a press counts, metres."""


def button() -> Thing:
    """A cap on a base."""
    return cylinder("button", 0.03, _CAP_TOP / 2)


class Button(NamedTuple):
    """Whether the button waits for the tool to be lifted."""

    down: Bool[Array, ""]

    def advance(
        self,
        tool: Float[Array, "3"],
        place: Float[Array, "3"],
    ) -> tuple["Button", Bool[Array, ""], Bool[Array, ""]]:
        """Follow the tool for a step.

        Args:
            tool: its centre point.
            place: the button's.

        Returns:
            the button, whether it has just been pressed, whether a stroke has just
            been completed by lifting.
        """
        depth = press_depth(tool, place)
        hit = ~self.down & pressed(depth)
        high = tool[2] >= PRESSED_AT + LIFT
        lifted = self.down & ready(depth) & high
        return Button((self.down & ~lifted) | hit), hit, lifted


def fresh() -> Button:
    """A button that nobody has pressed."""
    return Button(jnp.zeros((), bool))


def press_depth(
    tool: Float[Array, "3"], place: Float[Array, "3"], radius: float = _RADIUS
) -> Float[Array, ""]:
    """How far the cap is pushed in, from 0 to `TRAVEL`.

    Args:
        tool: its centre point.
        place: the button's.
        radius: how far beside the middle a press counts, metres.
    """
    offset = tool[:2] - place[:2]
    over = (offset**2).sum() <= radius**2
    depth = jnp.clip(_CAP_TOP + _TOOL - tool[2], 0.0, TRAVEL)
    return jnp.where(over, depth, jnp.zeros_like(depth))


def pressed(depth: Float[Array, "*caps"]) -> Bool[Array, "*caps"]:
    """Whether a cap that is pushed in so far counts as pressed."""
    return depth >= _PRESS * TRAVEL


def ready(depth: Float[Array, "*caps"]) -> Bool[Array, "*caps"]:
    """Whether a cap that is pushed in so far may be pressed again."""
    return depth <= _ARM * TRAVEL


def stroke(
    tool: Float[Array, "3"], place: Float[Array, "3"], lift: Bool[Array, ""]
) -> Float[Array, "3"]:
    """Where the tool goes next: above the button, down to press it, or to `lift`."""
    offset = tool[:2] - place[:2]
    aside = (offset**2).sum() > 0.03**2
    high, low = PRESSED_AT + LIFT + 0.02, PRESSED_AT - 0.02
    height = jnp.where(lift | aside, high, low)
    return jnp.concatenate([place[:2], height[None].astype(place.dtype)])
