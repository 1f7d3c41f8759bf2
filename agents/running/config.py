"""From a configuration to objects, with every mistake told in one sentence.

`build` turns the composed configuration into a task, a memory builder and an agent.
"""

import dataclasses
import importlib
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import envs
from agents import registry as agents_registry
from agents.convert import ConfigError, convert, convert_all, nearest
from agents.running import processes, user_classes
from envs import registry as envs_registry
from memory_models import registry as memory_registry

CONFIG_DIRECTORY = Path(__file__).resolve().parents[2] / "configs"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a configuration describes, built.

    Attributes:
        config: the resolved configuration, plain Python.
        env_name, memory_name, agent_name: names as chosen on the command line.
        env: the task.
        evaluation_env: the task that evaluations play, and whose returns the verdict
            compares; the same, but for the parameters under `evaluation.env`.
        agent: the agent, holding task and memory builder.
        num_updates: updates that total_steps amounts to, rounded up.
    """

    config: dict[str, Any]
    env_name: str
    memory_name: str
    agent_name: str
    env: envs.Environment
    evaluation_env: envs.Environment
    agent: Any
    num_updates: int


def build(config: Mapping[str, Any]) -> Plan:
    """Build task, memory and agent from a composed configuration.

    Raises:
        ConfigError: anything wrong, in one sentence.
    """
    settings = {"check": True, **config}
    for name, annotation in _TOP_LEVEL.items():
        settings[name] = convert(settings.get(name), annotation, name)
    for group, annotations in _GROUPS.items():
        settings[group] = convert_all(settings[group], annotations, group)
    settings["distributed"] = processes.check(settings)
    _check_limits(settings)
    task = build_env(settings["env"])
    user_classes.check_task(settings, task)
    env = build_partial(task, settings["partial"])
    evaluation_env = _evaluation_env(settings, env)
    memory, raw_keys = build_memory(settings["memory"])
    settings["agent"] = reconstructing(settings["agent"], settings["memory"])
    check = user_classes.memory_check(settings, build_memory)
    agent = build_agent(settings["agent"], env, memory, raw_keys, check)
    num_updates = -(-settings["total_steps"] // agent.steps_per_update)
    agent = dataclasses.replace(agent, total_updates=num_updates)
    return Plan(
        config=settings,
        env_name=_env_name(settings["env"]),
        memory_name=str(settings["memory"]["name"]),
        agent_name=str(settings["agent"]["name"]),
        env=env,
        evaluation_env=evaluation_env,
        agent=agent,
        num_updates=num_updates,
    )


_LIMITS: dict[str, tuple[int, int]] = {
    "seed": (0, 2**32 - 1),
    "num_seeds": (1, 10_000),
    "total_steps": (1, 10**15),
    "num_devices": (1, 10**6),
    "log_interval": (1, 10**6),
    "evaluation.interval": (1, 10**15),
    "evaluation.episodes": (1, 10**7),
    "evaluation.step_limit": (1, 10**9),
    "checkpoint.interval": (1, 10**15),
    "checkpoint.keep": (1, 10**6),
}


def _check_limits(settings: Mapping[str, Any]) -> None:
    for name, (low, high) in _LIMITS.items():
        group, _, key = name.rpartition(".")
        value = (settings[group] if group else settings)[key]
        if value is not None and not low <= value <= high:
            allowed = f"at least {low}" if value < low else f"at most {high:,}"
            raise ConfigError(f"{name}={value} must be {allowed}.")
    last = settings["seed"] + settings["num_seeds"] - 1
    if last >= 2**32:
        raise ConfigError(f"the last seed, {last}, must be below 2**32.")
    if settings["run_directory"] in ("", "???"):
        raise ConfigError("run_directory is empty; name a folder, such as runs.")
    if settings["compilation_cache"] == "":
        raise ConfigError("compilation_cache is empty; use auto, a folder, or null.")
    exploration = settings["evaluation"]["exploration"]
    if exploration not in (None, 0.0):
        raise ConfigError(
            f"evaluation.exploration={exploration} must be 0.0 (greedy) or null (the "
            "policy itself)."
        )


_TOP_LEVEL: dict[str, Any] = {
    "seed": int,
    "num_seeds": int,
    "total_steps": int,
    "device": Literal["auto", "cpu", "gpu", "tpu"],
    "num_devices": int | None,
    "log_interval": int,
    "run_directory": str,
    "resume": str | None,
    "compilation_cache": str | None,
    "check": bool,
}
_GROUPS: dict[str, dict[str, Any]] = {
    "evaluation": {
        "interval": int | None,
        "episodes": int,
        "exploration": float | None,
        "step_limit": int,
        "env": dict,
    },
    "checkpoint": {"interval": int | None, "keep": int},
    "partial": {
        "drop": tuple[str, ...],
        "noise": float,
        "flicker": float,
        "delay": int,
    },
}


def build_env(config: Mapping[str, Any], prefix: str = "env") -> envs.Environment:
    """The task of an `env` group, which messages call `prefix`."""
    given = dict(config)
    if "target" in given:
        target = _load(given.pop("target"), "env.target", envs.Environment)
        given = dict(given.pop("args", None) or {})
        defaults, prefix = {}, f"{prefix}.args"
    else:
        id = given.pop("id")
        try:
            entry = envs_registry.lookup(id)
        except KeyError as error:
            raise ConfigError(str(error.args[0])) from None
        target, defaults = entry.target, entry.defaults
    annotations = {
        name: _field_type(target, field)
        for name, field in envs_registry.parameters(target).items()
    }
    arguments = {**defaults, **convert_all(given, annotations, prefix)}
    return _construct(target, arguments, prefix)


def _evaluation_env(
    settings: Mapping[str, Any], env: envs.Environment
) -> envs.Environment:
    """The task with the parameters under `evaluation.env`, seen and acted on alike."""
    given = settings["evaluation"].get("env")
    if not given:
        return env
    group = dict(settings["env"])
    args = {"args": {**(group.get("args") or {}), **given.get("args", {})}}
    changed = {**group, **given, **(args if "target" in group else {})}
    task = build_env(changed, "evaluation.env")
    found = build_partial(task, settings["partial"])
    for name in ("observation_space", "action_space"):
        trained, played = getattr(env, name), getattr(found, name)
        if trained != played:
            raise ConfigError(
                f"evaluation.env={given} changes the {name} from {trained} to {played},"
                " which the trained network does not fit; change only what leaves it."
            )
    return found


def build_partial(
    env: envs.Environment, settings: Mapping[str, Any]
) -> envs.Environment:
    """The task with as much hidden as the `partial` group says."""
    try:
        return envs.make_partial(env, **settings)
    except ValueError as error:
        raise ConfigError(f"partial: {error}") from error


def build_memory(
    config: Mapping[str, Any],
) -> tuple[memory_registry.Builder, tuple[str, ...]]:
    """The memory builder of a `memory` group, and the keys it wants raw."""
    given = dict(config)
    name = given.pop("name")
    given.pop("reconstruction_weight", None)  # the agent's, in `build`
    raw_keys = convert(given.pop("raw_keys", ()), tuple[str, ...], "memory.raw_keys")
    output_size = convert(given.pop("output_size"), int, "memory.output_size")
    prefix = "memory"
    if "target" in given:
        target = _load(given.pop("target"), "memory.target", None)
        try:
            memory_registry.check_signature(name, target)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"memory.target: {error}") from error
        given, prefix = dict(given.pop("args", None) or {}), "memory.args"
    else:
        try:
            target = memory_registry.lookup(name)
        except KeyError as error:
            raise ConfigError(str(error.args[0])) from None
    hints = _hints(target)
    options = memory_registry.options_of(target)
    annotations = {name: hints.get(name, Any) for name in options}
    arguments = convert_all(given, annotations, prefix)
    if output_size < 1:
        raise ConfigError(f"memory.output_size={output_size} must be at least 1.")
    try:
        build = memory_registry.builder_of(
            target, name, output_size=output_size, **arguments
        )
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return build, raw_keys


def reconstructing(
    agent: Mapping[str, Any], memory: Mapping[str, Any]
) -> dict[str, Any]:
    """An `agent` group whose `reconstruction_weight: null` is what the memory asks."""
    name = "reconstruction_weight"
    asked = convert(memory.get(name, 0.0), float, f"memory.{name}")
    left_open = name in agent and agent[name] is None
    return {**agent, **({name: asked} if left_open else {})}


def build_agent(
    config: Mapping[str, Any],
    env: envs.Environment,
    memory: memory_registry.Builder,
    raw_keys: tuple[str, ...],
    check_memory: Callable[[Any], None] = lambda agent: None,
) -> Any:
    """The agent of an `agent` group, with its network's structure checked.

    Args:
        config: the group.
        env: the task.
        memory: the memory builder.
        raw_keys: keys that it wants raw.
        check_memory: what to ask of the agent before its network is built.
    """
    given = dict(config)
    name = given.pop("name")
    try:
        target = agents_registry.lookup(name)
    except KeyError as error:
        raise ConfigError(str(error.args[0])) from None
    annotations = {
        field.name: _field_type(target, field)
        for field in dataclasses.fields(target)
        if field.name not in ("env", "memory", "raw_keys", "total_updates", "axis_name")
    }
    arguments = convert_all(given, annotations, "agent")
    arguments |= {"env": env, "memory": memory, "raw_keys": raw_keys}
    agent = _construct(target, arguments, "agent")
    check_memory(agent)
    try:
        agent.check()
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error
    return agent


def _construct(target: Any, arguments: dict[str, Any], prefix: str) -> Any:
    try:
        return target(**arguments)
    except (TypeError, ValueError) as error:
        message = str(error).splitlines()[0]
        told = message if message.startswith(prefix) else f"{prefix}: {message}"
        raise ConfigError(told) from error


def _load(path: Any, name: str, base: type | None) -> Any:
    """The object that 'module:attribute' names."""
    if not isinstance(path, str) or path.count(":") != 1:
        raise ConfigError(
            f"{name}={path!r} must look like 'my_package.my_module:MyClass'."
        )
    module_name, attribute = path.split(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's may fail in any way
        raise ConfigError(
            f"{name}={path!r} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    if not hasattr(module, attribute):
        raise ConfigError(
            f"{name}={path!r}: module {module_name!r} has no {attribute!r}."
            + nearest(attribute, [n for n in vars(module) if not n.startswith("_")])
        )
    target = getattr(module, attribute)
    if base is not None and not (inspect.isclass(target) and issubclass(target, base)):
        raise ConfigError(
            f"{name}={path!r} is not a subclass of envs.{base.__name__}; see "
            "docs/adding_an_environment.md."
        )
    return target


def _hints(target: Any) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    return typing.get_type_hints(function)


def _field_type(target: type, field: dataclasses.Field) -> Any:
    return typing.get_type_hints(target).get(field.name, Any)


def _env_name(config: Mapping[str, Any]) -> str:
    if "target" in config:
        return envs.config_name(str(config["target"]).split(":")[-1])
    return envs.config_name(config["id"])
