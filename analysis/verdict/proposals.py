"""The pair of experiments that tells short-term from long-term memory, as commands."""

import dataclasses
import math
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from agents.convert import ConfigError
from agents.running.configuration.config import Plan, build_memory
from agents.running.files.resume import choices_of
from agents.running.output.names import differing
from analysis.retention.horizons import find_dial
from analysis.retention.trials import innermost
from analysis.verdict.kinds import (
    Experiment,
    Horizons,
    Reach,
    classify,
    horizons_of,
    memory_of,
    out_of_reach,
    reach_of,
)
from envs.base import Environment

CONTROL = "attention"
"""The memory that a recurrent one is held against: a window and nothing else."""


class Proposal(NamedTuple):
    """One experiment.

    Attributes:
        tests: which memory.
        why: its context and horizons, in half a sentence.
        command: to paste; empty where the run itself is that experiment.
    """

    tests: Experiment
    why: str
    command: str


def propose(
    plan: Plan, reach: Reach, experiment: Experiment
) -> tuple[list[Proposal], str]:
    """Settings that test short-term, and settings that test long-term memory.

    Args:
        plan: of the run.
        reach: of its memory.
        experiment: what the run tests.

    Returns:
        The experiments that can be had, and why others cannot, empty if all can.
    """
    if experiment == "none":
        return [], "a task whose cue never lies back tests no memory; choose another"
    if reach == (1, 1):
        return [], "an agent without memory is the control of either experiment"
    pair, faults = [], []
    for tests, found in (
        ("short-term", _short(plan, reach, experiment)),
        ("long-term", _long(plan, reach, experiment)),
    ):
        if isinstance(found, str):
            faults.append(f"{tests}: {found}")
        else:
            pair.append(found)
    return pair, "; ".join(faults)


def _short(plan: Plan, reach: Reach, experiment: Experiment) -> Proposal | str:
    """Every cue within the context: K >= the most steps."""
    if experiment == "short-term":
        played = horizons_of(plan.evaluation_env.card)
        return Proposal("short-term", f"this run: K = {reach.context}, {played}", "")
    horizons = horizons_of(plan.env.card)
    if reach.context == 1:
        values = {"memory": CONTROL, "memory.window": horizons.most}
        told = f"a window of K = {horizons.most} in place of the state, same horizons"
        return Proposal("short-term", told, command_of(plan, values))
    spread = horizons.most - horizons.fewest
    return _first(plan, reach, "short-term", (reach.context - 1, spread))


def _long(plan: Plan, reach: Reach, experiment: Experiment) -> Proposal | str:
    """Every cue beyond the context, and within what the mechanism reaches."""
    if experiment == "long-term":
        played = horizons_of(plan.evaluation_env.card)
        told = f"this run: K = {reach.context}, {played}{_control(reach, played)}"
        return Proposal("long-term", told, "")
    return _first(plan, reach, "long-term", (reach.context, 0))


def _first(
    plan: Plan, reach: Reach, tests: Experiment, wanted: tuple[int, int]
) -> Proposal | str:
    """The same context on another horizon, else another context on the same horizon.

    Args:
        plan: of the run.
        reach: of its memory.
        tests: what it should.
        wanted: steps that the cue should lie back; steps less where the dial moves the
            fewest of them, and the most are further back by so many.
    """
    try:
        dial = find_dial(plan.env)
        if tests == "long-term" and dial.end == 1:
            raise ConfigError(
                f"{dial.field} does not move the cues that lie nearest, of which some "
                "stay in the context."
            )
        horizon = wanted[0] - (wanted[1] if dial.end == 0 else 0)
        if horizon < 1:
            raise ConfigError("no horizon of the task is short enough.")
        return _moved(plan, dial.at(horizon), reach, tests)
    except ConfigError as error:
        other = _other_context(plan, reach, tests)
        return other or str(error).rstrip(".")


def _other_context(plan: Plan, reach: Reach, tests: Experiment) -> Proposal | None:
    """The run with another context, where one option of its memory sets that."""
    horizons, memory = horizons_of(plan.env.card), memory_of(plan.agent)
    option = None if memory is None else memory.card.context_option
    value = None if option is None else plan.config["memory"].get(option)
    if option is None or not isinstance(value, int):
        return None

    def reached(value: int) -> Reach:
        build, _ = build_memory({**plan.config["memory"], option: value})
        return reach_of(memory_of(dataclasses.replace(plan.agent, memory=build)))

    try:
        unit = max(1, reached(value + 1).context - reach.context)  # a chunk has several
        if tests == "short-term":
            value += math.ceil((horizons.most - reach.context) / unit)
        else:
            value += math.floor((horizons.border - reach.context) / unit)
        changed = reached(value)
    except (ConfigError, ValueError):  # a window that short is refused
        return None
    if classify(changed.context, horizons) != tests:
        return None
    told = f"K = {changed.context}, {horizons}"
    if tests == "long-term":
        told += _control(changed, horizons)
    return Proposal(tests, told, command_of(plan, {f"memory.{option}": value}))


def _moved(plan: Plan, env: Environment, reach: Reach, tests: Experiment) -> Proposal:
    """The run on another horizon.

    Raises:
        ConfigError: that does not test what it should.
    """
    horizons = horizons_of(env.card)
    told = f"K = {reach.context}, {horizons}"
    if classify(reach.context, horizons) != tests:
        raise ConfigError(f"no horizon of the task is such ({told} comes nearest).")
    if tests == "long-term":
        told += _control(reach, horizons)
    return Proposal(tests, told, command_of(plan, changes(plan, env)))


def _control(reach: Reach, horizons: Horizons) -> str:
    """What equation 6 rules out: long-term memory with xi beyond K_eff."""
    if not out_of_reach(reach, horizons):
        return ""
    return ", beyond all that this memory reaches: the control, which must fail"


def changes(plan: Plan, env: Environment) -> dict[str, Any]:
    """The task's settings that differ from those it was trained with, as words."""
    old, new = innermost(plan.env), innermost(env)
    prefix = "env.args." if "target" in plan.config["env"] else "env."
    return {
        prefix + field.name: getattr(new, field.name)
        for field in dataclasses.fields(new)
        if getattr(new, field.name) != getattr(old, field.name)
    }


def command_of(plan: Plan, values: Mapping[str, Any]) -> str:
    """What trains a run like this one with some settings changed, ready to paste.

    Args:
        plan: of the run.
        values: settings by name; a new `memory` leaves the options of the old one, and
            the parameters that it started from.
    """
    chosen = choices_of(plan.config, "the configuration")
    chosen.pop("experiment")
    words: dict[str, Any] = {**chosen, **_custom(plan.config), **differing(plan.config)}
    if "start_from" in words:  # of which `differing` has the name alone
        words["start_from"] = plan.config["start_from"]
    if "memory" in values:
        old = ("memory.", "start_from")
        words = {k: v for k, v in words.items() if not k.startswith(old)}
    words = {k: v for k, v in words.items() if not k.startswith("evaluation.env")}
    words |= values
    texts = [f"{name}={_text(value)}" for name, value in words.items()]
    return shlex.join(["python", "train.py", *texts])


def _custom(config: Mapping[str, Any]) -> dict[str, Any]:
    """What names a class of one's own."""
    groups = [
        group for group in ("env", "memory", "agent") if "target" in config[group]
    ]
    plugins = {"plugins": config["plugins"]} if config.get("plugins") else {}
    return plugins | {f"{group}.target": config[group]["target"] for group in groups}


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    words = {True: "true", False: "false", None: "null"}
    plain = isinstance(value, bool) or value is None
    return words[value] if plain else str(value)
