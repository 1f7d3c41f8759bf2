"""Autoencode: watch a deck go by, then name its suits, the last card first."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype
from envs.popgym import cards
from envs.popgym.common import PAPER

PLAY, WATCH = 0, 1


@dataclasses.dataclass(frozen=True)
class Autoencode(Environment):
    """Store a whole sequence and say it backwards (Morad et al. 2023).

    Observations are `[mode, suit]`, mode 1 to watch and 0 to play. All n = 52 decks
    cards are shown, one per step; actions do nothing meanwhile. The last card comes
    with mode 0: the very next action is scored against it, and the ones after that
    against the cards before it, +1/n if the suit is right and -1/n if not, back to the
    first card, which ends the episode after 2n - 1 steps.

    While playing, all observations but the first are `[0, 0]`. So suit 0 is also
    "nothing to see", and a last card of suit 0 looks like any later step: this is
    POPGym's, and kept. The pair is one array here where POPGym has a tuple. (The JAX
    port popjaxrl shows no cards while watching; it is not followed.)

    Attributes:
        decks: number of decks, which sets the length.
    """

    decks: int = 1

    def __post_init__(self) -> None:
        cards.check_decks("Autoencode", self.decks, steps_per_card=2)

    @property
    def _last(self) -> int:
        """Position of the last card, and the time at which it is shown."""
        return cards.DECK * self.decks - 1

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, "2"], cards.Deal]:
        """Deal a deck; the first card is on show. The cursor counts steps."""
        state = cards.deal(key, self.decks)
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: cards.Deal, action: Int[Array, ""]
    ) -> Transition:
        """Show the next card, or score `action` against the one that is due."""
        del key
        scale = 1 / (self._last + 1)
        plays = self._plays(state)
        right = action.astype(jnp.int32) == cards.value_at(state, self._due(state))
        reward = jnp.where(plays, jnp.where(right, scale, -scale), 0.0)
        after = state._replace(cursor=state.cursor + 1)
        info = {"decision": plays, "phase": plays.astype(jnp.int32)}
        return (
            self._observe(after),
            after,
            reward.astype(float_dtype()),
            after.cursor == 2 * self._last + 1,
            jnp.zeros((), bool),
            info,
        )

    def _plays(self, state: cards.Deal) -> Bool[Array, ""]:
        return state.cursor >= self._last

    def _due(self, state: cards.Deal) -> Int[Array, ""]:
        """Position of the card to name; while watching, of the card on show."""
        return jnp.minimum(state.cursor, 2 * self._last - state.cursor)

    def _on_show(self, state: cards.Deal) -> Int[Array, ""]:
        suit = cards.value_at(state, state.cursor)
        return jnp.where(state.cursor <= self._last, suit, 0)

    def _observe(self, state: cards.Deal) -> Int[Array, "2"]:
        mode = jnp.where(self._plays(state), PLAY, WATCH)
        return jnp.stack([mode, self._on_show(state)]).astype(jnp.int32)

    def oracle(self, key: PRNGKeyArray, state: cards.Deal) -> Int[Array, ""]:
        """The suit that is due; while watching, the one on show."""
        del key
        return cards.value_at(state, self._due(state))

    def hidden(self, state: cards.Deal) -> dict[str, tuple[Array, Array]]:
        """The suit that is due (while watching, the one on show) and the first."""
        due = self._due(state)
        first = jnp.zeros((), jnp.int32)
        return {
            "due": (cards.value_at(state, due), state.cursor - due),
            "first": (cards.value_at(state, first), state.cursor),
        }

    def render(self, state: cards.Deal) -> UInt8[Array, "64 24 3"]:
        """The card on show, if any; in the strip the suit that is due."""
        face = cards.picture(cards.value_at(state, state.cursor))
        shown = jnp.broadcast_to(state.cursor <= self._last, face.shape[:2])
        scene = draw.select(shown, face, draw.BACKGROUND)
        due = cards.picture(cards.value_at(state, self._due(state)))
        return draw.frame(scene, due[::2, ::2])

    @property
    def observation_space(self) -> spaces.MultiDiscrete:
        """Mode (0 play, 1 watch) and suit."""
        return spaces.MultiDiscrete(np.array([2, cards.SUITS]))

    @property
    def action_space(self) -> spaces.Discrete:
        """The suit named."""
        return spaces.Discrete(cards.SUITS)

    @property
    def card(self) -> Card:
        """The whole deck in reverse.

        Without memory, `[0, s]` with s > 0 is the last card and answered. `[0, 0]` is
        answered 0, which is right for a last card of suit 0 too. A quarter of the n
        cards have suit 0; if the last is another, it is one more right answer:
        n/4 + 3/4 of n. Any other constant answer to `[0, 0]` gets n/4 + 1/2.
        """
        total = self._last + 1
        return Card(
            memory="sequential",
            paper=PAPER,
            horizon=(0, 2 * self._last),
            truncates=False,
            floor=exact(-0.5, "right one time in four"),
            memoryless=exact(
                -0.5 + 1.5 / total, "the last card as it is shown, then suit 0"
            ),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=2 * total - 1,
            phases=("watch", "play"),
        )
