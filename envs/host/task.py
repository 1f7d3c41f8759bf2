"""The static part of a numpy Gymnasium environment: its spaces and its card.

Whatever traces a task without running it (networks, sizes, plans, keys, checkpoints)
works with it unchanged. Its steps are taken on the host, by `envs.host.vector`.
"""

import dataclasses
import functools
import importlib
import importlib.util
from typing import Any, Literal

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from jaxtyping import PRNGKeyArray

from envs.base import Card, Environment, Transition, float_dtype, unknown
from envs.host.guard import Making, misfit
from envs.registry import nearest
from envs.spaces import children

Vectorization = Literal["sync", "async", "own"]
"""In this process one after the other, in a process each, or by the id's own code."""

LEAVES = (spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary)
"""Spaces whose elements make one array, alone or inside Dict and Tuple."""

_ELSEWHERE = (
    "a numpy environment is stepped on the host and cannot be compiled: train it with "
    "agents.run, and play it with agents.load (docs/host_environments.md)."
)


@dataclasses.dataclass(frozen=True, eq=False)
class HostTask(Environment):
    """A numpy environment: an id of Gymnasium, or a class or function of one's own.

    Attributes:
        id: of `gymnasium.make`, or 'module:attribute' where it is one's `own`.
        arguments: passed to whatever makes one.
        own: whether `id` names a class, or a function that returns an environment.
        vectorization: how many of them are stepped.
        step_timeout: seconds after which a step counts as hung; with `async` only.
    """

    id: str = "CartPole-v1"
    arguments: dict[str, Any] = dataclasses.field(default_factory=dict)
    own: bool = False
    vectorization: Vectorization = "sync"
    step_timeout: float | None = None

    def __post_init__(self) -> None:
        if self.step_timeout is not None:
            if self.vectorization != "async":
                raise ValueError(
                    f"step_timeout={self.step_timeout} needs vectorization=async, "
                    "because a step that hangs in this process cannot be interrupted."
                )
            if not self.step_timeout > 0:
                raise ValueError(
                    f"step_timeout={self.step_timeout} must be above 0 seconds."
                )
        if (
            self.vectorization == "own"
            and getattr(self.source, "vector_entry_point", None) is None
        ):
            raise ValueError(
                f"vectorization=own, but {self.id} brings no vectoriser of its own; "
                "take sync or async."
            )
        for space, told in (
            (self.observation_space, "observation"),
            (self.action_space, "action"),
        ):
            _check_space(space, told, self.id)

    @functools.cached_property
    def source(self) -> Any:
        """What an environment is made from: a spec of Gymnasium, or a path."""
        return self.id if self.own else find(self.id)

    def making(self, stream: int = 0, render_mode: str | None = None) -> Making:
        """How the environment of a stream is made."""
        return Making(self.source, dict(self.arguments), stream, render_mode)

    @functools.cached_property
    def _facts(
        self,
    ) -> tuple[gymnasium.Space, gymnasium.Space, Card | None, int | None]:
        """What one environment, made once, tells about all."""
        making = self.making()
        try:
            env = making.bare()
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0].rstrip(".")
            raise ValueError(
                f"{self.id} cannot be made with {self.arguments}: "
                f"{type(error).__name__}: {reason}."
            ) from error
        if not isinstance(env, gymnasium.Env):
            raise ValueError(f"{self.id} makes {env!r:.60}, which is no gymnasium.Env.")
        missing = [
            name
            for name in ("observation_space", "action_space")
            if not isinstance(getattr(env, name, None), gymnasium.Space)
        ]
        if missing:
            raise ValueError(f"{self.id} makes environments without {missing[0]}.")
        limit = getattr(env.spec, "max_episode_steps", None)
        card = getattr(env.unwrapped, "card", None)
        found = env.observation_space, env.action_space, card, limit
        env.close()
        return found

    @property
    def observation_space(self) -> gymnasium.Space:
        """The environment's own."""
        return self._facts[0]

    @property
    def action_space(self) -> gymnasium.Space:
        """The environment's own."""
        return self._facts[1]

    @property
    def known(self) -> bool:
        """Whether the environment says what it demands of memory."""
        return isinstance(self._facts[2], Card)

    @property
    def card(self) -> Card:
        """The environment's own `card`, or one that knows nothing."""
        card, limit = self._facts[2:]
        if isinstance(card, Card):
            limits = [x for x in (card.max_episode_steps, limit) if x is not None]
            longest = min(limits, default=None)
            # Any environment may be cut off from outside.
            return dataclasses.replace(card, truncates=True, max_episode_steps=longest)
        why = "an environment without a card"
        return Card(
            memory="none",
            paper=self.id,
            horizon=(0, 0),
            truncates=True,
            floor=unknown(why),
            memoryless=unknown(why),
            recall=unknown(why),
            oracle=unknown(why),
            max_episode_steps=limit,
            outside_memory=True,  # for all that is known
        )

    def reset(self, key: PRNGKeyArray) -> tuple[Any, Any]:
        """A blank observation: what is seen first comes from the host."""
        return jax.tree.map(jnp.asarray, blank(self.observation_space)), ()

    def step(self, key: PRNGKeyArray, state: Any, action: Any) -> Transition:
        """A step to be traced for its shapes; where it runs, it raises."""
        nothing = jnp.full((), jnp.nan, float_dtype())
        # Depends on an argument, so that it is refused where it runs and not before.
        reward = eqx.error_if(nothing, jax.random.bits(key) >= 0, _ELSEWHERE)
        over = jnp.zeros((), bool)
        return self.reset(key)[0], (), reward, over, over, {}


def find(id: str) -> EnvSpec:
    """The spec of an id; a package that it names is imported to register it.

    `package:Id-v0` names one as Gymnasium does, `package/Id-v0` and `package-Id-v0` by
    the way.

    Raises:
        ValueError: there is no such id.
    """
    package, colon, name = id.rpartition(":")
    if not colon and name not in gymnasium.registry:
        package = name.replace("/", "-").partition("-")[0].lower()
        if not package.isidentifier() or importlib.util.find_spec(package) is None:
            package = ""
    if package:
        try:
            importlib.import_module(package)
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0].rstrip(".")
            raise ValueError(
                f"{id}: {package} cannot be imported: {type(error).__name__}: {reason}."
            ) from error
    try:
        return gymnasium.spec(name)
    except gymnasium.error.Error:
        raise ValueError(
            f"Gymnasium has no id {name!r}.{nearest(name, gymnasium.registry)} An id "
            "of a package that registers when imported is written package:Id-v0."
        ) from None


def _check_space(space: gymnasium.Space, told: str, id: str) -> None:
    """Refuse spaces whose elements make no arrays of one shape."""
    for _, part in children(space) or []:
        _check_space(part, told, id)
    if children(space) is None and not isinstance(space, LEAVES):
        raise ValueError(
            f"{id}: its {told} space has a part {space}, whose elements cannot be "
            "batched to one array; use Box, Discrete, MultiDiscrete, MultiBinary, or "
            "a Dict or Tuple of those."
        )


def map_space(function: Any, space: gymnasium.Space, *elements: Any) -> Any:
    """`function(leaf space, *leaves)` of every leaf, in the structure of the space."""
    parts = children(space)
    if parts is None:
        return function(space, *elements)
    mapped = {k: map_space(function, p, *(e[k] for e in elements)) for k, p in parts}
    return mapped if isinstance(space, spaces.Dict) else tuple(mapped.values())


def dtype_of(space: gymnasium.Space) -> Any:
    """The dtype of a leaf on the device."""
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return np.dtype(np.int32)
    return jax.dtypes.canonicalize_dtype(space.dtype)


def blank(space: gymnasium.Space) -> Any:
    """An observation of zeros, as the device holds it."""
    return map_space(lambda s: np.zeros(s.shape or (), dtype_of(s)), space)


__all__ = ["HostTask", "Making", "blank", "dtype_of", "find", "map_space", "misfit"]
