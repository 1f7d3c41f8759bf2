"""Concentration: turn up pairs of like cards, two at a time."""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, Int8, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype, unknown
from envs.popgym import cards
from envs.popgym.common import PAPER
from envs.popgym.games.concentration_returns import floor, recall

KINDS = ("colours", "ranks")


class ConcentrationState(NamedTuple):
    """The table.

    Attributes:
        values: the cards, by their places.
        up: which lie face up for good.
        first, second: places of the cards turned in the latest attempt, -1 for none;
            the first is in play while there is no second.
        time: steps taken.
    """

    values: Int8[Array, " cards"]
    up: Bool[Array, " cards"]
    first: Int[Array, ""]
    second: Int[Array, ""]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class Concentration(Environment):
    """The game of pairs, alone (Morad et al. 2023).

    All n = 52 decks cards lie face down. Each action turns one; the observation shows
    the pairs found and the cards in play, and `kinds` for those face down. The second
    card of an attempt pays 2/n if it is like the first, and both stay up. Otherwise
    the attempt costs 2/L, L = 2n, and both are turned back, but only after the
    observation, which shows them; turning one card twice fails likewise. Turning a
    card that is already up for good ends an attempt too and costs 1/L for each card
    of the attempt. The first card of an attempt pays nothing. The episode ends with
    the last pair and is cut off after L steps, on which both may fall together.

    The observation does not say which card was turned, nor whether what it shows
    was a failure: the previous action is needed.

    With colours (POPGym's Easy and Medium) half of all cards fit any card, so the task
    is nearly free of memory. And the board itself remembers: who always tries the
    lowest card face down with one after the other knows that all those passed are of
    the other colour, and sees on the board which these are.

    Attributes:
        decks: number of decks on the table.
        kind: what makes two cards alike: colours or ranks. (Thirteen cards of a suit
            cannot be paired.)
    """

    decks: int = 1
    kind: str = "colours"

    def __post_init__(self) -> None:
        cards.check_decks("Concentration", self.decks, steps_per_card=2)
        cards.check_kind("Concentration", self.kind, KINDS)

    @property
    def _total(self) -> int:
        return cards.DECK * self.decks

    @property
    def _kinds(self) -> int:
        return cards.KINDS[self.kind]

    def reset(
        self, key: PRNGKeyArray
    ) -> tuple[Int8[Array, " cards"], ConcentrationState]:
        """Lay out the cards, all face down."""
        none = jnp.full((), -1, jnp.int32)
        state = ConcentrationState(
            values=cards.shuffle(key, self.decks, self._kinds),
            up=jnp.zeros(self._total, bool),
            first=none,
            second=none,
            time=jnp.zeros((), jnp.int32),
        )
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: ConcentrationState, action: Int[Array, ""]
    ) -> Transition:
        """Turn a card; judge the attempt if it is over."""
        del key
        action = action.astype(jnp.int32)
        limit = 2 * self._total
        tries = self._in_play(state)
        wasted = state.up.at[action].get(mode="clip")
        value, sought = (
            cards.value_at(cards.Deal(state.values, place), place)
            for place in (action, state.first)
        )
        match = tries & ~wasted & (value == sought) & (action != state.first)
        lost = jnp.where(tries, -2 / limit, jnp.where(wasted, -1 / limit, 0.0))
        reward = jnp.where(match, 2 / self._total, lost).astype(float_dtype())
        place = jnp.arange(self._total, dtype=jnp.int32)
        after = ConcentrationState(
            values=state.values,
            up=state.up | (match & ((place == action) | (place == state.first))),
            first=jnp.where(tries, state.first, jnp.where(wasted, -1, action)),
            second=jnp.where(tries, action, -1),
            time=state.time + 1,
        )
        terminated = after.up.all()
        truncated = after.time >= limit
        info = {
            "success": terminated,
            "decision": tries,
            "phase": tries.astype(jnp.int32),
        }
        return self._observe(after), after, reward, terminated, truncated, info

    def _in_play(self, state: ConcentrationState) -> Bool[Array, ""]:
        return (state.first >= 0) & (state.second < 0)

    def _visible(self, state: ConcentrationState) -> Bool[Array, " cards"]:
        place = jnp.arange(self._total, dtype=jnp.int32)
        return state.up | (place == state.first) | (place == state.second)

    def _observe(self, state: ConcentrationState) -> Int8[Array, " cards"]:
        face_down = jnp.int8(self._kinds)
        return jnp.where(self._visible(state), state.values, face_down)

    def oracle(self, key: PRNGKeyArray, state: ConcentrationState) -> Int[Array, ""]:
        """The first card face down, then the next one like it."""
        del key
        place = jnp.arange(self._total, dtype=jnp.int32)
        sought = state.values.at[state.first].get(mode="clip")
        like = (state.values == sought) & (place != state.first)
        wanted = ~state.up & (like | ~self._in_play(state))
        return jnp.argmax(wanted).astype(jnp.int32)

    def hidden(self, state: ConcentrationState) -> dict[str, tuple[Array, Array]]:
        """All cards, whether seen or not, and the time: the longest one can be ago."""
        return {"cards": (state.values.astype(jnp.int32), state.time)}

    def render(self, state: ConcentrationState) -> UInt8[Array, "64 width 3"]:
        """The table in four rows, what is visible on it; in the strip all cards."""
        visible = self._visible(state).reshape(4, -1)
        colours = jnp.asarray(_palette(self._kinds))[state.values.astype(jnp.int32)]
        table = colours.reshape(4, -1, 3)
        scene = draw.tiles(draw.select(visible, table, draw.MARK), 11, 8)
        scene = (
            scene.at[::11].set(draw.BACKGROUND[0]).at[:, ::8].set(draw.BACKGROUND[0])
        )
        return draw.frame(scene, draw.tiles(table, 4, 8))

    @property
    def observation_space(self) -> spaces.MultiDiscrete:
        """The kind of each card, the number of kinds for face down."""
        return spaces.MultiDiscrete(np.full(self._total, self._kinds + 1))

    @property
    def action_space(self) -> spaces.Discrete:
        """The card to turn."""
        return spaces.Discrete(self._total)

    @property
    def card(self) -> Card:
        """Where each kind of card was seen."""
        limit = 2 * self._total
        bound = "" if self.kind == "ranks" else _BOUND
        return Card(
            memory="capacity",
            paper=PAPER,
            horizon=(0, limit - 3),
            truncates=True,
            floor=floor(self.decks, self.kind),
            memoryless=unknown(
                "maps from boards and previous actions are too many to search, and "
                "what is turned in which order can stand for what was seen" + bound
            ),
            recall=recall(self.decks, self.kind),
            oracle=exact(1.0),
            max_episode_steps=limit,
            needs_previous_action=True,
            outside_memory=True,
            phases=("first", "second"),
        )


_BOUND = (
    "; with one or two decks at least 0.6: try the lowest card face down with one "
    "after the other, and once it has found its like pair those that were passed"
)


def _palette(kinds: int) -> np.ndarray:
    """A colour per kind: black and red, or a round of thirteen hues."""
    if kinds == cards.COLOURS:
        return np.array([(20, 20, 30), (200, 30, 40)], np.uint8)
    return draw.hues(kinds)
