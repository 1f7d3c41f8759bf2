"""RepeatFirst: name the suit of the first card, at every step, to the last card."""

import dataclasses

import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs.base import Card, Environment, Transition, exact, float_dtype
from envs.popgym import cards
from envs.popgym.common import PAPER


@dataclasses.dataclass(frozen=True)
class RepeatFirst(Environment):
    """Hold one item while others pass by (Morad et al. 2023).

    A card is shown at each step; every action is scored +-1/(n - 1) against the suit
    of the first card, n = 52 decks, over the n - 1 steps of an episode. Nothing in
    the observation marks the first card: that is the start flag's work.

    Attributes:
        decks: number of decks, which sets the length.
    """

    decks: int = 1

    def __post_init__(self) -> None:
        cards.check_decks("RepeatFirst", self.decks)

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], cards.Deal]:
        """Deal a deck; the observation is the suit of the first card."""
        state = cards.deal(key, self.decks)
        return cards.value_at(state, state.cursor), state

    def step(
        self, key: PRNGKeyArray, state: cards.Deal, action: Int[Array, ""]
    ) -> Transition:
        """Score `action` against the first card and show the next card."""
        del key
        steps = 52 * self.decks - 1
        right = action.astype(jnp.int8) == state.values[0]
        reward = jnp.where(right, 1 / steps, -1 / steps).astype(float_dtype())
        later = state.cursor > 0
        info = {"decision": later, "phase": later.astype(jnp.int32)}
        state = state._replace(cursor=state.cursor + 1)
        terminated = state.cursor == steps
        observation = cards.value_at(state, state.cursor)
        return observation, state, reward, terminated, jnp.zeros((), bool), info

    def oracle(self, key: PRNGKeyArray, state: cards.Deal) -> Int[Array, ""]:
        """The suit of the first card."""
        del key
        return state.values[0].astype(jnp.int32)

    def hidden(self, state: cards.Deal) -> dict[str, tuple[Array, Array]]:
        """The suit of the first card and its age."""
        return {"first": (state.values[0].astype(jnp.int32), state.cursor)}

    def render(self, state: cards.Deal) -> UInt8[Array, "64 24 3"]:
        """The card on show; in the strip the suit to name."""
        first = state.values[0].astype(jnp.int32)
        return cards.table(cards.value_at(state, state.cursor), first)

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
        """One item, held for as many steps as there are cards."""
        steps = 52 * self.decks - 1
        memoryless = (1 + (steps - 1) * cards.blind_guess(self.decks)) / steps
        return Card(
            memory="object",
            paper=PAPER,
            horizon=(0, steps - 1),
            truncates=False,
            floor=exact(-0.5, "right one time in four"),
            memoryless=exact(
                memoryless,
                "the start flag gives the first answer; afterwards a suit other than "
                "the one on show; with the previous action as an input 1.0",
            ),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=steps,
            phases=("cue", "recall"),
        )
