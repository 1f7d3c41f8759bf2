"""A class of the user's own is checked before it trains, in a second or two.

The checks are the fast forms of `envs.check_env` and `memory_models.check_memory`.
`check=false` leaves them out.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax

import envs
import memory_models
from agents.convert import ConfigError
from agents.running.configuration.user_errors import UserError, broken, told
from memory_models.checking.compiling import build_quickly
from memory_models.registry import COMMON, Builder

_passed: set[Any] = set()
"""What this process has checked already: a sweep builds the same class many times."""


def check_task(settings: Mapping[str, Any], env: envs.Environment) -> None:
    """Check the task of a configuration, if it is a class of the user's own.

    Raises:
        UserError: it breaks the contract of `envs.base`.
    """
    given = settings["env"]
    if not settings["check"] or "target" not in given:
        return
    if isinstance(env, envs.HostTask):
        return  # checked as it is stepped
    if isinstance(env, envs.Gymnax) and ":" not in str(given["args"]["name"]):
        return  # gymnax's own, not all of which keep to their spaces
    # Not the task itself, which may be one that cannot be hashed.
    key = (type(env), repr(env))
    _once(key, lambda: envs.check_env(env, fast=True), lambda: type(env))


def memory_check(
    settings: Mapping[str, Any], memory_of: Callable[..., tuple[Builder, Any]]
) -> Callable[[Any], None]:
    """A check of an agent's memory, if that is a class of the user's own.

    Args:
        settings: the configuration.
        memory_of: builds the builder of a `memory` group.

    Returns:
        A function of the agent: it says what features its memory gets. It raises
        UserError where the memory breaks the contract of `memory_models.base`.
    """
    given = settings["memory"]
    if not settings["check"] or "target" not in given:
        return lambda agent: None
    # The class itself, not a stack of it.
    alone = {k: v for k, v in given.items() if k not in COMMON}
    own = {k: v for k, v in (given.get("args") or {}).items() if k not in COMMON}
    build, _ = memory_of({**alone, "args": own})

    def check(agent: Any) -> None:
        features = _features(agent)
        if features is None:
            return
        size, columns = features
        key = (str(given), size, str(columns))

        def build_one(key: Any) -> Any:
            return build(size, key=key, columns=columns)

        def check_model() -> None:
            model = build_quickly(build_one, jax.random.key(0))
            memory_models.check_memory(model, input_size=size, half=5, fast=True)

        def kind() -> type:
            return type(eqx.filter_eval_shape(build_one, jax.random.key(0)))

        _once(key, check_model, kind)

    return check


def _features(agent: Any) -> tuple[int, Any] | None:
    """Width and columns of what an agent's memory gets; None where it has no use."""
    seen: list[tuple[int, Any]] = []

    def none(input_size: int, *, key: Any, columns: Any = None) -> Any:
        seen.append((input_size, columns))
        return memory_models.make("none", input_size=input_size, output_size=8, key=key)

    without = dataclasses.replace(agent, memory=none)
    eqx.filter_eval_shape(without.build_network, jax.random.key(0))
    return seen[0] if seen else None


def _once(key: Any, check: Callable[[], None], kind: Callable[[], type]) -> None:
    """Check what has not been checked yet; `kind` gives the class at fault."""
    if key in _passed:
        return
    try:
        check()
    except (envs.CheckError, memory_models.CheckError) as error:
        raise broken(error, kind()) from error
    except Exception as error:
        found = told(error)
        if found is None and isinstance(error, ValueError):
            found = ConfigError(str(error))  # ours: a task that is not there
        if found is None:
            raise
        raise found from error
    _passed.add(key)


def blame(
    jobs: Sequence[Mapping[str, Any]], build: Callable[[Mapping[str, Any]], Any]
) -> UserError | None:
    """The broken guarantee that an error in our own code came from, if one did.

    Where `check=false` left the checks out, what a class returns may fail far from it.

    Args:
        jobs: the configurations that were run.
        build: `agents.running.configuration.config.build`.
    """
    for config in jobs:
        targets = [group for group in ("env", "memory") if "target" in config[group]]
        if not targets or config.get("check", True):
            continue
        try:
            build({**config, "check": True})
        except UserError as error:
            return error
        except Exception:
            continue  # the error at hand is the one to tell
    return None
