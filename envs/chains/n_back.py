"""N-back: does the symbol on show equal the one n steps before?"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces
from jaxtyping import Array, Bool, Float32, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype

LONGEST = 2_000_000_000
"""Most steps: times are int32."""
MOST_BACK = 1_000_000
"""Farthest look back: a state holds that many symbols."""
MOST_SYMBOLS = 1_000_000
"""Most symbols: they are drawn with 23 random bits."""
_TILES = 32


class NBackState(NamedTuple):
    """The last symbols.

    Attributes:
        ring: the symbols of the last n + 1 steps; that of step t is at t modulo n + 1.
        time: steps taken.
    """

    ring: Int[Array, " size"]
    time: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class NBack(Environment):
    """Compare the symbol on show with the one n steps before (Kirchner 1958).

    One of `symbols` symbols is shown at each of `length` steps, and every action says
    whether it equals the one n steps before: 0 different, 1 the same. The first n
    actions are not scored, as there is nothing to compare with; each of the others
    pays +-1 / (length - n), so that returns reach from -1 to 1.

    The first n symbols are uniform. Each later one repeats the symbol n steps before
    with probability `match_probability`, else it is one of the others, uniformly. So
    whether two symbols match tells nothing about either of them alone. At one half,
    any answers that ignore the past are right half the time; experiments with people
    have fewer matches (a third, say), where 'different' is the better guess.

    Who only knows that a symbol was seen lately, not when, does well nonetheless: with
    many symbols most of those that were seen lately are matches. Lures make this worth
    less: symbols that do not match, but repeat the one n - 1 or n + 1 steps before
    (which of the two is a toss-up; always n + 1 for n = 1). Where that symbol would
    match, or there is none yet, the lure is left out.

    Attributes:
        n: how many steps back.
        symbols: how many there are.
        length: steps of an episode.
        match_probability: of a symbol after the first n, to equal that n steps before.
        lure_probability: of a symbol that does not match, to be a lure.
    """

    n: int = 2
    symbols: int = 8
    length: int = 22
    match_probability: float = 0.5
    lure_probability: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST_BACK:
            raise ValueError(
                f"NBack needs n of at least 1, a step back, and at most {MOST_BACK:,}, "
                f"the symbols that a state can hold; not {self.n}."
            )
        if not self.n < self.length <= LONGEST:
            raise ValueError(
                f"NBack(n={self.n}) needs length of at least {self.n + 1}, or no "
                f"action would be scored, and at most {LONGEST:,}; not {self.length}."
            )
        if not 2 <= self.symbols <= MOST_SYMBOLS:
            raise ValueError(
                f"NBack needs symbols of at least 2, or all would match, and at most "
                f"{MOST_SYMBOLS:,}; not {self.symbols}."
            )
        if not 0 < self.match_probability < 1:
            raise ValueError(
                "NBack needs match_probability between 0 and 1, both excluded, or the "
                f"answer would always be the same; not {self.match_probability}."
            )
        if not 0 <= self.lure_probability <= 1:
            raise ValueError(
                f"NBack needs lure_probability from 0 to 1, a share of the symbols "
                f"that do not match; not {self.lure_probability}."
            )

    def reset(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], NBackState]:
        """Draw the first symbol."""
        zero = jnp.zeros((), jnp.int32)
        symbol = jax.random.randint(key, (), 0, self.symbols, jnp.int32)
        ring = jnp.zeros(self.n + 1, jnp.int32).at[0].set(symbol)
        return symbol, NBackState(ring, zero)

    def step(
        self, key: PRNGKeyArray, state: NBackState, action: Int[Array, ""]
    ) -> Transition:
        """Score the answer and show the next symbol."""
        scale = 1 / (self.length - self.n)
        scored = state.time >= self.n
        right = (action == 1) == self._same(state)
        reward = jnp.where(scored, jnp.where(right, scale, -scale), 0.0)
        symbol, time = self._draw(key, state), state.time + 1
        after = NBackState(state.ring.at[time % (self.n + 1)].set(symbol), time)
        info = {"decision": scored, "phase": scored.astype(jnp.int32)}
        return (
            symbol,
            after,
            reward.astype(float_dtype()),
            time == self.length,
            jnp.zeros((), bool),
            info,
        )

    def _back(self, state: NBackState, steps: int) -> Int[Array, ""]:
        """The symbol so many steps before the one on show, at most n."""
        place = (state.time - steps) % (self.n + 1)
        return state.ring.at[place].get(mode="clip")

    def _same(self, state: NBackState) -> Bool[Array, ""]:
        return self._back(state, 0) == self._back(state, self.n)

    def _draw(self, key: PRNGKeyArray, state: NBackState) -> Int[Array, ""]:
        """The symbol of the next step, for which all is one step farther back."""
        lured = self.lure_probability > 0
        coins = jax.random.uniform(key, (4 if lured else 2,), jnp.float32)
        target = self._back(state, self.n - 1)
        other = (target + 1 + _below(coins[1], self.symbols - 1)) % self.symbols
        if lured:
            older = coins[3] < (0.5 if self.n > 1 else 1.0)
            near = self._back(state, max(self.n - 2, 0))
            lure = jnp.where(older, self._back(state, self.n), near)
            there = ~older | (state.time >= self.n)
            lures = (coins[2] < self.lure_probability) & there & (lure != target)
            other = jnp.where(lures, lure, other)
        symbol = jnp.where(coins[0] < self.match_probability, target, other)
        first = _below(coins[1], self.symbols)
        return jnp.where(state.time + 1 < self.n, first, symbol)

    def oracle(self, key: PRNGKeyArray, state: NBackState) -> Int[Array, ""]:
        """The right answer."""
        del key
        return self._same(state).astype(jnp.int32)

    def hidden(self, state: NBackState) -> dict[str, tuple[Array, Array]]:
        """The symbol to compare with and its age; until there is one, the first."""
        age = jnp.minimum(state.time, self.n)
        symbol = state.ring.at[(state.time - age) % (self.n + 1)].get(mode="clip")
        return {"compared": (symbol, age)}

    def render(self, state: NBackState) -> UInt8[Array, "64 width 3"]:
        """The symbol on show; in the strip the last n, the one to compare with first.

        Grey where nothing has been shown yet; of many the oldest 32.
        """
        hues = jnp.asarray(draw.hues(self.symbols))
        scene = draw.tiles(hues[self._back(state, 0)][None, None], 32, 32)
        count = min(self.n, _TILES)
        time = state.time - self.n + jnp.arange(count, dtype=jnp.int32)
        symbols = state.ring[time % (self.n + 1)]
        colours = draw.select(time >= 0, hues[symbols], draw.MARK)
        return draw.frame(scene, draw.board(colours[None], draw.STRIP))

    @property
    def observation_space(self) -> spaces.Discrete:
        """The symbol on show."""
        return spaces.Discrete(self.symbols)

    @property
    def action_space(self) -> spaces.Discrete:
        """Different or the same."""
        return spaces.Discrete(2)

    @property
    def card(self) -> Card:
        """The last n symbols in order.

        The rules treat all symbols alike, so matches are as likely whichever symbol
        is on show, and a policy of that alone does as well as its share of 'same'
        answers allows: a m + (1 - a)(1 - m) for a share a and a match probability m,
        which is largest at a = 0 or 1.
        """
        match = self.match_probability
        return Card(
            memory="sequential",
            paper='Kirchner 1958, "Age Differences in Short-Term Retention of Rapidly '
            'Changing Information"',
            horizon=(self.n, self.n),
            truncates=False,
            floor=exact(0.0, "right half the time"),
            memoryless=exact(abs(2 * match - 1), "always the likelier answer"),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self.length,
            phases=("watch", "answer"),
            actions=("different", "same"),
        )


def _below(coin: Float32[Array, ""], count: int) -> Int[Array, ""]:
    """A number from 0 to `count` - 1, uniform as `coin` is in [0, 1)."""
    return jnp.minimum((coin * count).astype(jnp.int32), count - 1)
