"""Room recall: a tour of rooms, then a question about what was where, or when."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype, steps_since
from envs.object_recall.common import LONGEST, MOST, check_number, draw_below

QUESTIONS = ("what", "first", "last", "where")
Observation = dict[str, Int[Array, ""]]


class RoomRecallState(NamedTuple):
    """The tour and the question.

    Attributes:
        time: steps taken.
        places: the room of each visit.
        cues: the object seen in each visit.
        asked: the room that is asked about; an object for `where`.
        answer: the right action.
        decisive: which visit the answer comes from.
    """

    time: Int[Array, ""]
    places: Int[Array, " visits"]
    cues: Int[Array, " visits"]
    asked: Int[Array, ""]
    answer: Int[Array, ""]
    decisive: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class RoomRecall(Environment):
    """Say what was in a room, or where an object was (after Cho et al. 2024, SAT).

    The agent is carried through `rooms` rooms, one visit a step: each time to another
    room than the one it is in, any of them equally likely. In each it sees an object.
    It stays `stay` steps longer in the last one, with the same on show. Then it is
    asked, and the action that follows pays 1 if it is right, else 0. The questions:

    - `what`: what is in a room? Each room has one object throughout the episode.
    - `first`, `last`: what was in a room at the first, or last, visit? Here each visit
      shows an object other than the visit before it, any of them equally likely.
    - `where`: in which room was an object seen last? The same tours; all rooms are
      actions.

    Rooms asked about have been visited and are not the last; objects asked about have
    been seen, and not in the last visit. All that qualify are equally likely.

    The paper's Room Ballet has pictures of dancers, walks on a grid whose walls leave
    some rooms out, and labels to predict. Here tours are such that all rooms are
    alike, which makes the returns exact. Rooms, objects and visits default to the
    numbers of its task of several questions. The stay is its robot that spends long
    in one room: a memory of the latest steps alone forgets the tour.

    Observations: `place`, the room, and `cue`, the object, both from 1; the question
    shows the room or the object it is about, and 0 in place of the other.

    Attributes:
        question: what is asked.
        rooms: how many rooms there are.
        objects: how many objects there are.
        visits: rooms shown, the first one included.
        stay: further steps in the last room.
    """

    question: str = "what"
    rooms: int = 8
    objects: int = 8
    visits: int = 18
    stay: int = 10

    def __post_init__(self) -> None:
        if self.question not in QUESTIONS:
            raise ValueError(
                f"RoomRecall cannot ask {self.question!r}; set question to one of "
                f"{', '.join(QUESTIONS)}."
            )
        surprise = (3, MOST), "as with two the next one would be no surprise"
        for name, limits, why in (
            ("rooms", *surprise),
            ("objects", *surprise),
            ("visits", (2, MOST), "as the last room is not asked about"),
            ("stay", (0, LONGEST), "so that time fits into 32 bits"),
        ):
            check_number("RoomRecall", name, getattr(self, name), limits, why)

    @property
    def _asked_at(self) -> int:
        """The time at which the question is on show."""
        return self.visits + self.stay

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, RoomRecallState]:
        """Draw the tour and the question, and show the first room."""
        key, asked_key = jax.random.split(key)
        moves, changes, contents = draw_below(
            key,
            self._limits(self.rooms),
            self._limits(self.objects),
            np.full(self.rooms, self.objects),
        )
        places = self._sequence(moves, self.rooms)
        cues = self._sequence(changes, self.objects)
        if self.question == "what":
            cues = contents[places]
        asks_where = self.question == "where"
        shown, other = (cues, places) if asks_where else (places, cues)
        asked = self._ask(asked_key, shown)
        index = jnp.arange(self.visits, dtype=jnp.int32)
        then = shown == asked
        first = self.question == "first"
        decisive = jnp.argmax(jnp.where(then, -index if first else index, -self.visits))
        state = RoomRecallState(
            time=jnp.zeros((), jnp.int32),
            places=places,
            cues=cues,
            asked=asked,
            answer=other[decisive],
            decisive=decisive.astype(jnp.int32),
        )
        return self._observe(state), state

    def _limits(self, count: int) -> np.ndarray:
        """One number of `count`, then one of the others for each further visit."""
        return np.array([count] + [count - 1] * (self.visits - 1))

    def _sequence(self, drawn: Int[Array, " visits"], count: int) -> Array:
        """Numbers below `count`, none twice in a row, from numbers below `_limits`."""
        moves = jnp.concatenate([drawn[:1], drawn[1:] + 1])
        return jnp.cumsum(moves, dtype=jnp.int32) % count

    def _ask(self, key: PRNGKeyArray, shown: Int[Array, " visits"]) -> Int[Array, ""]:
        """One of the numbers in `shown`, its last one excepted."""
        count = self.objects if self.question == "where" else self.rooms
        seen = jnp.zeros(count, bool).at[shown].set(True).at[shown[-1]].set(False)
        score = jax.random.uniform(key, (count,), jnp.float32)
        return jnp.argmax(jnp.where(seen, score, -1.0)).astype(jnp.int32)

    def step(
        self, key: PRNGKeyArray, state: RoomRecallState, action: Int[Array, ""]
    ) -> Transition:
        """Go on with the tour; judge the action that follows the question."""
        del key
        last = state.time == self._asked_at
        success = last & (action.astype(jnp.int32) == state.answer)
        later = jnp.where(last, 2, 1)
        phase = jnp.where(state.time < self.visits, 0, later).astype(jnp.int32)
        info = {"success": success, "phase": phase, "decision": last}
        after = state._replace(time=state.time + 1)
        reward = success.astype(float_dtype())
        end = last, jnp.zeros((), bool)
        return self._observe(after), after, reward, *end, info

    def _observe(self, state: RoomRecallState) -> Observation:
        place = state.places.at[state.time].get(mode="clip") + 1
        cue = state.cues.at[state.time].get(mode="clip") + 1
        asks = state.time == self._asked_at
        asks_where = self.question == "where"
        asked = jnp.where(asks, state.asked + 1, 0)
        touring = state.time < self._asked_at
        return {
            "cue": jnp.where(touring, cue, asked if asks_where else 0),
            "place": jnp.where(touring, place, 0 if asks_where else asked),
        }

    def oracle(self, key: PRNGKeyArray, state: RoomRecallState) -> Int[Array, ""]:
        """The answer."""
        del key
        return state.answer

    def hidden(self, state: RoomRecallState) -> dict[str, tuple[Array, Array]]:
        """The answer and the steps since it was last on show.

        Before that -1.
        """
        index = jnp.arange(self.visits, dtype=jnp.int32)
        tells = index == state.decisive
        if self.question == "what":
            tells = state.places == state.asked
        told = jnp.where(tells & (index <= state.time), index, -1).max()
        return {"answer": (state.answer, steps_since(told, state.time))}

    def render(self, state: RoomRecallState) -> UInt8[Array, "64 width 3"]:
        """The rooms, that of the agent with its object; in the strip the answer."""
        observation = self._observe(state)
        width = max(3, 160 // self.rooms)
        hues = jnp.asarray(draw.hues(self.objects))
        room = jnp.arange(self.rooms, dtype=jnp.int32)
        here: Bool[Array, " rooms"] = room == observation["place"] - 1
        cue = observation["cue"]
        seen = draw.select(cue > 0, hues[cue - 1], draw.FLOOR)
        rows = [
            draw.select(here, draw.AGENT, draw.BACKGROUND),
            draw.select(here, seen, draw.MARK),
        ]
        height = draw.SCENE // 3
        images = [draw.row(row, height, width) for row in rows]
        asked = draw.select((cue > 0) & ~here.any(), seen, draw.BACKGROUND)
        images.append(draw.tiles(asked[None, None], height, self.rooms * width))
        asks_where = self.question == "where"
        room_told = state.answer if asks_where else state.asked
        object_told = hues[state.asked if asks_where else state.answer]
        told = draw.select(room == room_told, object_told, draw.MARK)
        strip = draw.row(told, draw.STRIP, width)
        return draw.frame(jnp.concatenate(images), strip)

    @property
    def observation_space(self) -> spaces.Space:
        """The room, and what is in it."""
        return spaces.Dict(
            {
                "cue": spaces.Discrete(self.objects + 1),
                "place": spaces.Discrete(self.rooms + 1),
            }
        )

    @property
    def action_space(self) -> spaces.Discrete:
        """The object, or for `where` the room."""
        return spaces.Discrete(self._answers)

    @property
    def _answers(self) -> int:
        return self.rooms if self.question == "where" else self.objects

    @property
    def card(self) -> Card:
        """What was where, or when.

        Tours treat all rooms alike, and all objects. So nothing that a question shows
        makes one answer likelier than another.
        """
        chance = exact(1 / self._answers, "every answer is as likely")
        return Card(
            memory="spatial",
            paper='after Cho et al. 2024, "Spatially-Aware Transformer for Embodied '
            'Agents"',
            # The one told about last is left by the last move.
            horizon=(self.stay + 2, self._asked_at),
            truncates=False,
            floor=chance,
            memoryless=chance,
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self._asked_at + 1,
            phases=("tour", "stay", "question"),
        )
