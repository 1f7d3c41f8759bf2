"""From keys to actions, for every kind of action that tasks take."""

import abc
from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.base import Environment
from envs.robot.task import RobotTask

LETTERS = "abcdefgijklmnopqstuvwyz"
"""For actions in their order; h, r and x have a meaning of their own."""
_ARROWS = {
    **dict.fromkeys(("up", "north", "N", "forward", "higher"), "up"),
    **dict.fromkeys(("down", "south", "S", "lower"), "down"),
    **dict.fromkeys(("left", "west", "W"), "left"),
    **dict.fromkeys(("right", "east", "E"), "right"),
}
_ENDS = ("enter", "space", ",")
AXES = (("left", "right"), ("down", "up"), ("s", "w"), ("e", "q"), ("c", "o"))
"""For each axis of a Box the keys that lower and raise it."""
HAND = (("down", "up"), ("right", "left"), ("s", "w"), ("e", "q"), ("c", "o"))
"""The same for robot tasks, as their picture shows the table."""
_MOTIONS = ("away, back", "left, right", "up, down", "turn", "open, close the fingers")
_ALIAS = {"pageup": "w", "pagedown": "s"}
_FINE = 0.25
"""Share of the range that a key moves with shift."""


class Controls(abc.ABC):
    """What the keys do.

    Attributes:
        pending: what has been typed of an action that is not complete.
        help: lines that say what the keys do.
        refusal: why the last key did nothing, if it was meant to do something.
    """

    pending: str = ""
    refusal: str = ""
    help: list[str]

    @abc.abstractmethod
    def press(self, key: str) -> Any:
        """The action that a key completes, or None."""

    @abc.abstractmethod
    def tell(self, action: Any) -> str:
        """An action in words."""


class Choice(Controls):
    """One of several: letters, digits, and arrows where the names are directions."""

    def __init__(self, space: spaces.Discrete, names: tuple[str, ...]) -> None:
        self._start, self._count = int(space.start), int(space.n)
        self._names = names
        self._keys: dict[str, int] = {}
        if self._count <= len(LETTERS):
            self._keys |= {LETTERS[i]: i for i in range(self._count)}
        if self._at_once:
            last = range(self._start, self._start + self._count)
            self._keys |= {str(value): value - self._start for value in last}
        arrows = {_ARROWS[name]: i for i, name in enumerate(names) if name in _ARROWS}
        self._keys |= arrows
        self.help = self._told()

    @property
    def _at_once(self) -> bool:
        """Whether one digit says which."""
        return self._start >= 0 and self._start + self._count <= 10

    def _told(self) -> list[str]:
        if self._names:
            keys: dict[int, list[str]] = {}
            for key, i in self._keys.items():
                keys.setdefault(i, []).append(key)
            rows = keys.items()
            return [f"{' or '.join(found)}: {self._names[i]}" for i, found in rows]
        lines = []
        if self._count <= len(LETTERS):
            lines.append(f"a to {LETTERS[self._count - 1]}: one of {self._count}")
        few = "a digit" if self._at_once else "a number, then Enter"
        last = self._start + self._count - 1
        return [*lines, f"{few}: {self._start} to {last}"]

    def press(self, key: str) -> Any:
        """See `Controls`."""
        self.refusal = ""
        if key in self._keys:
            self.pending = ""
            return jnp.int32(self._keys[key] + self._start)
        value = None if self._at_once else _typed(self, key)
        if value is None:
            return None
        if not self._start <= value < self._start + self._count:
            last = self._start + self._count - 1
            self.refusal = f"{value} is not from {self._start} to {last}"
            return None
        return jnp.int32(value)

    def tell(self, action: Any) -> str:
        """See `Controls`."""
        number = int(action)
        return self._names[number - self._start] if self._names else str(number)


class Numbers(Controls):
    """Several numbers, one after the other."""

    def __init__(self, space: spaces.MultiDiscrete | spaces.Box) -> None:
        self._shape, self._dtype = tuple(space.shape or ()), np.dtype(space.dtype)
        self._whole = isinstance(space, spaces.MultiDiscrete)
        if isinstance(space, spaces.MultiDiscrete):
            self._dtype = np.dtype(np.int32)
            self._low = np.ravel(space.start)
            self._high = self._low + np.ravel(space.nvec) - 1
        else:
            self._low, self._high = np.ravel(space.low), np.ravel(space.high)
        # A digit alone says which, where none needs two.
        self._at_once = self._whole and 0 <= self._low.min() <= self._high.max() <= 9
        self._given: list[float] = []
        self._prompt()

    def _prompt(self) -> None:
        number = min(len(self._given), len(self._low) - 1)
        low, high = self._low[number], self._high[number]
        ends = "" if self._at_once else ", then Enter"
        self.help = [
            f"number {number + 1} of {len(self._low)}: {low:g} to {high:g}{ends}"
        ]

    def press(self, key: str) -> Any:
        """See `Controls`."""
        self.refusal = ""
        if key == "backspace" and not self.pending and self._given:
            self._given.pop()
            self._prompt()
            return None
        if self._at_once:
            value = int(key) if key in tuple("0123456789") else None
        else:
            value = _typed(self, key, whole=self._whole)
        if value is None:
            return None
        low, high = (bound[len(self._given)] for bound in (self._low, self._high))
        if not low <= value <= high:
            self.refusal = f"{value:g} is not from {low:g} to {high:g}"
            return None
        self._given.append(value)
        action = None
        if len(self._given) == len(self._low):
            action = jnp.asarray(np.reshape(self._given, self._shape), self._dtype)
            self._given = []
        self._prompt()
        return action

    def tell(self, action: Any) -> str:
        """See `Controls`."""
        return " ".join(f"{value:g}" for value in np.ravel(action))


class Axes(Controls):
    """A few axes: a key lowers or raises one for one step, the others rest."""

    def __init__(self, space: spaces.Box) -> None:
        bounded = space.is_bounded()
        self._low = np.ravel(space.low) if bounded else -np.ones(space.shape).ravel()
        self._high = np.ravel(space.high) if bounded else np.ones(space.shape).ravel()
        self._space = space
        self._pairs = AXES[: len(self._low)]
        self._names = tuple(f"axis {i + 1}" for i in range(len(self._low)))
        self.help = [
            f"{up}, {down}: axis {i + 1}, {self._high[i]:g} or {self._low[i]:g}"
            for i, (down, up) in enumerate(self._pairs)
        ]
        self.help.append("with shift a quarter; space: rest")

    def press(self, key: str) -> Any:
        """See `Controls`."""
        value = self._value(key)
        if value is None:
            return None
        value = np.clip(value, self._low, self._high).astype(self._space.dtype)
        return jnp.asarray(value.reshape(self._space.shape or ()))

    def _value(self, key: str) -> np.ndarray | None:
        """The numbers that a key stands for."""
        value = np.zeros(len(self._low))
        if key == "space":
            return value
        bare = key.removeprefix("shift ")
        fine = bare != key or (len(key) == 1 and key.isupper())
        bare = _ALIAS.get(bare, bare.lower())
        for i, pair in enumerate(self._pairs):
            if bare in pair:
                bound = (self._low, self._high)[pair.index(bare)][i]
                value[i] = bound * (_FINE if fine else 1.0)
                return value
        return None

    def tell(self, action: Any) -> str:
        """See `Controls`."""
        named = zip(self._names, np.ravel(action), strict=True)
        moved = [f"{name} {value:+.2f}" for name, value in named if value]
        return ", ".join(moved) or "rest"


class Hand(Axes):
    """The hand of a robot task, whose actions may be discrete."""

    def __init__(self, task: RobotTask) -> None:
        super().__init__(spaces.Box(-1.0, 1.0, (5,), np.float32))
        self._task = task
        self._pairs, self._names = HAND, ("x", "y", "z", "turn", "fingers")
        self.help = [
            f"{up}, {down}: {motion}"
            for (down, up), motion in zip(HAND, _MOTIONS, strict=True)
        ]
        self.help.append("with shift a quarter as fast; space: rest")

    def press(self, key: str) -> Any:
        """See `Controls`."""
        value = self._value(key)
        return None if value is None else self._task._action(jnp.asarray(value))

    def tell(self, action: Any) -> str:
        """See `Controls`."""
        return str(int(action)) if np.ndim(action) == 0 else super().tell(action)


def _typed(controls: Controls, key: str, *, whole: bool = True) -> Any:
    """The number that a key ends; other keys are noted or mean nothing."""
    if key == "backspace":
        controls.pending = controls.pending[:-1]
    elif key in _ENDS and controls.pending:
        text, controls.pending = controls.pending, ""
        try:
            return int(text) if whole else float(text)
        except ValueError:
            controls.refusal = f"{text!r} is no number"
    elif len(key) == 1 and key in ("0123456789-" if whole else "0123456789-.e"):
        controls.pending += key
    return None


def controls_for(env: Environment) -> Controls:
    """The controls of a task.

    Raises:
        ValueError: its actions are of a kind that no keys stand for.
    """
    space: gymnasium.Space = env.action_space
    if isinstance(env, RobotTask):
        return Hand(env)
    if isinstance(space, spaces.Discrete):
        return Choice(space, env.card.actions)
    if isinstance(space, spaces.MultiDiscrete):
        return Numbers(space)
    if isinstance(space, spaces.Box):
        small = np.size(space.low) <= len(AXES)
        return Axes(space) if small else Numbers(space)
    raise ValueError(
        f"{type(env).__name__} takes actions in {space}; by hand only Discrete, "
        "MultiDiscrete and Box can be played."
    )
