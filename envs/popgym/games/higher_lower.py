"""HigherLower: is the next card higher or lower? Whoever counts cards knows better."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import (
    Card,
    Environment,
    Return,
    Transition,
    computed,
    exact,
    float_dtype,
    unknown,
)
from envs.popgym import cards
from envs.popgym.common import PAPER

HIGHER, LOWER = 0, 1
_MOST_COMPUTED = 6
"""Decks for which the return of a card counter is computed."""


@dataclasses.dataclass(frozen=True)
class HigherLower(Environment):
    """Guess whether the next card is higher or lower (Morad et al. 2023).

    The observation is the rank of the card on show, 0 the ace to 12 the king. Every
    action is scored as the next card is dealt: +1/n if it names the direction, n =
    52 decks, -1/n if it does not, and 0 if the ranks are equal. The last card ends the
    episode after n - 1 steps, so no return exceeds (n - 1)/n.

    The current rank alone answers most questions; memory adds the count of the cards
    that are out, which is worth little until few cards are left. Three hundredths of
    return separate the two, so few episodes cannot tell them apart.

    Attributes:
        decks: number of decks, which sets the length.
    """

    decks: int = 1

    def __post_init__(self) -> None:
        cards.check_decks("HigherLower", self.decks)

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], cards.Deal]:
        """Deal a deck; the observation is the rank of the first card."""
        state = cards.deal(key, self.decks, cards.RANKS)
        return cards.value_at(state, state.cursor), state

    def step(
        self, key: PRNGKeyArray, state: cards.Deal, action: Int[Array, ""]
    ) -> Transition:
        """Deal the next card and score `action` by it."""
        del key
        total = cards.DECK * self.decks
        after = state._replace(cursor=state.cursor + 1)
        shown, following = (cards.value_at(s, s.cursor) for s in (state, after))
        direction = jnp.sign(following - shown)
        guess = jnp.where(action.astype(jnp.int32) == HIGHER, 1, -1)
        reward = (direction * guess).astype(float_dtype()) / total
        info = {"decision": state.cursor > 0}
        terminated = after.cursor == total - 1
        return following, after, reward, terminated, jnp.zeros((), bool), info

    def oracle(self, key: PRNGKeyArray, state: cards.Deal) -> Int[Array, ""]:
        """The direction of the next card."""
        del key
        shown, following = (
            cards.value_at(state, position)
            for position in (state.cursor, state.cursor + 1)
        )
        return jnp.where(following > shown, HIGHER, LOWER).astype(jnp.int32)

    def _left(self, state: cards.Deal) -> Int[Array, " ranks"]:
        return 4 * self.decks - cards.dealt(state, cards.RANKS)

    def hidden(self, state: cards.Deal) -> dict[str, tuple[Array, Array]]:
        """How many cards of each rank are left, and steps since the first was seen."""
        return {"left": (self._left(state), state.cursor)}

    def render(self, state: cards.Deal) -> UInt8[Array, "64 78 3"]:
        """The card on show; in the strip how many are left, from aces to kings."""
        shown = cards.picture(cards.value_at(state, state.cursor), cards.RANKS)
        return draw.frame(shown, cards.count_bars(self._left(state), 4 * self.decks))

    @property
    def observation_space(self) -> spaces.Discrete:
        """The rank on show."""
        return spaces.Discrete(cards.RANKS)

    @property
    def action_space(self) -> spaces.Discrete:
        """Higher or lower."""
        return spaces.Discrete(2)

    @property
    def card(self) -> Card:
        """The counts of the cards that are out.

        Observations do not depend on actions, so the best policies are the best
        guesses. Of the n - 1 others, 4 decks cards have each other rank, and any is
        as likely to be next: rank r alone pays |12 - 2r| 4 decks / (n - 1) per step.
        """
        steps = cards.DECK * self.decks - 1
        ranks = np.arange(cards.RANKS)
        memoryless = np.abs(cards.RANKS - 1 - 2 * ranks).sum() / cards.RANKS**2
        return Card(
            memory="capacity",
            paper=PAPER,
            horizon=(0, steps - 1),
            truncates=False,
            floor=exact(0.0, "right as often as wrong"),
            memoryless=exact(
                float(memoryless),
                "higher below rank 6, lower above it; the same for any number of decks",
            ),
            recall=self._recall(),
            oracle=exact(
                (cards.RANKS - 1) / cards.RANKS, "all but the 1 card in 13 that ties"
            ),
            max_episode_steps=steps,
            actions=("higher", "lower"),
        )

    def _recall(self) -> Return:
        if self.decks > _MOST_COMPUTED:
            return unknown(f"not computed for more than {_MOST_COMPUTED} decks")
        note = "the direction that more of the cards left lie in"
        return computed(counting_return(self.decks), note)


@functools.cache
def counting_return(decks: int) -> float:
    """Expected return of guessing by the cards that are left.

    With m cards left, of which h are higher and l lower than the one on show, the
    best guess pays |h - l| / m on average. By exchangeability the card on show is any
    card and those left are any m of the others, at every step. So (h, l), with e
    equal ones, are multivariate hypergeometric, and their probabilities are summed.
    """
    each = 4 * decks
    total = cards.DECK * decks
    log = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])

    def choose(n: int, k: np.ndarray) -> np.ndarray:
        return log[n] - log[k] - log[n - k]

    expected = 0.0
    for rank in range(cards.RANKS // 2 + 1):
        higher, lower = each * (cards.RANKS - 1 - rank), each * rank
        h, lo, e = np.ogrid[: higher + 1, : lower + 1, :each]
        left = h + lo + e
        ways = choose(higher, h) + choose(lower, lo) + choose(each - 1, e)
        paid = np.exp(ways - choose(total - 1, left)) * np.abs(h - lo)
        # Ranks r and 12 - r are alike; the middle one stands for itself.
        twins = 1 if 2 * rank == cards.RANKS - 1 else 2
        expected += twins * float((paid / np.maximum(left, 1)).sum())
    # m = n - 1 to 1 cards are left at the n - 1 actions: each m stands for one.
    return expected / cards.RANKS / total
