"""Many numpy environments at once, whatever Gymnasium vectoriser steps them.

Episodes start over in the step that ends them where the vectoriser can do so. One that
only offers the step after (`NEXT_STEP`) ignores the actions of that step: such rows are
marked, so that nobody takes them for experience.
"""

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import connection
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.vector.async_vector_env import AsyncState

from envs.host.guard import HostError
from envs.host.task import HostTask, dtype_of, map_space


class HostStep(NamedTuple):
    """What one step of a batch produced, in numpy.

    Attributes:
        observation: what to act on next.
        reward: `[batch]`.
        terminated, truncated: `[batch]`, how an episode ended, if it did.
        final_observation: what the step itself led to, before any reset.
        start: `[batch]`, whether `observation` is the first of an episode.
        ignored: `[batch]`, whether the vectoriser only started an episode here and did
            not take the action; nothing else of such a row means anything.
        success: `[batch]`, what `info["success"]`, or else `info["is_success"]`, said
            of the step; None where no environment said anything.
    """

    observation: Any
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    final_observation: Any
    start: np.ndarray
    ignored: np.ndarray
    success: np.ndarray | None = None


class HostVector:
    """A batch of numpy environments.

    Attributes:
        name: of the task.
        same_step: whether episodes start over in the step that ends them.
    """

    def __init__(self, task: HostTask, num_envs: int):
        """Make the environments; close them with `close`."""
        self._task, self.num_envs, self._steps = task, num_envs, 0
        self.name, self._space = task.id, task.observation_space
        try:
            with _told(task, 0):
                self._env = _make(task, num_envs)
        except (EOFError, ConnectionError) as error:
            raise HostError(
                f"a process of {task.id} ended before it made its environment; what it "
                "printed says why"
            ) from error
        mode = self._env.metadata.get("autoreset_mode")
        if mode not in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
            self._env.close()
            raise HostError(
                f"the vectoriser of {task.id} starts no episodes over by itself: its "
                f"autoreset_mode is {mode}, not SAME_STEP or NEXT_STEP; take "
                "vectorization=sync or async"
            )
        self.same_step = mode == AutoresetMode.SAME_STEP
        self._ended = np.zeros(num_envs, bool)

    def reset(self, seeds: Sequence[int]) -> Any:
        """Start every stream anew, each with a seed of its own; the observations.

        A vectoriser of an id's own takes one seed for all: the first.
        """
        given: Any = list(seeds)
        if self._task.vectorization == "own":
            given = int(seeds[0])
        with self._guarded():
            if isinstance(self._env, AsyncVectorEnv):
                self._env.reset_async(seed=given)
                observation, _ = self._env.reset_wait(timeout=self._task.step_timeout)
            else:
                observation, _ = self._env.reset(seed=given)
        self._ended = np.zeros(self.num_envs, bool)
        return self._converted(observation)

    def send(self, actions: np.ndarray) -> None:
        """Begin a step: where environments have processes of their own, they run."""
        space = self._env.single_action_space
        if isinstance(space, spaces.Box):
            actions = np.asarray(actions, space.dtype)
        self._steps += 1
        self._actions = actions
        if isinstance(self._env, AsyncVectorEnv):
            with self._guarded():
                self._env.step_async(actions)

    def receive(self) -> HostStep:
        """End the step that `send` began."""
        with self._guarded():
            if isinstance(self._env, AsyncVectorEnv):
                returned = self._env.step_wait(timeout=self._task.step_timeout)
            else:
                returned = self._env.step(self._actions)
        observation, reward, terminated, truncated, infos = returned
        observation = self._converted(observation)
        ignored = np.zeros(self.num_envs, bool) if self.same_step else self._ended
        terminated = np.asarray(terminated, bool) & ~ignored
        truncated = np.asarray(truncated, bool) & ~ignored
        reward = np.asarray(reward, np.float64)
        if not np.isfinite(reward).all():
            self._refuse_reward(reward)
        final, ended = observation, terminated | truncated
        if self.same_step and ended.any():
            final = self._final(observation, infos, ended)
        self._ended = ended
        start = ended if self.same_step else ignored
        return HostStep(
            observation,
            reward,
            terminated,
            truncated,
            final,
            start,
            ignored,
            _success(infos, ended & self.same_step),
        )

    def close(self) -> None:
        """Close the environments, at once where one of them hangs."""
        with contextlib.suppress(Exception), _quiet():
            if isinstance(self._env, AsyncVectorEnv):
                # Or it would wait for a step under way, of processes that may be dead.
                self._env._state = AsyncState.DEFAULT
                self._env.close(terminate=True)
            else:
                self._env.close()

    def _final(self, observation: Any, infos: dict[str, Any], ended: Any) -> Any:
        """The observations with those from before the reset where episodes ended."""
        found = infos.get("final_obs")
        if found is None or not np.asarray(infos["_final_obs"])[ended].all():
            raise HostError(
                f"the vectoriser of {self._task.id} gives no final_obs for episodes "
                f"that ended at step {self._steps}, although its autoreset_mode is "
                "SAME_STEP"
            )
        rows = np.flatnonzero(ended)
        finals = [found[row] for row in rows]
        stacked = map_space(
            lambda space, *leaves: np.stack(
                [np.asarray(leaf, dtype_of(space)) for leaf in leaves]
            ),
            self._space,
            *finals,
        )
        self._check_numbers(stacked, rows)

        def put(space: gymnasium.Space, batch: Any, new: Any) -> Any:
            batch = batch.copy()
            batch[rows] = new
            return batch

        return map_space(put, self._space, observation, stacked)

    def _converted(self, observation: Any) -> Any:
        """Arrays of the device's dtypes, no two steps sharing any."""

        def convert(space: gymnasium.Space, x: Any) -> np.ndarray:
            x = np.asarray(x)
            if x.shape != (self.num_envs, *(space.shape or ())):
                raise HostError(
                    f"observations of shape {x.shape} came at step {self._steps} from "
                    f"{self.num_envs} streams of {self._task.id}, whose space is "
                    f"{space}"
                )
            return x.astype(dtype_of(space))

        converted = map_space(convert, self._space, observation)
        self._check_numbers(converted, np.arange(self.num_envs))
        return converted

    def _check_numbers(self, observation: Any, streams: np.ndarray) -> None:
        """Refuse numbers that are not finite, and choices that there are not."""

        def check(space: gymnasium.Space, x: np.ndarray) -> None:
            if np.issubdtype(x.dtype, np.floating):
                bad, why = ~np.isfinite(x), "is not finite"
            elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
                size = getattr(space, "nvec", getattr(space, "n", None))
                bad = (x < space.start) | (x >= space.start + size)
                why = f"is not in {space}"
            else:
                return
            if bad.any():
                where = np.argwhere(bad)[0]
                raise HostError(
                    f"an observation of stream {streams[where[0]]} {why} at step "
                    f"{self._steps}: {x[tuple(where)]} in {self._task.id}"
                )

        map_space(check, self._space, observation)

    def _refuse_reward(self, reward: np.ndarray) -> None:
        stream = int(np.argwhere(~np.isfinite(reward))[0][0])
        raise HostError(
            f"the reward of stream {stream} is {reward[stream]} at step {self._steps} "
            f"of {self._task.id}"
        )

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Tell what goes wrong in Gymnasium's vectoriser, or in a process of it."""
        try:
            with _told(self._task, self._steps):
                yield
        except multiprocessing.TimeoutError:
            pipes = enumerate(self._env.parent_pipes)  # type: ignore[attr-defined]
            hung = [i for i, pipe in pipes if pipe is not None and not pipe.poll(0)]
            raise HostError(
                f"the environment of stream {hung[0] if hung else '?'} took longer "
                f"than env.step_timeout={self._task.step_timeout} seconds at step "
                f"{self._steps} of {self._task.id}"
            ) from None
        except (EOFError, ConnectionError, BrokenPipeError):
            processes: list[Any] = self._env.processes  # type: ignore[attr-defined]
            connection.wait([p.sentinel for p in processes], timeout=5)  # just ending
            dead = [(i, p.exitcode) for i, p in enumerate(processes) if p.exitcode]
            stream, code = dead[0] if dead else ("?", None)
            raise HostError(
                f"the process of stream {stream} ended (exit code {code}) at step "
                f"{self._steps} of {self._task.id}"
            ) from None


def _success(infos: dict[str, Any], over: np.ndarray) -> np.ndarray | None:
    """What infos say of success: of streams that start over, those from before that."""
    said = None
    for told, whose in ((infos, ~over), (infos.get("final_info"), over)):
        if not isinstance(told, dict):
            continue
        name = "success" if "success" in told else "is_success"
        if name not in told:
            continue
        where = whose & np.asarray(told.get(f"_{name}", True))
        said = np.zeros(len(over), bool) if said is None else said
        said = np.where(where, np.asarray(told[name], bool), said)
    return said


@contextlib.contextmanager
def _told(task: HostTask, step: int) -> Iterator[None]:
    """Whatever is raised within, in one sentence with the step."""
    through = (HostError, multiprocessing.TimeoutError, EOFError, ConnectionError)
    try:
        with _quiet():
            yield
    except through:
        raise
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0].rstrip(".")
        raise HostError(
            f"the vectoriser of {task.id} raised {type(error).__name__} at step "
            f"{step}: {reason}"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without Gymnasium's own lines about what is told here in a sentence."""
    before = gymnasium.logger.min_level
    gymnasium.logger.min_level = gymnasium.logger.ERROR + 1
    try:
        yield
    finally:
        gymnasium.logger.min_level = before


def _make(task: HostTask, num_envs: int) -> VectorEnv:
    """The Gymnasium vectoriser that a task asks for."""
    makings = [task.making(stream) for stream in range(num_envs)]
    if task.vectorization == "own":
        return gymnasium.make_vec(
            task.source,
            num_envs,
            vectorization_mode="vector_entry_point",
            **task.arguments,
        )
    if task.vectorization == "sync":
        return SyncVectorEnv(makings, autoreset_mode=AutoresetMode.SAME_STEP)
    with _for_workers():
        return AsyncVectorEnv(
            makings, context="forkserver", autoreset_mode=AutoresetMode.SAME_STEP
        )


@contextlib.contextmanager
def _for_workers() -> Iterator[None]:
    """Processes that start within import what they need, from where we do, on CPU.

    They come from a server, because a fork of a process in which JAX runs can hang. It
    imports once what all of them need, and takes its environment when it starts. None
    of them imports the program itself: an environment is found by its own name.
    """
    multiprocessing.set_forkserver_preload(["envs.host.guard"])
    given = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": os.pathsep.join(sys.path)}
    before = {name: os.environ.get(name) for name in given}
    main = sys.modules["__main__"]
    hidden = {n: vars(main)[n] for n in ("__file__", "__spec__") if n in vars(main)}
    os.environ.update(given)
    vars(main).update(dict.fromkeys(hidden))
    try:
        yield
    finally:
        vars(main).update(hidden)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def spread_seeds(use: int, seed: int, begun: int, count: int) -> list[int]:
    """Seeds of environments that no other run, and no other use in it, has.

    `reset(seed=s)` of Gymnasium's vectorisers takes s, s + 1, ...: runs with the seeds
    0 and 1 would share all but one of their environments.

    Args:
        use: what they are for: 1 training, 2 evaluation, 3 film.
        seed: the run's.
        begun: updates after which they begin, because a resumed run begins anew.
        count: how many; fewer are the first of more.
    """
    entropy = np.random.SeedSequence((use, seed, begun))
    return [int(word) for word in entropy.generate_state(count, np.uint32)]


__all__ = ["HostStep", "HostVector", "spread_seeds"]
