"""Rapid word learning: new names are bound to new objects once, and then acted on."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Observation, Transition, exact, float_dtype
from envs.object_recall.common import (
    LONGEST,
    MOST,
    check_number,
    distinct,
    draw_below,
    ranks_below,
)
from envs.object_recall.screens import Screen, Vocabulary

LEVELS = {
    **{f"D{phases}": {"distractors": phases} for phases in (0, 1, 2, 10, 20)},
    **{
        f"E{episodes}D{phases}": {"distractors": phases, "episodes": episodes}
        for episodes, phases in ((2, 5), (3, 5), (4, 0), (4, 1))
    },
}
"""The released levels of HCAM: distractor phases, and episodes where several."""
DISTRACTOR_PAY = 0.1
"""What a distractor phase pays at most, shared by its choices."""
_LESSON, _DISTRACTOR, _QUESTION = range(3)


class RapidWordLearningState(NamedTuple):
    """Where the episode stands, what it binds, and what it asks.

    Attributes:
        round: which of the paper's episodes it is.
        clock: steps taken in it.
        phases: distractor phases in each.
        names, objects: of all bindings, in the order of their lessons.
        asked: the binding that each round's question is about.
        order: of the objects in each question, as they were shown in the lessons.
        screen: what is on show.
    """

    round: Int[Array, ""]
    clock: Int[Array, ""]
    phases: Int[Array, ""]
    names: Int[Array, " bindings"]
    objects: Int[Array, " bindings"]
    asked: Int[Array, " episodes"]
    order: Int[Array, "episodes objects"]
    screen: Screen


@dataclasses.dataclass(frozen=True)
class RapidWordLearning(Environment):
    """Choose the object that a new name was given to (Hill et al. 2021).

    With the distractors and the levels of Lampinen et al. 2021 (HCAM). Their task is a
    room in Unity: an agent walks up to three objects, is told their names, does other
    things for a while, and must then lift the one named. Here walking is left out, and
    what is on show is given as numbers.

    A lesson lasts one step and shows a name and an object, a shape in a colour. After
    `objects` lessons come the distractor phases, and then the question: a name, and
    the objects of its lessons in a new order. The right choice pays 1. Names and
    objects are drawn anew in each episode, all different, so what a name meant before
    does not help. Actions in lessons do nothing.

    A distractor phase has `trials` steps. Each shows the word of a colour, which
    always means the same, and objects of which one has that colour; choosing it pays
    0.1 / trials. They are drawn anew each time, and say nothing about the bindings.

    With several `episodes` (the paper's word; here they follow each other within one)
    each has lessons, distractors and a question. The question is about its own
    lessons, but the last one about those of an earlier one. `success` is that of the
    last question. The levels are released as a program without source: how many
    phases and episodes each has is theirs, what happens in them and pays is ours.

    Observations: `word`, 0 for none, then names, then the words of colours; `object`,
    in a lesson, and `choices`: shape and colour of each, from 1, and 0 for nothing.

    Attributes:
        distractors: phases between lessons and question; or the fewest and the most,
            for a number drawn for each episode.
        episodes: how often lessons and question come.
        objects: lessons before a question, and choices.
        trials: steps of a distractor phase.
        words: how many names there are.
        shapes: how many shapes there are.
        colours: how many colours there are.
    """

    distractors: Sequence[int] | int = (0, 2)
    episodes: int = 1
    objects: int = 3
    trials: int = 5
    words: int = 20
    shapes: int = 10
    colours: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.distractors, int):  # from a file: [0, 2], or [2] for 2
            given = tuple(self.distractors)
            given = given[0] if len(given) == 1 else given
            object.__setattr__(self, "distractors", given)
        for name, least, why in (
            ("episodes", 1, "to have something to learn"),
            ("objects", 2, "to have a choice"),
            ("trials", 1, "as a phase without a step is none"),
            ("words", 1, "to have a name"),
            ("shapes", 1, "to have an object"),
            ("colours", 2, "so that a choice can have the wrong one"),
        ):
            value = getattr(self, name)
            check_number("RapidWordLearning", name, value, (least, MOST), why)
        if len(self._range) != 2 or not 0 <= self._range[0] <= self._range[1]:
            raise ValueError(
                "RapidWordLearning needs distractors of at least 0, as a number or as "
                f"the fewest and the most, not {self.distractors!r}."
            )
        looks = self.shapes * self.colours
        if self._bindings > min(self.words, looks):
            raise ValueError(
                "RapidWordLearning binds each name to another object, which needs at "
                f"least episodes * objects = {self._bindings} words (there are "
                f"{self.words}) and as many shapes * colours (there are {looks})."
            )
        if self._steps > LONGEST:
            raise ValueError(
                f"RapidWordLearning would last up to {self._steps:,} steps, but time "
                f"fits into 32 bits up to {LONGEST:,}; take fewer distractors."
            )

    @property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary(self.objects, self.words, self.shapes, self.colours)

    @property
    def _range(self) -> tuple[int, ...]:
        """Fewest and most distractor phases before a question."""
        given = self.distractors
        return (given, given) if isinstance(given, int) else tuple(given)

    @property
    def _bindings(self) -> int:
        return self.episodes * self.objects

    @property
    def _steps(self) -> int:
        """Of the longest episode."""
        return self.episodes * (self.objects + self._range[1] * self.trials + 1)

    def reset(self, key: PRNGKeyArray) -> tuple[Observation, RapidWordLearningState]:
        """Draw bindings and questions, and give the first lesson."""
        key, show_key = jax.random.split(key)
        episodes, objects, count = self.episodes, self.objects, self._bindings
        low, high = self._range
        phases, earlier, item, names, shown, order = draw_below(
            key,
            np.array(high - low + 1),
            np.array(max(1, episodes - 1)),
            np.full(episodes, objects),
            ranks_below(count, self.words),
            ranks_below(count, self.shapes * self.colours),
            np.tile(ranks_below(objects, objects), (episodes, 1)),
        )
        about = jnp.arange(episodes, dtype=jnp.int32)
        if episodes > 1:
            about = about.at[-1].set(earlier)
        names, shown = 1 + distinct(jnp.stack([names, shown]))
        state = RapidWordLearningState(
            round=jnp.zeros((), jnp.int32),
            clock=jnp.zeros((), jnp.int32),
            phases=low + phases,
            names=names,
            objects=shown,
            asked=about * objects + item,
            order=distinct(order),
            screen=self._vocabulary.blank(),
        )
        return self._show(show_key, state)

    def step(
        self, key: PRNGKeyArray, state: RapidWordLearningState, action: Int[Array, ""]
    ) -> Transition:
        """Pay for a right choice and go on to the next screen."""
        phase = self._phase(state)
        asks = phase == _QUESTION
        right = action.astype(jnp.int32) == state.screen.answer
        pay = jnp.where(asks, 1.0, DISTRACTOR_PAY / self.trials)
        reward = jnp.where(right, pay, 0.0).astype(float_dtype())
        terminated = asks & (state.round == self.episodes - 1)
        info = {"success": terminated & right, "phase": phase, "decision": asks}
        after = state._replace(
            round=state.round + asks.astype(jnp.int32),
            clock=jnp.where(asks, 0, state.clock + 1),
        )
        observation, after = self._show(key, after)
        return observation, after, reward, terminated, jnp.zeros((), bool), info

    def _phase(self, state: RapidWordLearningState) -> Int[Array, ""]:
        """The phase of what is on show: an index into `card.phases`."""
        last = self.objects + state.phases * self.trials
        later = jnp.where(state.clock == last, _QUESTION, _DISTRACTOR)
        return jnp.where(state.clock < self.objects, _LESSON, later).astype(jnp.int32)

    def _show(
        self, key: PRNGKeyArray, state: RapidWordLearningState
    ) -> tuple[Observation, RapidWordLearningState]:
        """The observation of a new screen, and `state` with that screen."""
        blank = self._vocabulary.blank()
        trial = self._vocabulary.colour_trial(key)
        screens = self._lesson(state), trial, self._question(state), blank
        over = state.round == self.episodes
        which = jnp.where(over, len(screens) - 1, self._phase(state))
        screen = jax.tree.map(lambda *parts: jax.lax.select_n(which, *parts), *screens)
        return self._vocabulary.observe(screen), state._replace(screen=screen)

    def _lesson(self, state: RapidWordLearningState) -> Screen:
        binding = state.round * self.objects + state.clock
        return self._vocabulary.blank()._replace(
            word=state.names.at[binding].get(mode="clip"),
            object=state.objects.at[binding].get(mode="clip"),
        )

    def _question(self, state: RapidWordLearningState) -> Screen:
        asked = state.asked.at[state.round].get(mode="clip")
        order = state.order.at[state.round].get(mode="clip")
        about, item = jnp.divmod(asked, self.objects)
        return self._vocabulary.blank()._replace(
            word=state.names[asked],
            choices=state.objects[about * self.objects + order],
            answer=jnp.argmax(order == item).astype(jnp.int32),
        )

    def oracle(self, key: PRNGKeyArray, state: RapidWordLearningState) -> Array:
        """The right choice."""
        del key
        return jnp.maximum(state.screen.answer, 0)

    def hidden(self, state: RapidWordLearningState) -> dict[str, tuple[Array, Array]]:
        """The object that the coming question is about, and the age of its lesson.

        Before that lesson -1.
        """
        asked = state.asked.at[state.round].get(mode="clip")
        about, item = jnp.divmod(asked, self.objects)
        length = self.objects + state.phases * self.trials + 1
        time = state.round * length + state.clock
        age = time - (about * length + item)
        look = self._vocabulary.looks(state.objects[asked])
        return {"object": (look, jnp.maximum(age, -1))}

    def render(self, state: RapidWordLearningState) -> UInt8[Array, "64 width 3"]:
        """The screen; in the strip the binding that the question is about."""
        asked = state.asked.at[state.round].get(mode="clip")
        word = self._vocabulary.word_tile(state.names[asked], draw.STRIP)
        tile = self._vocabulary.object_tile(state.objects[asked], draw.STRIP)
        strip = jnp.concatenate([word, tile], axis=1)
        return draw.frame(self._vocabulary.picture(state.screen), strip)

    @property
    def observation_space(self) -> spaces.Space:
        """What can be chosen, the object of a lesson, and the word."""
        return self._vocabulary.space

    @property
    def action_space(self) -> spaces.Discrete:
        """The place of the object chosen."""
        return spaces.Discrete(self.objects)

    @property
    def card(self) -> Card:
        """Names and their objects, over distractors.

        Actions change nothing. The answer of a distractor is on show; at a question
        every choice is as likely as the others, whatever is on show with it.
        """
        guessed = self.episodes / self.objects
        distractors = self.episodes * DISTRACTOR_PAY * sum(self._range) / 2
        all_right = exact(self.episodes + distractors)
        return Card(
            memory="object",
            paper='Hill et al. 2021, "Grounded Language Learning Fast and Slow", and '
            'Lampinen et al. 2021, "Towards Mental Time Travel"',
            horizon=(self._range[0] * self.trials + 1, self._steps - 1),
            truncates=False,
            floor=exact(guessed + distractors / self.objects, "all guessed"),
            memoryless=exact(guessed + distractors, "questions guessed"),
            recall=all_right,
            oracle=all_right,
            max_episode_steps=self._steps,
            phases=("lesson", "distractor", "question"),
        )
