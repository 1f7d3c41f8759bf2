"""Tasks seen as pictures, and their twins in which nothing is hidden.

Everything but the observation is the task's own: state, actions, rewards, ends, info,
oracle. How a task looks is a function of its family's `*_faces.py`.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, PRNGKeyArray, UInt8

from envs.base import (
    Action,
    Card,
    Environment,
    Observation,
    Return,
    State,
    Transition,
)

SIZES = (64, 128)
LEAST = 3  # pixels of a tile
Picture = UInt8[Array, "size size 3"]
Draw = Callable[[Any, Observation, State, int, bool], Picture]


class Face(NamedTuple):
    """How the tasks of a class look.

    Attributes:
        draw: from the task, its observation and state, the size of the picture and
            whether to draw everything. Then all must be drawn of the state that the
            best action depends on; else what is observed and nothing more.
        draws_action: whether the previous action can be seen in the picture, so that
            agents need it as no other input.
        best: what the best player returns who reads numbers off a picture, where that
            is not as good as seeing them; by default what is on the task's own card.
        side: from the task and the size of the picture, the pixels of its smallest
            tile; None where all fit.
    """

    draw: Draw
    draws_action: bool = False
    best: Callable[[Any], Return] | None = None
    side: Callable[[Any, int], int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pixels(Environment):
    """A task that is observed as pictures; `pixels_of` makes the class for a task.

    Its parameters are the task's, and two more. With `partial_obs` the picture shows
    what the task's own observation says: the same observation gives the same picture,
    and another one another. Without, it shows all of the state that matters: the same
    task, with nothing to remember, so that the cost of a memory can be measured where
    none is needed. Pictures are uint8 `[image_size, image_size, 3]`.

    Attributes:
        image_size: rows and columns of the picture, 64 or 128.
        partial_obs: whether only what the task shows is drawn.
    """

    image_size: int = 64
    partial_obs: bool = True

    target: ClassVar[type[Environment]]
    face: ClassVar[Face]

    def __post_init__(self) -> None:
        if self.image_size not in SIZES:
            raise ValueError(
                f"{type(self).__name__} draws pictures of {SIZES[0]} or {SIZES[1]} "
                f"pixels a side, not {self.image_size}; set image_size to one of these."
            )
        task, side = self.task, type(self).face.side  # the task checks its own
        for field in dataclasses.fields(task):  # and makes a tuple of a list
            object.__setattr__(self, field.name, getattr(task, field.name))
        pixels = side(task, self.image_size) if side else LEAST
        if pixels < LEAST:
            raise ValueError(
                f"{task} in a picture of {self.image_size} pixels a side leaves "
                f"{pixels} for a tile, and {LEAST} are needed to show what is on it; "
                "take a larger image_size or a smaller task."
            )

    @functools.cached_property
    def task(self) -> Environment:
        """The task as it is without pictures."""
        names = [field.name for field in dataclasses.fields(self.target)]
        return self.target(**{name: getattr(self, name) for name in names})

    def picture(self, observation: Observation, state: State) -> Picture:
        """What the agent sees: of the task's observation, or of its state."""
        everything = not self.partial_obs
        face = type(self).face
        return face.draw(self.task, observation, state, self.image_size, everything)

    def reset(self, key: PRNGKeyArray) -> tuple[Picture, State]:
        """Start the task."""
        observation, state = self.task.reset(key)
        return self.picture(observation, state), state

    def step(self, key: PRNGKeyArray, state: State, action: Action) -> Transition:
        """Advance the task."""
        step = self.task.step(key, state, action)
        return self.picture(step[0], step[1]), *step[1:]

    def oracle(self, key: PRNGKeyArray, state: State) -> Action:
        """The task's own."""
        return self.task.oracle(key, state)

    def hidden(self, state: State) -> dict[str, tuple[Array, Array]]:
        """The task's own; where everything is drawn it has just been observed."""
        hidden = self.task.hidden(state)
        if self.partial_obs:
            return hidden
        return {name: (value, jnp.zeros_like(t)) for name, (value, t) in hidden.items()}

    def render(self, state: State) -> UInt8[Array, "height width 3"]:
        """The task's own picture for people; observations are the other one."""
        return self.task.render(state)

    @property
    def observation_space(self) -> spaces.Box:
        """Pixels."""
        return spaces.Box(0, 255, (self.image_size, self.image_size, 3), np.uint8)

    @property
    def action_space(self) -> Any:
        """The task's own."""
        return self.task.action_space

    @property
    def card(self) -> Card:
        """The task's own, or that of a task with nothing to remember.

        The picture tells as much as the observation, so all returns stay. Where
        everything is drawn, what the oracle does follows from the picture.
        """
        card, face = self.task.card, type(self).face
        needs_action = card.needs_previous_action and not face.draws_action
        card = dataclasses.replace(card, needs_previous_action=needs_action)
        best = face.best(self.task) if face.best else None
        if self.partial_obs:
            known = card.recall.value is not None
            return dataclasses.replace(card, recall=best) if best and known else card
        best = best or card.oracle
        return dataclasses.replace(
            card,
            memory="none",
            horizon=(0, 0),
            memoryless=best,
            recall=best,
            needs_previous_action=False,
        )


def pixels_of(target: type[Environment], face: Face) -> type[Pixels]:
    """The class of the tasks of `target` seen as pictures.

    Args:
        target: a task with an oracle, hidden variables and a render of its own.
        face: how it looks.
    """
    hints = typing.get_type_hints(target)
    fields: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(target):
        copy = dataclasses.field(
            default=field.default, default_factory=field.default_factory, kw_only=True
        )
        fields.append((field.name, hints[field.name], copy))
    return dataclasses.make_dataclass(
        f"{target.__name__}Pixels",
        fields,
        bases=(Pixels,),
        namespace={"target": target, "face": face, "__doc__": target.__doc__},
        frozen=True,
    )
