"""Sequence order: watch a list of items go by, then say it in order or backwards."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Bool, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype

LONGEST = 2_000_000_000
"""Most steps: times are int32."""
MOST_SYMBOLS = 10_000
"""Most symbols: all of them are shuffled at the start."""
NOTHING = 0
"""Observed while there is nothing to see and nothing to say."""
_TILES = 32


class SequenceOrderState(NamedTuple):
    """The list, and how much of it was said.

    Attributes:
        order: the items, in the order in which they are shown.
        time: steps taken.
        right: how many were named rightly.
    """

    order: Int[Array, " items"]
    time: Int[Array, ""]
    right: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class SequenceOrder(Environment):
    """Serial recall of a list (Botvinick and Plaut 2006; the digit span test).

    `items` different symbols of `symbols` are shown, one per step. After `delay` steps
    with nothing to see comes the recall: `items` steps, each with the same signal,
    each asking for one item, in the order of showing or, with `reverse`, backwards. A
    right one pays +1 / items and any other -1 / items, at once; nothing that is
    observed during recall says which item was shown, due or named.

    A list is an arrangement, every one equally likely. Items do not repeat, so one
    that has been named need not be considered again, and a list of all symbols leaves
    no choice for its last.

    Observations: 0 nothing, 1 to `symbols` an item, `symbols` + 1 the signal to name
    the next. Actions: 0 to `symbols` - 1, an item, without effect before the recall.

    Attributes:
        items: how many are shown.
        symbols: how many there are to choose them from.
        delay: steps between the last item and the first signal.
        reverse: whether to begin with the last item.
    """

    items: int = 6
    symbols: int = 10
    delay: int = 6
    reverse: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.symbols <= MOST_SYMBOLS:
            raise ValueError(
                "SequenceOrder needs symbols of at least 2, to have a choice, and at "
                f"most {MOST_SYMBOLS:,}; not {self.symbols}."
            )
        if not 1 <= self.items <= self.symbols:
            raise ValueError(
                f"SequenceOrder(symbols={self.symbols}) needs items of at least 1 and "
                f"at most {self.symbols}, as none is shown twice; not {self.items}."
            )
        if not 0 <= self.delay <= LONGEST:
            raise ValueError(
                f"SequenceOrder needs delay of at least 0 and at most {LONGEST:,}, "
                f"where time still fits into 32 bits; not {self.delay}."
            )

    @property
    def _begin(self) -> int:
        """The time of the first signal."""
        return self.items + self.delay

    @property
    def _end(self) -> int:
        return self._begin + self.items

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], SequenceOrderState]:
        """Draw the list; its first item is on show."""
        zero = jnp.zeros((), jnp.int32)
        shuffled = jnp.argsort(jax.random.bits(key, (self.symbols,), jnp.uint32))
        order = shuffled[: self.items].astype(jnp.int32)
        state = SequenceOrderState(order, zero, zero)
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: SequenceOrderState, action: Int[Array, ""]
    ) -> Transition:
        """Show the next item, wait, or score the one that is named."""
        del key
        recalls = self._recalls(state)
        named = recalls & (action == self._due(state)[0])
        pay = jnp.where(named, 1 / self.items, -1 / self.items)
        right = state.right + named.astype(jnp.int32)
        after = SequenceOrderState(state.order, state.time + 1, right)
        terminated = after.time == self._end
        waits = (state.time >= self.items).astype(jnp.int32)
        info = {
            "success": terminated & (right == self.items),
            "phase": waits + recalls.astype(jnp.int32),
            "decision": recalls,
        }
        return (
            self._observe(after),
            after,
            jnp.where(recalls, pay, 0.0).astype(float_dtype()),
            terminated,
            jnp.zeros((), bool),
            info,
        )

    def _recalls(self, state: SequenceOrderState) -> Bool[Array, ""]:
        return (state.time >= self._begin) & (state.time < self._end)

    def _observe(self, state: SequenceOrderState) -> Int[Array, ""]:
        item = state.order.at[state.time].get(mode="clip") + 1
        silent = jnp.where(self._recalls(state), self.symbols + 1, NOTHING)
        return jnp.where(state.time < self.items, item, silent).astype(jnp.int32)

    def _due(self, state: SequenceOrderState) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """The item to name next and its age; while watching, the one on show."""
        asked = jnp.clip(state.time - self._begin, 0, self.items - 1)
        place = self.items - 1 - asked if self.reverse else asked
        place = jnp.where(state.time < self.items, state.time, place)
        return state.order.at[place].get(mode="clip"), state.time - place

    def oracle(self, key: PRNGKeyArray, state: SequenceOrderState) -> Int[Array, ""]:
        """The item that is due."""
        del key
        return self._due(state)[0]

    def hidden(self, state: SequenceOrderState) -> dict[str, tuple[Array, Array]]:
        """The item to name next (while watching, the one on show) and the list.

        The list's age is that of its first item.
        """
        return {"due": self._due(state), "order": (state.order, state.time)}

    def render(self, state: SequenceOrderState) -> UInt8[Array, "64 width 3"]:
        """The item on show, or the signal to name one; in the strip the list.

        Of a long list the first 32.
        """
        hues = jnp.asarray(draw.hues(self.symbols))
        shown = self._observe(state)
        colour = hues.at[shown - 1].get(mode="clip")
        colour = draw.select(shown == self.symbols + 1, draw.FLOOR, colour)
        colour = draw.select(shown == NOTHING, draw.BACKGROUND, colour)
        scene = draw.tiles(colour[None, None], 32, 32)
        listed = hues[state.order[:_TILES]][None]
        return draw.frame(scene, draw.board(listed, draw.STRIP))

    @property
    def observation_space(self) -> spaces.Discrete:
        """Nothing, an item, or the signal to name the next."""
        return spaces.Discrete(self.symbols + 2)

    @property
    def action_space(self) -> spaces.Discrete:
        """The item named."""
        return spaces.Discrete(self.symbols)

    @property
    def card(self) -> Card:
        """Every item with its place.

        All recall steps look the same, so a policy of what is observed names each
        symbol as often at one place as at another; and at every place of the list all
        symbols are equally likely. So it is right once in `symbols` times, whatever
        it does.
        """
        chance = exact(2 / self.symbols - 1, "any symbol is as likely as any other")
        last = 2 * self.items + self.delay - 1
        return Card(
            memory="sequential",
            paper='Botvinick & Plaut 2006, "Short-Term Memory for Serial Order"',
            horizon=(self.delay + 1, last)
            if self.reverse
            else (self._begin, self._begin),
            truncates=False,
            floor=chance,
            memoryless=chance,
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self._end,
            phases=("watch", "wait", "recall"),
        )
