"""What is said of a task that is played: observations, and how it compares."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from envs.base import Card, Environment, unknown
from envs.catalogue import told
from envs.robot import TASKS, returns
from envs.robot.task import RobotTask
from envs.spaces import children


class Played(NamedTuple):
    """A whole episode: its return, its length, whether it succeeded if a task says."""

    total: float
    steps: int
    success: bool | None


def card_of(env: Environment) -> Card:
    """A task's card, but nobody waits for it.

    What chance and a script reach on a robot task of other settings than the
    registered ones is played when its card is asked for. Here it stays unknown, and
    the rest is that of the registered task most like it.
    """
    if not isinstance(env, RobotTask) or returns.name(env) is not None:
        return env.card
    names = [field.name for field in dataclasses.fields(env)]
    same = [target(**given) for target, given in TASKS.values() if target is type(env)]
    like = max(
        same,
        key=lambda task: sum(getattr(task, x) == getattr(env, x) for x in names),
    )
    missing = unknown("nobody has played the task with these settings")
    return dataclasses.replace(
        like.card,
        max_episode_steps=env.max_steps,
        **dict.fromkeys(RETURNS, missing),
    )


RETURNS = ("floor", "memoryless", "recall", "oracle")


def summary(name: str, card: Card, played: list[Played]) -> list[str]:
    """The player's episodes beside what the card says.

    Args:
        name: of the task.
        card: of the task.
        played: whole episodes; an unfinished one says nothing.
    """
    shares = card.measure == "success"
    values = [float(bool(x.success)) if shares else x.total for x in played]
    what = "share of episodes that succeed" if shares else "return"
    mine = f"{np.mean(values):.3f}" if values else "no whole episode"
    episodes = f"{len(played)} whole episode{'s' * (len(played) != 1)}"
    lines = [f"{name}, {episodes}: {what}", f"  {'you':<11}{mine}"]
    for row in RETURNS:
        lines.append(f"  {row:<11}{told(getattr(card, row))}")
    successes = [x.success for x in played if x.success is not None]
    if successes and not shares:
        lines.append(f"  you succeeded in {sum(successes)} of {len(successes)}")
    return lines


def hand(gripper: np.ndarray) -> str:
    """The hand of a robot task, from what is observed of it."""
    x, y, z = gripper[:3]
    turned = np.degrees(np.arctan2(gripper[6], gripper[7]))
    return (
        f"hand at x {x:+.2f}, y {y:+.2f}, z {z:.2f} m, turned {turned:.0f} degrees, "
        f"open {gripper[9]:.1f}"
    )


def said(space: Any, value: Any, most: int, name: str = "sees") -> list[str]:
    """An observation in words: of each part its numbers, if they are `most` at most."""
    parts = children(space)
    if parts is not None:
        lines = [said(part, value[key], most, str(key)) for key, part in parts]
        return [line for found in lines for line in found]
    if np.size(value) > most:
        return []
    return [f"{name}: {numbers(value)}"]


def numbers(value: Any) -> str:
    """Numbers without more places than they need, at most two."""
    value = np.asarray(value)
    shown = value if value.dtype.kind in "iub" else np.round(value.astype(float), 2)
    return " ".join(f"{number:g}" for number in np.ravel(shown + 0))
