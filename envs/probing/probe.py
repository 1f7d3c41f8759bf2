"""Probes: tasks so small that the right values are known, one per kind of mistake.

A probe isolates one ability of an agent (fit a value, discount, act, remember, forget
at a reset, bootstrap at a time limit). Several kinds can share one environment: the
kind is then data, so that one compiled program tests them all.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from envs.base import Action, Card, Environment, Transition, unknown
from envs.probing.kinds import KINDS, Kind, ProbeState, number

_PAPER = "a unit test of agents; no paper"


@dataclasses.dataclass(frozen=True)
class Probe(Environment):
    """One or several kinds of probe; `KINDS` describes each.

    A reset draws a kind uniformly; later episodes of a stream keep it. Observations
    are three numbers: the cue or answer (+-1, 0 when absent), the mark 'answer now',
    and the step.

    Attributes:
        kinds: names from `KINDS`.
        lag: observations between cue and answer in `copy_bit`.
    """

    kinds: Sequence[str] = ("constant_reward",)
    lag: int = 4

    def __post_init__(self) -> None:
        # Configuration files give lists; a field must be hashable.
        object.__setattr__(self, "kinds", tuple(self.kinds))
        unknown_kinds = [name for name in self.kinds if name not in KINDS]
        if unknown_kinds or not self.kinds:
            raise ValueError(
                f"Probe(kinds={self.kinds}) is not made of known kinds; choose one or "
                f"more of {', '.join(KINDS)}."
            )
        if len({kind.continuous for kind in self._kinds}) > 1:
            raise ValueError(
                f"Probe(kinds={self.kinds}) mixes continuous and discrete actions, "
                "and an environment has one action space; use two probes."
            )
        if self.lag < 1:
            raise ValueError(
                f"Probe needs lag of at least 1, not {self.lag}: at 0 the answer "
                "would be on show."
            )

    @property
    def _kinds(self) -> list[Kind]:
        return [KINDS[name] for name in self.kinds]

    def start(
        self, kind: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Float[Array, "3"], ProbeState]:
        """Start an episode of the kind at position `kind`, which may be traced."""
        bit = jax.random.bernoulli(key).astype(jnp.int32)
        zero = jnp.zeros((), jnp.int32)
        state = ProbeState(kind.astype(jnp.int32), zero, bit, zero)
        return self._observe(state), state

    def reset(self, key: PRNGKeyArray) -> tuple[Float[Array, "3"], ProbeState]:
        """Draw a kind and start an episode of it."""
        kind_key, start_key = jax.random.split(key)
        kind = jax.random.randint(kind_key, (), 0, len(self.kinds), jnp.int32)
        return self.start(kind, start_key)

    def next_episode(
        self, key: PRNGKeyArray, state: ProbeState
    ) -> tuple[Float[Array, "3"], ProbeState]:
        """Start the episode after `state`: the same kind, for `flip` the other bit."""
        observation, start = self.start(state.kind, key)
        flips = jnp.array([name == "flip" for name in self.kinds])[state.kind]
        # The bit of a flip is not on show at the start: the observation stands.
        return observation, start._replace(
            bit=jnp.where(flips, 1 - state.bit, start.bit)
        )

    def step(self, key: PRNGKeyArray, state: ProbeState, action: Action) -> Transition:
        """Pay for `action` and move the clock."""
        del key
        discrete = not self._kinds[0].continuous
        action = action.astype(jnp.int32) if discrete else action
        rewards = [number(kind.reward(state, action, self.lag)) for kind in self._kinds]
        lengths = jnp.array([k.length(self.lag) for k in self._kinds], jnp.int32)
        truncates = jnp.array([k.truncates for k in self._kinds])[state.kind]
        copies = jnp.array([name == "copy_bit" for name in self.kinds])[state.kind]
        info = {"decision": copies & (state.time == self.lag)}
        after = state._replace(
            time=state.time + 1, previous=action if discrete else state.previous
        )
        ended = after.time == lengths[state.kind]
        return (
            self._observe(after),
            after,
            jnp.stack(rewards)[state.kind],
            ended & ~truncates,
            ended & truncates,
            info,
        )

    def _observe(self, state: ProbeState) -> Float[Array, "3"]:
        shown = [jnp.stack(kind.observe(state, self.lag)) for kind in self._kinds]
        return jnp.stack(shown)[state.kind].astype(jnp.float32)

    def oracle(self, key: PRNGKeyArray, state: ProbeState) -> Action:
        """The best action given the state."""
        del key
        return jnp.stack([kind.oracle(state) for kind in self._kinds])[state.kind]

    def hidden(self, state: ProbeState) -> dict[str, tuple[Array, Array]]:
        """The bit and its age; meaningful for `copy_bit`."""
        return {"bit": (state.bit, state.time)}

    @property
    def action_mask(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The actions allowed now; None where no kind has a mask."""
        if all(kind.allowed is None for kind in self._kinds):
            return None

        def allowed(state: ProbeState) -> Bool[Array, "2"]:
            both = jnp.ones(2, bool)
            masks = [
                both if kind.allowed is None else kind.allowed(state)
                for kind in self._kinds
            ]
            return jnp.stack(masks)[state.kind]

        return allowed

    @property
    def observation_space(self) -> spaces.Box:
        """Cue or answer, 'answer now', step."""
        # The observation after the last step of a kind still marks its number.
        return spaces.Box(
            np.array([-1, 0, 0], np.float32), np.array([1, 1, 2], np.float32)
        )

    @property
    def action_space(self) -> gymnasium.Space:
        """Two actions, or a number in [-1, 1]."""
        if self._kinds[0].continuous:
            return spaces.Box(-1.0, 1.0, (1,), np.float32)
        return spaces.Discrete(2)

    @property
    def card(self) -> Card:
        """The card of the only kind; a mixture has no one return to speak of."""
        if len(set(self.kinds)) == 1:
            floor, memoryless, recall, oracle = self._kinds[0].returns
        else:
            floor = memoryless = recall = oracle = unknown(
                f"a mixture of {', '.join(self.kinds)}; see each kind's own card"
            )
        remembers = "copy_bit" in self.kinds
        only_copies = set(self.kinds) == {"copy_bit"}
        return Card(
            memory="object" if remembers else "none",
            paper=_PAPER,
            horizon=(self.lag if only_copies else 0, self.lag if remembers else 0),
            truncates=any(kind.truncates for kind in self._kinds),
            floor=floor,
            memoryless=memoryless,
            recall=recall,
            oracle=oracle,
            max_episode_steps=max(kind.length(self.lag) for kind in self._kinds),
            needs_previous_action="previous_action" in self.kinds,
            outside_memory="previous_action" in self.kinds,
        )
