"""A numpy environment that fails is told apart: which stream, which step, and what.

Every environment of a vector is wrapped, also where it runs in a process of its own;
what it raises crosses to the training process as one sentence. Nothing here needs JAX.
"""

import dataclasses
import importlib
import multiprocessing
import os
import signal
import traceback
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class HostError(Exception):
    """An environment of the host failed; the message is one sentence for the user."""


@dataclasses.dataclass(frozen=True)
class Making:
    """How one environment is made, here or in a process of its own.

    Attributes:
        source: a Gymnasium spec, or 'module:attribute' of a class or a function that
            returns an environment.
        arguments: passed to whatever makes it.
        stream: its number, for messages.
        render_mode: passed on where it is not None.
    """

    source: Any
    arguments: dict[str, Any]
    stream: int = 0
    render_mode: str | None = None

    def __call__(self) -> gymnasium.Env:
        """Make it, and guard it."""
        if multiprocessing.parent_process() is not None:
            _settle()
        return Guarded(self.bare(), self.stream)

    def bare(self) -> Any:
        """Make it; whatever that raises is raised."""
        arguments = dict(self.arguments)
        if self.render_mode is not None:
            arguments["render_mode"] = self.render_mode
        if not isinstance(self.source, str):  # our own checks say where and when
            return gymnasium.make(self.source, disable_env_checker=True, **arguments)
        module, _, attribute = self.source.partition(":")
        return getattr(importlib.import_module(module), attribute)(**arguments)


def _settle() -> None:
    """Make a worker leave Ctrl-C to the training process, and accelerators alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax  # only its settings: an environment may use it

    jax.config.update("jax_platforms", "cpu")


class Guarded(gymnasium.Wrapper):
    """Tells whatever goes wrong inside an environment in one sentence."""

    def __init__(self, env: gymnasium.Env, stream: int):
        super().__init__(env)
        self._stream, self._steps = stream, 0
        self._space = env.observation_space  # a wrapper asks all those below it
        self._shape = _leaf_shape(env.observation_space)

    def reset(self, **arguments: Any) -> tuple[Any, dict[str, Any]]:
        """Start an episode."""
        try:
            returned = self.env.reset(**arguments)
        except Exception as error:
            raise self._failed(error, "was reset") from error
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise self._wrong(
                f"reset returned {returned!r:.60}, not (observation, info)"
            )
        self._check(returned[0], "reset")
        return returned

    def step(self, action: Any) -> Any:
        """Advance one step."""
        self._steps += 1
        try:
            returned = self.env.step(action)
        except Exception as error:
            raise self._failed(error, "stepped") from error
        if not isinstance(returned, tuple) or len(returned) != 5:
            raise self._wrong(
                f"step returned {returned!r:.60}, not (observation, reward, "
                "terminated, truncated, info)"
            )
        observation: Any = returned[0]
        reward: Any = returned[1]
        # What most environments return passes quickly: this is done at every step.
        if getattr(observation, "shape", ()) != self._shape:
            self._check(observation, "step")
        if getattr(reward, "shape", ()) != ():
            raise self._wrong(
                f"step returned a reward of shape {np.shape(reward)}, not a number"
            )
        return returned

    def render(self) -> Any:
        """A picture."""
        try:
            return self.env.render()
        except Exception as error:
            raise self._failed(error, "was rendered") from error

    def _check(self, observation: Any, name: str) -> None:
        found = misfit(self._space, observation)
        if found is not None:
            raise self._wrong(f"{name} returned an observation {found}")

    def _wrong(self, what: str) -> HostError:
        return HostError(f"{what} (stream {self._stream}, its step {self._steps})")

    def _failed(self, error: Exception, doing: str) -> HostError:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return HostError(
            f"the environment of stream {self._stream} raised {type(error).__name__}: "
            f"{reason} when it {doing} at its step {self._steps} "
            f"({os.path.basename(frame.filename)}, line {frame.lineno})"
        )


def _leaf_shape(space: gymnasium.Space) -> tuple[int, ...] | None:
    """The shape of an element that is one array; None of any other."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return None
    return tuple(space.shape or ())


def misfit(space: gymnasium.Space, x: Any, name: str = "") -> str | None:
    """How the structure or shape of an observation differs from its space, if it does.

    Args:
        space: of the observation.
        x: the observation.
        name: of the part of it that this is.
    """
    told = f"{name} " if name else ""
    if isinstance(space, spaces.Dict):
        if not isinstance(x, dict) or set(x) != set(space.spaces):
            keys = sorted(x) if isinstance(x, dict) else type(x).__name__
            return f"{told}with the keys {keys}, not {sorted(space.spaces)}"
        parts = ((part, x[key], key) for key, part in space.spaces.items())
    elif isinstance(space, spaces.Tuple):
        if not isinstance(x, tuple | list) or len(x) != len(space.spaces):
            return f"{told}that is no tuple of {len(space.spaces)}"
        parts = ((part, x[i], i) for i, part in enumerate(space.spaces))
    else:
        shape = np.shape(x)
        if shape != (space.shape or ()):
            return f"{told}of shape {shape}, not {space.shape or ()}"
        return None
    return next((m for p, y, k in parts if (m := misfit(p, y, f"{name}{k!r}"))), None)
