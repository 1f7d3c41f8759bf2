"""Object permanence: objects go into boxes, the boxes move, one object is named."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype, steps_since
from envs.object_recall.common import (
    LONGEST,
    MOST,
    check_number,
    distinct,
    draw_below,
    ranks_below,
)

CLOSED, OPEN, MOVED, LIT = range(4)
"""What is seen of a box."""
_HIDING, _SWAPPING, _WAITING, _QUESTION = range(4)

Observation = dict[str, Int[Array, "..."]]


class ObjectPermanenceState(NamedTuple):
    """What is where.

    Attributes:
        time: steps taken.
        order: the objects, in the order in which they are hidden.
        box: the box of each object, hidden yet or not.
        moved: when each object was hidden, or its box was last moved; -1 before.
        asked: the object that will be asked for.
        look: what is seen of each box.
    """

    time: Int[Array, ""]
    order: Int[Array, " objects"]
    box: Int[Array, " objects"]
    moved: Int[Array, " objects"]
    asked: Int[Array, ""]
    look: Int[Array, " boxes"]


@dataclasses.dataclass(frozen=True)
class ObjectPermanence(Environment):
    """Say which box an object is in (after Lampinen et al. 2021, HCAM).

    The paper's task of boxes that open for a moment is made in Unity and not
    released; this one is after its idea, with rules of our own. One after the other
    `objects` different objects are put into different boxes: the object is on show,
    and so is the box, open. Then `swaps` times two closed boxes change places, in
    view. For `delay` steps a lamp is lit over some box, drawn anew each time, which
    means nothing. At last an object is named, and the action that follows chooses a
    box: 1 if the object is in it, else 0. All else that is drawn is uniform, and
    actions before the last do nothing.

    With `swaps` 0 a box is found where it was seen. With more, each swap changes what
    must be remembered, and none can be skipped.

    Observations: `object`, the one being hidden or asked for, from 1, and 0 for none;
    `boxes`, for each place 0 closed, 1 open, 2 just moved, 3 lit.

    Attributes:
        boxes: places that can be chosen.
        objects: how many objects are hidden, at most one in a box.
        swaps: how often two boxes change places.
        delay: steps between the last of that and the question.
    """

    boxes: int = 4
    objects: int = 3
    swaps: int = 3
    delay: int = 10

    def __post_init__(self) -> None:
        counted = (0, LONGEST // 3), "so that time fits into 32 bits"
        for name, limits, why in (
            ("boxes", (2, MOST), "to have a choice that can be shown"),
            ("objects", (1, self.boxes), "at most one to a box"),
            ("swaps", *counted),
            ("delay", *counted),
        ):
            check_number("ObjectPermanence", name, getattr(self, name), limits, why)

    @property
    def _asked_at(self) -> int:
        """The time at which the question is on show."""
        return self.objects + self.swaps + self.delay

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, ObjectPermanenceState]:
        """Draw what goes where and what is asked, and hide the first object."""
        key, show_key = jax.random.split(key)
        order, box, asked = draw_below(
            key,
            ranks_below(self.objects, self.objects),
            ranks_below(self.objects, self.boxes),
            np.array(self.objects),
        )
        order, box = distinct(jnp.stack([order, box]))
        state = ObjectPermanenceState(
            time=jnp.zeros((), jnp.int32),
            order=order,
            box=box,
            moved=jnp.full(self.objects, -1, jnp.int32),
            asked=asked,
            look=jnp.zeros(self.boxes, jnp.int32),
        )
        return self._show(show_key, state)

    def step(
        self, key: PRNGKeyArray, state: ObjectPermanenceState, action: Int[Array, ""]
    ) -> Transition:
        """Go on to the next event; judge the action that follows the question."""
        last = state.time == self._asked_at
        success = last & (action.astype(jnp.int32) == state.box[state.asked])
        info = {"success": success, "phase": self._phase(state), "decision": last}
        observation, after = self._show(key, state._replace(time=state.time + 1))
        reward = success.astype(float_dtype())
        return observation, after, reward, last, jnp.zeros((), bool), info

    def _phase(self, state: ObjectPermanenceState) -> Int[Array, ""]:
        """What happens at `state.time`: an index into `card.phases`."""
        ends = (self.objects, self.objects + self.swaps, self._asked_at)
        passed = [(state.time >= end).astype(jnp.int32) for end in ends]
        return passed[0] + passed[1] + passed[2]

    def _show(
        self, key: PRNGKeyArray, state: ObjectPermanenceState
    ) -> tuple[Observation, ObjectPermanenceState]:
        """Let the event of this step happen; the state after it, and what is seen."""
        phase = self._phase(state)
        hiding, swapping = phase == _HIDING, phase == _SWAPPING
        one, away = draw_below(key, np.array(self.boxes), np.array(self.boxes - 1))
        other = (one + 1 + away) % self.boxes
        object = state.order.at[state.time].get(mode="clip")

        to_other, to_one = state.box == one, state.box == other
        swapped = jnp.where(to_other, other, jnp.where(to_one, one, state.box))
        is_object = jnp.arange(self.objects, dtype=jnp.int32) == object
        touched = jnp.where(swapping, to_other | to_one, hiding & is_object)

        place = jnp.arange(self.boxes, dtype=jnp.int32)
        look = jnp.where(
            hiding,
            jnp.where(place == state.box[object], OPEN, CLOSED),
            jnp.where(place == one, jnp.where(swapping, MOVED, LIT), CLOSED),
        )
        look = jnp.where(swapping & (place == other), MOVED, look)
        look = jnp.where(phase == _QUESTION, CLOSED, look).astype(jnp.int32)
        state = state._replace(
            box=jnp.where(swapping, swapped, state.box),
            moved=jnp.where(touched, state.time, state.moved),
            look=look,
        )
        return {"boxes": look, "object": self._object_on_show(state)}, state

    def _is_hidden(self, state: ObjectPermanenceState) -> Bool[Array, " objects"]:
        """Which objects have been put into their boxes."""
        index = jnp.arange(self.objects, dtype=jnp.int32)
        turn = jnp.argmax(state.order[None] == index[:, None], axis=1)
        return turn <= state.time

    def _object_on_show(self, state: ObjectPermanenceState) -> Int[Array, ""]:
        hidden = state.order.at[state.time].get(mode="clip")
        number = jnp.where(state.time < self.objects, hidden + 1, 0)
        asks = state.time == self._asked_at
        return jnp.where(asks, state.asked + 1, number).astype(jnp.int32)

    def oracle(self, key: PRNGKeyArray, state: ObjectPermanenceState) -> Array:
        """The box of the object that will be asked for."""
        del key
        return state.box[state.asked]

    def hidden(self, state: ObjectPermanenceState) -> dict[str, tuple[Array, Array]]:
        """The box that will be right if no more are moved, and the age of that news.

        News is the hiding or a move of the box; -1 before the first.
        """
        age = steps_since(state.moved[state.asked], state.time)
        return {"box": (state.box[state.asked], age)}

    def render(self, state: ObjectPermanenceState) -> UInt8[Array, "64 width 3"]:
        """The object, and the boxes below it; in the strip what is in them."""
        half, width = draw.SCENE // 2, 20
        object_hues = jnp.asarray(draw.hues(self.objects))
        background = jnp.asarray(draw.BACKGROUND)
        number = self._object_on_show(state)
        object = draw.select(number > 0, object_hues[number - 1], background)
        colours = (draw.MARK, draw.FLOOR, draw.MINUS, draw.PLUS)  # by what is seen
        boxes = jnp.asarray(np.array(colours))[state.look]
        place = jnp.arange(self.boxes, dtype=jnp.int32)[:, None]
        inside = (state.box[None] == place) & self._is_hidden(state)[None]
        hue = object_hues[jnp.argmax(inside, 1)]
        contents = draw.select(inside.any(1), hue, background)
        top = draw.canvas(half, width * self.boxes)
        corner = (2, width * self.boxes // 2 - width // 2)
        top = draw.rectangle(top, corner, (half - 4, width), object)
        row = draw.row(boxes, half, width)
        strip = draw.row(contents, draw.STRIP, width)
        return draw.frame(jnp.concatenate([top, row]), strip)

    @property
    def observation_space(self) -> spaces.Space:
        """What is seen of each box, and the object on show."""
        return spaces.Dict(
            {
                "boxes": spaces.MultiDiscrete([4] * self.boxes),
                "object": spaces.Discrete(self.objects + 1),
            }
        )

    @property
    def action_space(self) -> spaces.Discrete:
        """The box chosen."""
        return spaces.Discrete(self.boxes)

    @property
    def card(self) -> Card:
        """Where each of a few objects is.

        Every object is in every box equally often, swaps or not, and the question
        shows nothing but the object.
        """
        chance = exact(1 / self.boxes, "every box is as likely")
        least = self.delay + 1
        # With two boxes a swap moves both, so all news is equally old.
        most = least if self.boxes == 2 and self.swaps > 0 else self._asked_at
        return Card(
            memory="object",
            paper='after Lampinen et al. 2021, "Towards Mental Time Travel"',
            horizon=(least, most),
            truncates=False,
            floor=chance,
            memoryless=chance,
            recall=exact(1.0, "follow the boxes"),
            oracle=exact(1.0),
            max_episode_steps=self._asked_at + 1,
            phases=("hiding", "swapping", "waiting", "question"),
        )
