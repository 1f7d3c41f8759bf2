"""The environment contract: what a task is to everything else in this repository.

An environment is an immutable description of a task. Its fields are the task's
parameters and must be hashable Python values; everything that changes lives in the
state, a pytree of arrays with fixed shapes and dtypes. `reset` and `step` are pure
functions of one stream; batching and starting over belong to `envs.vector`.
"""

import abc
import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Observation = Any
"""A pytree of arrays that lies in `observation_space` (Dict and Tuple as such)."""
Action = Any
"""An array that lies in `action_space`."""
State = Any
"""A pytree of arrays, of the same structure, shapes and dtypes at every step."""
Info = dict[str, Array]
Transition = tuple[
    Observation, State, Float[Array, ""], Bool[Array, ""], Bool[Array, ""], Info
]

MemoryKind = Literal[
    "object",
    "spatial",
    "sequential",
    "capacity",
    "filtering",
    "meta",
    "negative",
    "tracking",
    "temporal",
    "procedural",
    "prospective",
    "checklist",
    "none",
]
"""What must be remembered, if anything."""

RESERVED_INFO_KEYS = ("success", "phase", "decision")
"""Keys of `info` with one meaning in every task: the episode succeeded; index into
`card.phases`; the action just taken is one that uses the memory."""


class Return(NamedTuple):
    """An undiscounted episode return and how it is known.

    `how` is 'exact' (a closed form), 'computed' (dynamic programming or exhaustive
    search), 'simulated' (a mean over `episodes`, with the half width of its 95 %
    interval) or 'unknown', where `value` is None and `note` says why.
    """

    value: float | None
    how: Literal["exact", "computed", "simulated", "unknown"]
    note: str = ""
    episodes: int | None = None
    half_width: float | None = None


def exact(value: float, note: str = "") -> Return:
    """A return known in closed form."""
    return Return(value, "exact", note)


def computed(value: float, note: str = "") -> Return:
    """A return computed without sampling, for example by dynamic programming."""
    return Return(value, "computed", note)


def simulated(value: float, episodes: int, half_width: float, note: str = "") -> Return:
    """A mean over `episodes` with the half width of its 95 % interval."""
    return Return(value, "simulated", note, episodes, half_width)


def unknown(why: str) -> Return:
    """A return nobody has established, with the reason."""
    return Return(None, "unknown", why)


@dataclasses.dataclass(frozen=True)
class Card:
    """What a task demands of memory, and the numbers that frame any result on it.

    Floor, memoryless, recall and oracle are undiscounted returns of an episode. Where
    rewards are shaped they say little, and `measure` may be `success`: then the four
    are shares of episodes that succeed, and that is what results are held against.

    Attributes:
        memory: the kind of memory that the task needs.
        paper: the source of the task.
        horizon: fewest and most steps between a cue and the action that uses it;
            (0, 0) where nothing must be remembered.
        truncates: whether an episode can be cut off by a time limit. Agents compile
            no truncation code for tasks that never are.
        floor: return of the uniformly random policy.
        memoryless: return of the best stationary policy, stochastic or not, that
            sees only the current inputs (start flag included).
        recall: return of the best policy that sees the whole history: the ceiling
            for any memory.
        oracle: return of a privileged policy that sees the state.
        max_episode_steps: the longest possible episode, None where unbounded.
        needs_previous_action: whether observations mean nothing without the
            previous action; agents then receive it as an input.
        outside_memory: whether the agent can store information in what it will
            observe again, such as its own position.
        phases: names that `info["phase"]` indexes: the phase in which the action was
            chosen.
        actions: names of the actions of a Discrete space, for people.
        measure: what the four numbers are of, `return` or `success`.
    """

    memory: MemoryKind
    paper: str
    horizon: tuple[int, int]
    truncates: bool
    floor: Return
    memoryless: Return
    recall: Return
    oracle: Return
    max_episode_steps: int | None
    needs_previous_action: bool = False
    outside_memory: bool = False
    phases: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    measure: Literal["return", "success"] = "return"


@dataclasses.dataclass(frozen=True)
class Environment(abc.ABC):
    """One task. Subclasses are frozen dataclasses; their fields are its parameters.

    Optional methods are None here and become methods where a task has them:

        oracle(key, state) -> action        a privileged policy
        hidden(state) -> dict               what must be remembered: name -> (value,
                                            steps since it was last observable, -1 if
                                            it has not been in this episode)
        render(state) -> uint8[height, width, 3], for people (`envs.draw`)
        action_mask(state) -> bool[n]       the actions allowed now; for
                                            MultiDiscrete the masks of all
                                            components, concatenated in order
        next_episode(key, state) -> (observation, state)
                                            the start of the episode that follows the
                                            one ending in `state`; without it, `reset`

    Gymnasium spaces are unhashable, so spaces and card are properties, never fields.
    """

    oracle: ClassVar[Any] = None
    hidden: ClassVar[Any] = None
    render: ClassVar[Any] = None
    action_mask: ClassVar[Any] = None
    next_episode: ClassVar[Any] = None

    def settings(self) -> dict[str, Any]:
        """The task's parameters by name, as people are told them."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def placed(self) -> "Environment":
        """The task that `envs.make` gives: this one, unless it runs elsewhere."""
        return self

    @abc.abstractmethod
    def reset(self, key: PRNGKeyArray) -> tuple[Observation, State]:
        """Start an episode.

        Args:
            key: the source of all randomness of the start.

        Returns:
            The first observation and the state.
        """

    @abc.abstractmethod
    def step(self, key: PRNGKeyArray, state: State, action: Action) -> Transition:
        """Advance one step; never start over (the vectoriser does).

        Args:
            key: the source of all randomness of this step.
            state: the state that `action` was chosen in.
            action: an element of `action_space`.

        Returns:
            observation, state, reward (float, scalar), terminated (bool, scalar: the
            task ended), truncated (bool, scalar: a time limit cut it off), info (the
            same keys, shapes and dtypes at every step; agents never read it).
        """

    @property
    @abc.abstractmethod
    def observation_space(self) -> gymnasium.Space:
        """The Gymnasium space of one observation."""

    @property
    @abc.abstractmethod
    def action_space(self) -> gymnasium.Space:
        """The Gymnasium space of one action."""

    @property
    @abc.abstractmethod
    def card(self) -> Card:
        """What the task demands of memory."""


def steps_since(then: Int[Array, ""], now: Int[Array, ""]) -> Int[Array, ""]:
    """Steps from `then` to `now`; -1 where `then` is -1, which is never so far."""
    return jnp.where(then < 0, -1, now - then)


def float_dtype() -> Any:
    """The dtype of rewards: float32, or float64 under `jax_enable_x64`."""
    return jax.dtypes.canonicalize_dtype(float)
