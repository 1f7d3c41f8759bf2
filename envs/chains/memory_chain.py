"""Memory chain (bsuite): a few bits are shown, then one of them is asked for."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Card, Environment, Transition, exact, float_dtype

_LOGARITHMIC = (*range(1, 11), 12, 14, 17, 20, 25)
LENGTHS = (*_LOGARITHMIC, *range(30, 101, 10))
"""The 23 settings of bsuite's `memory_len`: lengths, for one bit."""
SIZES = (*_LOGARITHMIC, 30, 40)
"""The 17 settings of bsuite's `memory_size`: numbers of bits, for length 2."""
LONGEST = 2_000_000_000
"""Largest length: times are int32."""
MOST_BITS = 1_000_000
"""Most bits: the observation space, with one number each, is made on the host."""


class MemoryChainState(NamedTuple):
    """What was shown and what will be asked.

    Attributes:
        time: steps taken.
        context: the bits, +-1.
        query: the index of the bit that will be asked for.
    """

    time: Int[Array, ""]
    context: Int[Array, " bits"]
    query: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class MemoryChain(Environment):
    """Name one of the bits seen at the start (Osband et al. 2020).

    Observations are `[1 - t/length, query, context...]`. The context, +-1 for every
    bit, is on show at t = 0 and the query, the index of a bit, at t = length - 1; they
    read 0 elsewhere, which is an index too. The action that follows the query's
    observation pays 1 if it equals the bit (0 for -1, 1 for +1) and -1 otherwise, and
    ends the episode; no other action does anything.

    The original shows t = 0 twice: its step returns the observation of the time
    before it advances. So the episode takes length + 1 actions, the context is on show
    in the first two observations, and the memory must hold it for length - 1 steps,
    counted from its second showing: none at all for length 1, where context and
    query stand side by side. This is kept, step by step; only the observation's
    leading axis of one is not.

    Attributes:
        length: steps from the second showing of the context to the scored action,
            plus one.
        bits: how many are shown.
    """

    length: int = 10
    bits: int = 1

    def __post_init__(self) -> None:
        for name, most in (("length", LONGEST), ("bits", MOST_BITS)):
            if not 1 <= (value := getattr(self, name)) <= most:
                raise ValueError(
                    f"MemoryChain needs {name} of at least 1 and at most {most:,}, "
                    f"not {value}."
                )

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, " n"], MemoryChainState]:
        """Draw the bits and the query."""
        context_key, query_key = jax.random.split(key)
        drawn = jax.random.bernoulli(context_key, shape=(self.bits,))
        state = MemoryChainState(
            time=jnp.zeros((), jnp.int32),
            context=2 * drawn.astype(jnp.int32) - 1,
            query=jax.random.randint(query_key, (), 0, self.bits, jnp.int32),
        )
        return self._observe(state), state

    def step(
        self, key: PRNGKeyArray, state: MemoryChainState, action: Int[Array, ""]
    ) -> Transition:
        """Advance; score the action that follows the query."""
        del key
        last = state.time == self.length
        right = action.astype(jnp.int32) == self._answer(state)
        reward = jnp.where(last, jnp.where(right, 1.0, -1.0), 0.0)
        waiting = jnp.where(self._shown(state) == 0, 0, 1)
        info = {
            "success": last & right,
            "phase": jnp.where(last, 2, waiting).astype(jnp.int32),
            "decision": last,
        }
        after = state._replace(time=state.time + 1)
        return (
            self._observe(after),
            after,
            reward.astype(float_dtype()),
            last,
            jnp.zeros((), bool),
            info,
        )

    def _shown(self, state: MemoryChainState) -> Int[Array, ""]:
        """The time t of the observation made after `state.time` steps."""
        return jnp.maximum(state.time - 1, 0)

    def _asked(self, state: MemoryChainState) -> Bool[Array, ""]:
        return self._shown(state) == self.length - 1

    def _observe(self, state: MemoryChainState) -> Float[Array, " n"]:
        shown = self._shown(state)
        left = (self.length - shown).astype(jnp.float32) / self.length
        query = jnp.where(self._asked(state), state.query, 0)
        context = jnp.where(shown == 0, state.context, 0)
        rest = jnp.concatenate([query[None], context]).astype(jnp.float32)
        return jnp.concatenate([left[None], rest])

    def _answer(self, state: MemoryChainState) -> Int[Array, ""]:
        bit = state.context.at[state.query].get(mode="clip")
        return (bit > 0).astype(jnp.int32)

    def oracle(self, key: PRNGKeyArray, state: MemoryChainState) -> Int[Array, ""]:
        """The bit that will be asked for."""
        del key
        return self._answer(state)

    def hidden(self, state: MemoryChainState) -> dict[str, tuple[Array, Array]]:
        """The bits and the steps since they were last on show."""
        return {"context": (state.context, self._shown(state))}

    def render(self, state: MemoryChainState) -> UInt8[Array, "64 width 3"]:
        """Bits while on show, a mark below the one asked for, a bar of time left.

        The bits stand in the strip throughout.
        """
        third, width = draw.SCENE // 3, max(8, 64 // self.bits)
        bits = draw.sign(state.context > 0)[None]
        shown = jnp.broadcast_to(self._shown(state) == 0, (1, self.bits))
        visible = draw.select(shown, bits, draw.FLOOR)
        index = jnp.arange(self.bits, dtype=jnp.int32)
        asked = self._asked(state) & (index == state.query)
        mark = draw.select(asked, draw.AGENT, draw.BACKGROUND)[None]
        left = (self.length - self._shown(state)) * (width * self.bits) // self.length
        bar = draw.canvas(third, width * self.bits)
        bar = draw.rectangle(bar, (third // 2, 0), (third // 2, left), draw.MARK)
        parts = [draw.tiles(row, third, width) for row in (visible, mark)]
        scene = jnp.concatenate([*parts, bar])
        return draw.frame(scene, draw.tiles(bits, draw.STRIP, width))

    @property
    def observation_space(self) -> spaces.Box:
        """Time left, index of the bit asked for, bits."""
        low = np.full(self.bits + 2, -1, np.float32)
        high = np.ones(self.bits + 2, np.float32)
        low[:2] = 0
        high[1] = max(1, self.bits - 1)
        return spaces.Box(low, high)

    @property
    def action_space(self) -> spaces.Discrete:
        """The bit named: 0 for -1, 1 for +1."""
        return spaces.Discrete(2)

    @property
    def card(self) -> Card:
        """One bit or several, held for length - 1 steps.

        Observations do not depend on actions, and the bits are fair and independent
        of all that is on show with the query: whoever does not remember is right half
        the time, which pays 0. For length 1 the bits are on show themselves.
        """
        on_show = self.length == 1
        kind = "object" if self.bits == 1 else "capacity"
        return Card(
            memory="none" if on_show else kind,
            paper='Osband et al. 2020, "Behaviour Suite for Reinforcement Learning"',
            horizon=(self.length - 1, self.length - 1),
            truncates=False,
            floor=exact(0.0, "right half the time"),
            memoryless=exact(
                float(on_show),
                "bits and query are on show together" if on_show else "a guess",
            ),
            recall=exact(1.0),
            oracle=exact(1.0),
            max_episode_steps=self.length + 1,
            phases=("context", "wait", "query"),
        )
