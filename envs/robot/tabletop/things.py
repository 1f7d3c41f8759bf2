"""What stands on a table: descriptions that never change during an episode."""

import dataclasses
import math
from typing import Any, Literal

GRAVITY = 9.81
DENSITY = 1000.0
"""Of everything that moves, kg/m^3: a cube of 4 cm has 64 g."""


@dataclasses.dataclass(frozen=True)
class Thing:
    """One thing: its form, and what physics may do with it.

    Lengths in metres. A thing that `moves` is pushed, slides, falls and is carried. One
    that is only `solid` stops what moves and stays. Any other is a ghost: the gripper
    and everything else pass through it, as tasks want of what is merely looked at,
    touched without being moved, or shown by a script.

    Attributes:
        kind: what people call it, such as `cube` or `lamp`.
        form: `box`, an upright `cylinder` or a `ball`.
        half: half its extent along its own x, y and z: of a cylinder the radius twice
            and half the height, of a ball the radius three times.
        moves: whether physics moves it.
        solid: whether it stops what moves.
        friction: coefficient against the table and everything else but the fingers.
        grip: coefficient against the fingers.
        restitution: share of the approach speed that a collision gives back.
        rolling: deceleration of a rolling ball, as a share of gravity.
    """

    kind: str
    form: Literal["box", "cylinder", "ball"]
    half: tuple[float, float, float]
    moves: bool = False
    solid: bool = False
    friction: float = 0.3
    grip: float = 1.15
    restitution: float = 0.0
    rolling: float = 0.0

    def __post_init__(self) -> None:
        if not all(0 < length < math.inf for length in self.half):
            raise ValueError(
                f"a {self.kind} needs three half extents above 0, in metres; not "
                f"{self.half}."
            )
        if self.form != "box" and self.half[0] != self.half[1]:
            raise ValueError(
                f"a {self.kind} of form {self.form} is as long as it is wide; "
                f"half is {self.half}."
            )

    @property
    def volume(self) -> float:
        """In cubic metres."""
        x, y, z = self.half
        return {
            "box": 8 * x * y * z,
            "cylinder": 2 * math.pi * x * y * z,
            "ball": 4 / 3 * math.pi * x * y * z,
        }[self.form]

    @property
    def mass(self) -> float:
        """In kilograms."""
        return DENSITY * self.volume

    @property
    def inertia(self) -> float:
        """About its vertical axis, kg m^2."""
        x, y, _ = self.half
        share = {"box": (x * x + y * y) / 3, "cylinder": x * x / 2}
        return self.mass * share.get(self.form, 0.4 * x * x)


def cube(half: float = 0.02, kind: str = "cube", **physics: Any) -> Thing:
    """A cube of `half` an edge."""
    return Thing(kind, "box", (half, half, half), **physics)


def ball(radius: float = 0.02, kind: str = "ball", **physics: Any) -> Thing:
    """A ball."""
    return Thing(kind, "ball", (radius, radius, radius), **physics)


def cylinder(kind: str, radius: float, half: float, **physics: Any) -> Thing:
    """An upright cylinder, `half` its height above and below its middle."""
    return Thing(kind, "cylinder", (radius, radius, half), **physics)
