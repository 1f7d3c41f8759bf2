"""The part of `check_env` that traces: shapes, dtypes and purity, nothing compiled."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.base import RESERVED_INFO_KEYS, Environment
from envs.checking.problem import problem
from envs.spaces import children, leaf_shape, sample

_TRACING_ERRORS = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.NonConcreteBooleanIndexError,
)


def _shapes(env: Environment, name: str, function: Callable[..., Any], *args) -> Any:
    """The shapes and dtypes of `function(*args)`, by tracing only."""
    try:
        return jax.eval_shape(function, *args)
    except _TRACING_ERRORS as error:
        raise problem(
            env,
            f"cannot trace {name}: {str(error).splitlines()[0].rstrip('.')}.",
            "Tasks run inside compiled programs, where values are not known to Python.",
            "Replace Python `if`, `while`, `int(...)` and numpy calls on array values "
            "by jax.numpy.where, jax.lax.cond and jax.numpy.",
            name,
        ) from error


def _describe(tree: Any) -> Any:
    """Shapes and dtypes as short text, in the structure of `tree`."""
    return jax.tree.map(lambda x: f"{x.dtype}{list(x.shape)}", tree)


def _mismatch(space: Any, value: Any, path: str) -> str | None:
    """Where the type of `value` differs from `space`, or None."""
    parts = children(space)
    if parts is not None:
        kind = dict if isinstance(space, spaces.Dict) else tuple
        keys = [name for name, _ in parts]
        found = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not isinstance(value, kind) or sorted(found) != sorted(keys):
            return f"{path} is {_describe(value)}, not a {kind.__name__} of {keys}"
        found = [
            _mismatch(part, value[name], f"{path}[{name!r}]") for name, part in parts
        ]
        return next((text for text in found if text), None)
    dtype = space.dtype if isinstance(space, spaces.Box) else "any integer"
    right_dtype = (
        value.dtype == space.dtype
        if isinstance(space, spaces.Box)
        else jnp.issubdtype(value.dtype, jnp.integer)
    )
    if value.shape == leaf_shape(space) and right_dtype:
        return None
    shape = list(leaf_shape(space))
    return f"{path} is {_describe(value)}, not {dtype}{shape} as {space} says"


def _unpacked(env: Environment, name: str, value: Any, wanted: str) -> tuple:
    """A tuple of as many entries as `wanted` names."""
    count = wanted.count(",") + 1
    if isinstance(value, tuple) and len(value) == count:
        return value
    length = f" of length {len(value)}" if isinstance(value, tuple | list) else ""
    raise problem(
        env,
        f"returns {type(value).__name__}{length} from {name}, not {count} values.",
        "Callers unpack them by position.",
        f"Return {wanted}.",
        name,
    )


def _check_order(
    env: Environment, start: tuple, transition: tuple, wanted: str
) -> None:
    """Refuse a state and an observation that `step` returns in each other's place."""
    observation, state = map(_describe, start)
    found = [_describe(part) for part in transition[:2]]
    if found == [state, observation] and observation != state:
        raise problem(
            env,
            "returns the state before the observation from step.",
            "Callers unpack them by position.",
            f"Return {wanted}.",
            "step",
        )


def check_types(env: Environment, where: str) -> None:
    """Structures, shapes and dtypes of all that `reset` and `step` return."""
    key = jax.random.key(0)
    start = _shapes(env, "reset", env.reset, key)
    observation, state = _unpacked(env, "reset", start, "(observation, state)")
    action = _shapes(env, "action_space", lambda k: sample(env.action_space, k), key)
    transition = _shapes(env, "step", env.step, key, state, action)
    wanted = "(observation, state, reward, terminated, truncated, info)"
    transition = _unpacked(env, "step", transition, wanted)
    _check_order(env, (observation, state), transition, wanted)
    after, next_state, reward, terminated, truncated, info = transition
    for name, value in (("reset", observation), ("step", after)):
        difference = _mismatch(env.observation_space, value, "observation")
        if difference:
            raise problem(
                env,
                f"returns from {name}{where}: {difference}.",
                "Networks and buffers are built from the space.",
                "Convert with .astype(...), or correct observation_space.",
                name,
            )
    if _describe(state) != _describe(next_state):
        raise problem(
            env,
            f"changes the state's structure{where}: reset gives {_describe(state)}, "
            f"step gives {_describe(next_state)}.",
            "A rollout is a scan, whose carry must keep shapes and dtypes.",
            "Give every leaf a fixed dtype in both, e.g. jnp.zeros((), jnp.int32).",
            "step",
        )
    flags = [f"{flag.dtype}{list(flag.shape)}" for flag in (terminated, truncated)]
    floating = jnp.issubdtype(reward.dtype, jnp.floating) and reward.shape == ()
    if not floating or flags != ["bool[]", "bool[]"]:
        raise problem(
            env,
            f"returns reward {_describe(reward)}, terminated {flags[0]}, truncated "
            f"{flags[1]} from step{where}.",
            "They are a floating scalar and two boolean scalars.",
            "Convert with .astype(envs.base.float_dtype()) and comparisons.",
            "step",
        )
    _check_info(env, info)


def _check_info(env: Environment, info: Any) -> None:
    if not isinstance(info, dict) or not all(isinstance(name, str) for name in info):
        raise problem(
            env,
            f"returns info {_describe(info)}.",
            "Analysis looks entries up by name.",
            "Return a dict from strings to arrays, the same at every step.",
            "step",
        )
    for name in RESERVED_INFO_KEYS:
        if name not in info:
            continue
        kind = jnp.integer if name == "phase" else jnp.bool_
        if info[name].shape != () or not jnp.issubdtype(info[name].dtype, kind):
            raise problem(
                env,
                f"returns info[{name!r}] as {_describe(info[name])}.",
                "It is a reserved name with one meaning in every task.",
                f"Make it a scalar of type {kind.__name__}, or rename the entry.",
                "step",
            )
    if env.card.measure == "success" and "success" not in info:
        raise problem(
            env,
            f"has measure 'success' on its card and info {sorted(info)}.",
            "Its four numbers are then shares of episodes with info['success'].",
            "Return info['success'], or make the four returns.",
            "step",
        )
    if ("phase" in info) != bool(env.card.phases):
        raise problem(
            env,
            f"has phases {env.card.phases} on its card and info {sorted(info)}.",
            "info['phase'] is an index into card.phases; each needs the other.",
            "Add the missing one or remove both.",
        )


def check_optional_methods(env: Environment) -> None:
    """The same for the methods that a task may leave out."""
    key = jax.random.key(0)
    observation, state = jax.eval_shape(env.reset, key)

    def expect(name: str, found: Any, right: bool, wanted: str) -> None:
        if not right:
            raise problem(
                env,
                f"returns {_describe(found)} from {name}.",
                "Optional methods have fixed results too.",
                f"Return {wanted}.",
                name,
            )

    if env.oracle is not None:
        action = _shapes(env, "oracle", env.oracle, key, state)
        difference = _mismatch(env.action_space, action, "action")
        expect("oracle", action, difference is None, f"an action: {difference}")
    if env.render is not None:
        image = _shapes(env, "render", env.render, state)
        right = image.dtype == jnp.uint8 and image.ndim == 3 and image.shape[-1] == 3
        expect("render", image, right, "a picture, uint8[height, width, 3]")
    if env.action_mask is not None:
        mask = _shapes(env, "action_mask", env.action_mask, state)
        sizes = getattr(env.action_space, "nvec", getattr(env.action_space, "n", 0))
        count = int(np.sum(sizes))
        right = mask.dtype == jnp.bool_ and mask.shape == (count,)
        expect("action_mask", mask, right, f"bool[{count}], one flag per action")
    if env.hidden is not None:
        hidden = _shapes(env, "hidden", env.hidden, state)
        right = isinstance(hidden, dict) and all(
            isinstance(entry, tuple)
            and len(entry) == 2
            and entry[1].shape == ()
            and jnp.issubdtype(entry[1].dtype, jnp.integer)
            for entry in hidden.values()
        )
        expect("hidden", hidden, right, "name -> (value, steps since last seen: int)")
    if env.next_episode is not None:
        start = _shapes(env, "next_episode", env.next_episode, key, state)
        right = _describe(start) == _describe((observation, state))
        expect("next_episode", start, right, "what reset returns, dtype by dtype")


def _program(function: Callable[..., Any], *args: Any) -> tuple[str, list[Any]]:
    """The text of a traced function, without addresses, and its constants."""

    def fresh(*args: Any) -> Any:  # a new object, so that nothing is cached
        return function(*args)

    closed = jax.make_jaxpr(fresh)(*args)
    text = re.sub(r" at 0x[0-9a-f]+", "", str(closed.jaxpr))
    return text, [np.asarray(constant) for constant in closed.consts]


def check_pure(env: Environment) -> None:
    """`reset` and `step` trace to the same program twice."""
    key = jax.random.key(0)
    _, state = jax.eval_shape(env.reset, key)
    action = jax.eval_shape(lambda k: sample(env.action_space, k), key)
    for name, args in (("reset", (key,)), ("step", (key, state, action))):
        function = getattr(env, name)
        (text, constants), (again, constants_again) = (
            _program(function, *args),
            _program(function, *args),
        )
        same = len(constants) == len(constants_again) and all(
            (one.dtype, one.shape, one.tobytes())
            == (other.dtype, other.shape, other.tobytes())  # nan equals itself
            for one, other in zip(constants, constants_again, strict=True)
        )
        if text != again or not same:
            raise problem(
                env,
                f"traces {name} to a different program each time.",
                "It depends on Python state or numpy randomness, which is frozen into "
                "the compiled program and then repeats for ever.",
                "Draw everything from `key` with jax.random and keep what changes in "
                "the state.",
                name,
            )
