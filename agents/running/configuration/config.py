"""From a configuration to objects, with every mistake told in one sentence.

`build` turns the composed configuration into a task, a memory builder and an agent.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import envs
from agents import registry as agents_registry
from agents.base import Agent
from agents.convert import ConfigError, convert, convert_all
from agents.evaluate.film import check_renders
from agents.running.configuration import user_classes
from agents.running.configuration.baselines import check_baseline
from agents.running.configuration.choices import BOUND, CONFIG_DIRECTORY
from agents.running.configuration.host_tasks import (
    check_compiled,
    check_host_agent,
    check_host_run,
    host_task,
    is_numpy,
    names_gymnasium,
)
from agents.running.configuration.plugins import load_plugins
from agents.running.configuration.targets import called, check_named, load_target
from agents.running.jobs import processes
from agents.sb3.baseline import Baseline
from agents.sb3.memories import NamedMemory
from envs import registry as envs_registry
from memory_models import registry as memory_registry

__all__ = ["CONFIG_DIRECTORY", "Plan", "build"]


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
    settings = {"plugins": (), "check": True, **config}
    if settings.get("device") in ("cuda", "rocm", "nvidia"):
        raise ConfigError(
            f"device={settings['device']} is called gpu: write device=gpu."
        )
    for name, annotation in _TOP_LEVEL.items():
        settings[name] = convert(settings.get(name), annotation, name)
    load_plugins(settings["plugins"])
    for group, annotations in _GROUPS.items():
        settings[group] = convert_all(settings[group], annotations, group)
    settings["distributed"] = processes.check(settings)
    _check_limits(settings)
    task = build_env(settings["env"])
    own = task.name if isinstance(task, envs.Gymnax) else None
    settings["env"] = called(settings["env"], "env.id", own)
    user_classes.check_task(settings, task)
    hosted = isinstance(task, envs.HostTask)
    if hosted:
        settings = check_host_run(settings)
    env = build_partial(task, settings["partial"])
    evaluation_env = _evaluation_env(settings, env)
    _check_films(settings, evaluation_env)
    for group in ("memory", "agent"):
        settings[group] = called(settings[group], f"{group}.name")
    memory, raw_keys = build_memory(settings["memory"])
    settings["agent"] = reconstructing(settings["agent"], settings["memory"])
    check = user_classes.memory_check(settings, build_memory)
    agent = build_agent(settings["agent"], env, memory, raw_keys, check)
    if isinstance(agent, Baseline):
        agent = check_baseline(agent, settings, memory_parts(settings["memory"])[0])
    if hosted:
        check_host_agent(agent, settings["agent"]["name"])
    num_updates = -(-settings["total_steps"] // agent.steps_per_update)
    agent = dataclasses.replace(agent, total_updates=num_updates)
    return Plan(
        config=settings,
        env_name=re.sub(r"[^\w.-]", "_", envs.config_name(settings["env"]["id"])),
        memory_name=settings["memory"]["name"],
        agent_name=settings["agent"]["name"],
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
    "evaluation.films": (0, 64),
    "checkpoint.interval": (1, 10**15),
    "checkpoint.keep": (1, 10**6),
}


def _check_limits(settings: Mapping[str, Any]) -> None:
    for name, (low, high) in _LIMITS.items():
        group, _, key = name.rpartition(".")
        value = (settings[group] if group else settings)[key]
        if value is not None and not low <= value <= high:
            allowed = f"at least {low}" if value < low else f"at most {high:,}"
            shown = value if abs(value) < 10**18 else f"{value:.3g}"
            raise ConfigError(f"{name}={shown} must be {allowed}.")
    last = settings["seed"] + settings["num_seeds"] - 1
    if last >= 2**32:
        raise ConfigError(f"the last seed, {last}, must be below 2**32.")
    if settings["run_directory"] in ("", "???"):
        raise ConfigError("run_directory is empty; name a folder, such as runs.")
    if settings["compilation_cache"] == "":
        raise ConfigError("compilation_cache is empty; use auto, a folder, or null.")
    if settings["resume"] is not None:
        check_named(settings["resume"])
    exploration = settings["evaluation"]["exploration"]
    if exploration not in (None, 0.0):
        raise ConfigError(
            f"evaluation.exploration={exploration} must be 0.0 (greedy) or null (the "
            "policy itself)."
        )


def _check_films(settings: Mapping[str, Any], env: envs.Environment) -> None:
    """Refuse to film what has no pictures, before anything trains."""
    films = settings["evaluation"]["films"]
    if films and isinstance(env, envs.HostTask):
        raise ConfigError(
            f"evaluation.films={films} needs a compiled task; film a numpy environment "
            "after training: python -m agents.video RUN."
        )
    try:
        check_renders(env) if films else None
    except ValueError as error:
        raise ConfigError(f"evaluation.films={films}: {error}") from None


_TOP_LEVEL: dict[str, Any] = {
    "seed": int,
    "num_seeds": int,
    "total_steps": int,
    "device": Literal["auto", "cpu", "gpu", "tpu"],
    "num_devices": int | None,
    "log_interval": int,
    "run_directory": str,
    "resume": str | None,
    "start_from": str | None,
    "compilation_cache": str | None,
    "plugins": tuple[str, ...],
    "check": bool,
}
_GROUPS: dict[str, dict[str, Any]] = {
    "evaluation": {
        "interval": int | None,
        "episodes": int,
        "exploration": float | None,
        "step_limit": int,
        "films": int,
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
    if names_gymnasium(given):
        return host_task(given, given["make"], prefix)
    if "target" in given:
        if is_numpy(load_target(given["target"], "env.target", None)):
            return host_task(given, given["args"], prefix)
        check_compiled(given, prefix)
        target = load_target(given.pop("target"), "env.target", envs.Environment)
        given = dict(given.pop("args", None) or {})
        defaults, prefix = {}, f"{prefix}.args"
    else:
        id = given.pop("id")
        try:
            entry = envs_registry.lookup(id)
        except KeyError as error:
            raise ConfigError(str(error.args[0])) from None
        target, defaults = entry.target, entry.defaults
    types = envs_registry.types_of(target)
    annotations = {
        name: types.get(name, Any) for name in envs_registry.parameters(target)
    }
    arguments = {**defaults, **convert_all(given, annotations, prefix)}
    task = _construct(target, arguments, prefix)
    try:
        return task.placed()
    except ValueError as error:
        raise ConfigError(f"{prefix}: {error}") from error


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
    memory, raw_keys = memory_parts(config)
    options = {**dict(memory.options), "output_size": memory.output_size}
    try:
        build = memory_registry.builder_of(memory.target, memory.name, **options)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return build, raw_keys


def memory_parts(config: Mapping[str, Any]) -> tuple[NamedMemory, tuple[str, ...]]:
    """What a `memory` group names, by name and options, and the keys it wants raw."""
    given = dict(config)
    name = given.pop("name")
    given.pop("reconstruction_weight", None)  # the agent's, in `build`
    raw_keys = convert(given.pop("raw_keys", ()), tuple[str, ...], "memory.raw_keys")
    output_size = convert(given.pop("output_size"), int, "memory.output_size")
    common, own = {}, "target" in given
    if own:
        target = load_target(given.pop("target"), "memory.target", None)
        try:
            memory_registry.check_signature(name, target)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"memory.target: {error}") from error
        common = {key: given[key] for key in memory_registry.COMMON if key in given}
        given, prefix = dict(given.pop("args", None) or {}), "memory.args"
    else:
        prefix = "memory"
        try:
            target = memory_registry.lookup(name)
        except KeyError as error:
            raise ConfigError(str(error.args[0])) from None
    hints = {**memory_registry.COMMON_TYPES, **memory_registry.types_of(target)}
    options = memory_registry.options_of(target)
    annotations = {name: hints.get(name, Any) for name in options}
    arguments = convert_all(given, annotations, prefix)
    arguments |= _common(common, arguments)
    if output_size < 1:
        raise ConfigError(f"memory.output_size={output_size} must be at least 1.")
    pairs = tuple(sorted(arguments.items()))
    return NamedMemory(target, name, not own, output_size, pairs), raw_keys


def _common(given: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The options beside `memory.args` that every memory has, unless at their default.

    A class may have an option of the same name with a default of its own, which ours
    must not replace.
    """
    options = memory_registry.COMMON
    converted = convert_all(given, memory_registry.COMMON_TYPES, "memory")
    changed = {k: v for k, v in converted.items() if v != options[k].default}
    for name in changed:
        if name in own:
            raise ConfigError(
                f"memory.{name} and memory.args.{name} are the same option; give one."
            )
    return changed


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
    given, prefix = dict(config), "agent"
    name = given.pop("name")
    if "target" in given:
        target = load_target(given.pop("target"), "agent.target", Agent)
        given, prefix = dict(given.pop("args", None) or {}), "agent.args"
    else:
        try:
            target = agents_registry.lookup(name)
        except KeyError as error:
            raise ConfigError(str(error.args[0])) from None
    types = envs_registry.types_of(target)
    annotations = {
        field.name: types.get(field.name, Any)
        for field in dataclasses.fields(target)
        if field.name not in BOUND
    }
    arguments = convert_all(given, annotations, prefix)
    arguments |= {"env": env, "memory": memory, "raw_keys": raw_keys}
    agent = _construct(target, arguments, prefix)
    check_memory(agent)
    try:
        agent.check()
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error
    except (OverflowError, MemoryError) as error:
        raise ConfigError(
            "some number of this configuration is too large to compute with: "
            f"{str(error).splitlines()[0].rstrip('.')}."
        ) from error
    return agent


def _construct(target: Any, arguments: dict[str, Any], prefix: str) -> Any:
    try:
        return target(**arguments)
    except (TypeError, ValueError) as error:
        message = str(error).splitlines()[0]
        told = message if message.startswith(prefix) else f"{prefix}: {message}"
        raise ConfigError(told if told.endswith((".", "?")) else f"{told}.") from error
