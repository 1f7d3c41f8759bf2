"""CountRecall: how often has this kind of card been dealt?"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Int, Int8, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype
from envs.popgym import cards
from envs.popgym.common import PAPER


class CountRecallState(NamedTuple):
    """Two dealt decks and the counts so far.

    Attributes:
        values: the cards to be counted, in the order of dealing.
        queries: the kinds asked for.
        cursor: position of the two cards on show.
        counts: how often each kind was dealt, the card on show included.
    """

    values: Int8[Array, " cards"]
    queries: Int8[Array, " cards"]
    cursor: Int[Array, ""]
    counts: Int[Array, " kinds"]


@dataclasses.dataclass(frozen=True)
class CountRecall(Environment):
    """Count every kind of card, and answer for the one asked for (Morad et al. 2023).

    Each step deals a card to be counted and, from a second deck of the same make, a
    card to be asked for; both are on show as `[value, query]`. The action is scored
    +1/(n - 1) if it equals the number of cards of the query's kind dealt so far, the
    one on show included, and -1/(n - 1) otherwise; an answer nearly right is wrong.
    Every action is scored, the first included; the last pair of the n = 52 decks ends
    the episode after n - 1 steps.

    Actions are 0 to n/kinds, the largest count. Before its version 1.0.7 POPGym left
    the largest out, so that some questions had no right answer; results published with
    those versions refer to an action space smaller by one, 26, 26 and 16 actions.
    POPGym's argument `error_clamp`, for partial credit, has no effect there, and is
    left out, as are the counts that its `info` gives away.

    Attributes:
        decks: number of decks of each of the two, which sets the length.
        kind: what is counted: colours, suits or ranks.
    """

    decks: int = 1
    kind: str = "colours"

    def __post_init__(self) -> None:
        cards.check_decks("CountRecall", self.decks)
        cards.check_kind("CountRecall", self.kind, tuple(cards.KINDS))

    @property
    def _kinds(self) -> int:
        return cards.KINDS[self.kind]

    @property
    def _most(self) -> int:
        """The largest count."""
        return cards.DECK * self.decks // self._kinds

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, "2"], CountRecallState]:
        """Deal both decks; the observation is the first card of each."""
        keys = jax.random.split(key)
        values, queries = (cards.shuffle(k, self.decks, self._kinds) for k in keys)
        cursor = jnp.zeros((), jnp.int32)
        nothing = jnp.zeros(self._kinds, jnp.int32)
        state = CountRecallState(values, queries, cursor, nothing)
        observation = self._observe(state)
        return observation, state._replace(counts=self._counted(nothing, observation))

    def step(
        self, key: PRNGKeyArray, state: CountRecallState, action: Int[Array, ""]
    ) -> Transition:
        """Score `action` against the query on show; deal and count the next pair."""
        del key
        steps = cards.DECK * self.decks - 1
        right = action.astype(jnp.int32) == self._answer(state)
        reward = jnp.where(right, 1 / steps, -1 / steps).astype(float_dtype())
        info = {"decision": state.cursor > 0}
        state = state._replace(cursor=state.cursor + 1)
        observation = self._observe(state)
        state = state._replace(counts=self._counted(state.counts, observation))
        terminated = state.cursor == steps
        return observation, state, reward, terminated, jnp.zeros((), bool), info

    def _observe(self, state: CountRecallState) -> Int[Array, "2"]:
        decks = (state.values, state.queries)
        return jnp.stack(
            [cards.value_at(cards.Deal(d, state.cursor), state.cursor) for d in decks]
        )

    def _counted(
        self, counts: Int[Array, " kinds"], observation: Int[Array, "2"]
    ) -> Int[Array, " kinds"]:
        """Counts with the value on show added."""
        kinds = jnp.arange(self._kinds, dtype=jnp.int32)
        return counts + (kinds == observation[0]).astype(jnp.int32)

    def _answer(self, state: CountRecallState) -> Int[Array, ""]:
        query = self._observe(state)[1]
        return state.counts.at[query].get(mode="clip")

    def oracle(self, key: PRNGKeyArray, state: CountRecallState) -> Int[Array, ""]:
        """The count asked for."""
        del key
        return self._answer(state)

    def hidden(self, state: CountRecallState) -> dict[str, tuple[Array, Array]]:
        """All counts, since the first card; the one asked for, since it last changed.

        What has never been dealt has not changed since the first card.
        """
        position = jnp.arange(state.values.size, dtype=jnp.int32)
        asked = state.values == self._observe(state)[1].astype(jnp.int8)
        changed = jnp.where(asked & (position <= state.cursor), position, 0).max()
        return {
            "answer": (self._answer(state), state.cursor - changed),
            "counts": (state.counts, state.cursor),
        }

    def render(self, state: CountRecallState) -> UInt8[Array, "64 width 3"]:
        """The card dealt and, to its right, the one asked for; below, all counts."""
        value, query = self._observe(state)
        gap = draw.canvas(32, 12)
        pair = [cards.picture(x, self._kinds) for x in (value, query)]
        scene = jnp.concatenate([pair[0], gap, pair[1]], axis=1)
        return draw.frame(scene, cards.count_bars(state.counts, self._most))

    @property
    def observation_space(self) -> spaces.MultiDiscrete:
        """The kind dealt and the kind asked for."""
        return spaces.MultiDiscrete(np.array([self._kinds, self._kinds]))

    @property
    def action_space(self) -> spaces.Discrete:
        """The count, from 0 to as many as there are of a kind."""
        return spaces.Discrete(self._most + 1)

    @property
    def card(self) -> Card:
        """A counter for every kind.

        Without memory the start flag gives the first answer, 0 or 1. Later, all that
        the two cards tell is whether they are alike. With k cards dealt before the
        one on show, the count without it is hypergeometric: for other kinds, of K =
        n/kinds marked among n - 1, else of K - 1. Over all k from 0 to n - 1 the
        probabilities of one count sum to n/(K + 1), and n/K if alike, whatever the
        count (Beta integral). The best constants are counts in the middle, which
        cannot occur at k = 0 or n - 1, the two that are left out.
        """
        steps = cards.DECK * self.decks - 1
        other = (self._kinds - 1) / self._kinds
        alike = 1 + (1 - other) * (steps + 1) / self._most  # and the first answer
        right = alike + other * (steps + 1) / (self._most + 1)
        return Card(
            memory="capacity",
            paper=PAPER,
            horizon=(0, steps - 1),
            truncates=False,
            floor=exact(2 / (self._most + 1) - 1, "each count is named as often"),
            memoryless=exact(
                2 * right / steps - 1,
                "one count in the middle whenever the two cards differ, one when not",
            ),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=steps,
        )
