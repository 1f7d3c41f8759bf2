"""RepeatPrevious: name the suit of the card shown k - 1 steps ago."""

import dataclasses

import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs.base import Card, Environment, Transition, exact, float_dtype
from envs.popgym import cards
from envs.popgym.common import PAPER


@dataclasses.dataclass(frozen=True)
class RepeatPrevious(Environment):
    """A sliding buffer of the last k cards (Morad et al. 2023).

    A card is shown at each of n - 1 steps, n = 52 decks. Once k cards are out, every
    action is scored +-1/(n - k) against the k-th last of them, the one on show being
    the first: the answer is k - 1 steps old. Earlier actions score nothing.

    Attributes:
        decks: number of decks, which sets the length.
        k: how far back the answer lies, the current card counted.
    """

    decks: int = 1
    k: int = 4

    def __post_init__(self) -> None:
        cards.check_decks("RepeatPrevious", self.decks)
        if not 1 <= self.k < 52 * self.decks:
            raise ValueError(
                f"RepeatPrevious(decks={self.decks}) needs 1 <= k < "
                f"{52 * self.decks}, the number of cards, or no action would be "
                f"scored; k is {self.k}."
            )

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], cards.Deal]:
        """Deal a deck; the observation is the suit of the first card."""
        state = cards.deal(key, self.decks)
        return cards.value_at(state, state.cursor), state

    def step(
        self, key: PRNGKeyArray, state: cards.Deal, action: Int[Array, ""]
    ) -> Transition:
        """Score `action` if k cards are out, and show the next card."""
        del key
        total = 52 * self.decks
        scale = 1 / (total - self.k)
        scored = state.cursor >= self.k - 1
        right = action.astype(jnp.int32) == self._answer(state)
        reward = jnp.where(scored, jnp.where(right, scale, -scale), 0.0)
        info = {"decision": scored, "phase": scored.astype(jnp.int32)}
        state = state._replace(cursor=state.cursor + 1)
        terminated = state.cursor == total - 1
        observation = cards.value_at(state, state.cursor)
        return (
            observation,
            state,
            reward.astype(float_dtype()),
            terminated,
            jnp.zeros((), bool),
            info,
        )

    def _answer(self, state: cards.Deal) -> Int[Array, ""]:
        position = jnp.maximum(state.cursor - (self.k - 1), 0)
        return cards.value_at(state, position)

    def oracle(self, key: PRNGKeyArray, state: cards.Deal) -> Int[Array, ""]:
        """The answer; the first card's suit while nothing is scored."""
        del key
        return self._answer(state)

    def hidden(self, state: cards.Deal) -> dict[str, tuple[Array, Array]]:
        """The answer and its age; before k cards are out, the first card."""
        return {"answer": (self._answer(state), jnp.minimum(state.cursor, self.k - 1))}

    def render(self, state: cards.Deal) -> UInt8[Array, "64 24 3"]:
        """The card on show; in the strip the suit to name."""
        return cards.table(cards.value_at(state, state.cursor), self._answer(state))

    @property
    def observation_space(self) -> spaces.Discrete:
        """The suit on show."""
        return spaces.Discrete(cards.SUITS)

    @property
    def action_space(self) -> spaces.Discrete:
        """The suit named."""
        return spaces.Discrete(cards.SUITS)

    @property
    def card(self) -> Card:
        """The last k items in order; k = 1 asks for nothing but the current one."""
        current = self.k == 1
        return Card(
            memory="none" if current else "sequential",
            paper=PAPER,
            horizon=(self.k - 1, self.k - 1),
            truncates=False,
            floor=exact(-0.5, "right one time in four"),
            memoryless=exact(
                1.0 if current else cards.blind_guess(self.decks),
                "the answer is on show"
                if current
                else "any suit other than the one on show: dealt without replacement",
            ),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=52 * self.decks - 1,
            phases=("watch", "answer"),
        )
