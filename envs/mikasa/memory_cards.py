"""Memory cards: a card is shown; point at the other one like it."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype, steps_since
from envs.mikasa import memory_cards_returns as returns

_MOST_PAIRS = 10_000


class MemoryCardsState(NamedTuple):
    """The table.

    Attributes:
        values: the cards, 1 to `pairs`, by their places.
        removed: which have been taken off.
        shown: place of the card that lies face up.
        last_shown: when each card last lay face up, -1 if it never did.
        time: steps taken.
    """

    values: Int[Array, " cards"]
    removed: Bool[Array, " cards"]
    shown: Int[Array, ""]
    last_shown: Int[Array, " cards"]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class MemoryCards(Environment):
    """The game of pairs, with the first card of each attempt dealt (MIKASA-Base).

    Of 2 * pairs cards on the table, two of each kind, one lies face up. The action
    names the place of the other one like it. If that is right, both are taken off, for
    a reward of 0. If not, which includes the card shown itself and places that are
    empty, the reward is -1 and the card shown is turned back; the card named is not
    turned up. Then one of the cards left, drawn anew in every step, lies face up. The
    episode terminates when the table is empty. There is no time limit: who insists on
    one wrong place for each card never comes to an end.

    Observations, one number for each place: 0 face down, 1 to `pairs` the card shown,
    pairs + 1 empty.

    The rewards are those of the code of Cherepanov et al. 2025; its docstring tells
    of others. What was wrong once is worth remembering too, a little.

    Attributes:
        pairs: of cards.
    """

    pairs: int = 5

    def __post_init__(self) -> None:
        if not 2 <= self.pairs <= _MOST_PAIRS:
            raise ValueError(
                "MemoryCards needs pairs of at least 2, or there is one card to point "
                f"at, and at most {_MOST_PAIRS:,}, not {self.pairs}."
            )

    @property
    def _places(self) -> Int[Array, " cards"]:
        return jnp.arange(2 * self.pairs, dtype=jnp.int32)

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, " cards"], MemoryCardsState]:
        """Lay out the cards and turn one up."""
        shuffle_key, show_key = jax.random.split(key)
        state = MemoryCardsState(
            values=jax.random.permutation(shuffle_key, self._places // 2 + 1),
            removed=jnp.zeros(2 * self.pairs, bool),
            shown=jnp.zeros((), jnp.int32),
            last_shown=jnp.full(2 * self.pairs, -1, jnp.int32),
            time=jnp.zeros((), jnp.int32),
        )
        return self._show(show_key, state)

    def step(
        self, key: PRNGKeyArray, state: MemoryCardsState, action: Int[Array, ""]
    ) -> Transition:
        """Judge the place that was named, and turn another card up."""
        mate = self._mate(state)
        right = action.astype(jnp.int32) == mate
        pair = (self._places == mate) | (self._places == state.shown)
        after = state._replace(
            removed=state.removed | (right & pair), time=state.time + 1
        )
        terminated = after.removed.all()
        info = {"success": terminated, "decision": state.last_shown[mate] >= 0}
        observation, after = self._show(key, after)
        return (
            observation,
            after,
            jnp.where(right, 0.0, -1.0).astype(float_dtype()),
            terminated,
            jnp.zeros((), bool),
            info,
        )

    def _show(
        self, key: PRNGKeyArray, state: MemoryCardsState
    ) -> tuple[Int[Array, " cards"], MemoryCardsState]:
        """Turn up one of the cards left, each as likely as the others."""
        left = jnp.cumsum(~state.removed, dtype=jnp.int32)
        number = jax.random.randint(key, (), 0, jnp.maximum(left[-1], 1), jnp.int32)
        shown = jnp.argmax(left > number).astype(jnp.int32)
        face_up = ~state.removed & (self._places == shown)
        state = state._replace(
            shown=shown,
            last_shown=jnp.where(face_up, state.time, state.last_shown),
        )
        return self._observe(state), state

    def _observe(self, state: MemoryCardsState) -> Int[Array, " cards"]:
        face_up = jnp.where(self._places == state.shown, state.values, 0)
        return jnp.where(state.removed, self.pairs + 1, face_up).astype(jnp.int32)

    def _mate(self, state: MemoryCardsState) -> Int[Array, ""]:
        """The place of the card like the one shown."""
        value = state.values.at[state.shown].get(mode="clip")
        like = (state.values == value) & (self._places != state.shown)
        return jnp.argmax(like).astype(jnp.int32)

    def oracle(self, key: PRNGKeyArray, state: MemoryCardsState) -> Int[Array, ""]:
        """The place of the card like the one shown."""
        del key
        return self._mate(state)

    def hidden(self, state: MemoryCardsState) -> dict[str, tuple[Array, Array]]:
        """The mate's place and how long ago it was shown; -1 if it never was."""
        mate = self._mate(state)
        seen = state.last_shown.at[mate].get(mode="clip")
        return {"mate": (mate, steps_since(seen, state.time))}

    def render(self, state: MemoryCardsState) -> UInt8[Array, "64 width 3"]:
        """The table in two rows; in the strip what lies there, face up."""
        width = max(2, 96 // self.pairs)
        shape = (2, self.pairs)
        faces = jnp.asarray(_palette(self.pairs))[state.values - 1]
        faces = draw.select(state.removed, draw.BACKGROUND, faces).reshape(*shape, 3)
        removed, shown = (
            mask.reshape(shape) for mask in (state.removed, self._places == state.shown)
        )
        back = draw.select(removed, draw.BACKGROUND, draw.MARK)
        rows = ((draw.select(shown, faces, back), 20), (faces, 8))
        gap = draw.BACKGROUND[0]
        images = [
            draw.tiles(row, height, width)
            .at[:, width - 1 :: width]
            .set(gap)
            .at[height - 1 :: height]
            .set(gap)
            for row, height in rows
        ]
        return draw.frame(*images)

    @property
    def observation_space(self) -> spaces.MultiDiscrete:
        """What lies at each place."""
        return spaces.MultiDiscrete(np.full(2 * self.pairs, self.pairs + 2))

    @property
    def action_space(self) -> spaces.Discrete:
        """The place of the other card."""
        return spaces.Discrete(2 * self.pairs)

    @property
    def card(self) -> Card:
        """Where each card was seen; for the best, what was tried in vain as well."""
        return Card(
            memory="capacity",
            paper='Cherepanov et al. 2025, "Memory, Benchmark & Robots" (MIKASA-Base)',
            # Unbounded, like the episode; for the most stands the mean length of an
            # episode of guessing among the cards left.
            horizon=(1, self.pairs**2),
            truncates=False,
            floor=exact(
                -float(self.pairs * (2 * self.pairs - 1)),
                "one place in 2 pairs is right at every step",
            ),
            memoryless=returns.memoryless(self.pairs),
            recall=returns.recall(self.pairs),
            oracle=exact(0.0),
            max_episode_steps=None,
        )


def _palette(pairs: int) -> np.ndarray:
    """A colour for each pair: a round of hues, every other one darker."""
    index = np.arange(pairs)[:, None]
    angle = 2 * np.pi * (index / pairs + np.arange(3) / 3)
    light = np.where(index % 2, 0.6, 1.0)
    return (light * (128 + 127 * np.cos(angle))).astype(np.uint8)
