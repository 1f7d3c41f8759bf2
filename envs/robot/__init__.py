"""Robot-style tasks on a tabletop: what was where, which one, how often, in what order.

The groups of MIKASA-Robo with a gripper above a table. See docs/robots.md.
"""

from typing import Any

from envs.base import Environment
from envs.robot.blink_count import BlinkCount
from envs.robot.recall_colours import RecallColours
from envs.robot.remember import Remember
from envs.robot.shell_game import ShellGame

Tasks = dict[str, tuple[type[Environment], dict[str, Any]]]
_LONG = {"empty": (50, 450), "max_steps": 600}
_BOTH = {"3x2": 6, "3x3": 9, "5x3": 15}


def _remember(imposter: bool) -> Tasks:
    """Remember, or FindImposter, by colour, shape and both."""
    name = "FindImposter" if imposter else "Remember"
    shown = {"shown": "others"} if imposter else {}
    levels = {
        **{f"Color{n}": {"kind": "colour", "number": n} for n in (3, 5, 9)},
        **{f"Shape{n}": {"kind": "shape", "number": n} for n in (3, 5, 9)},
        **{
            f"ShapeAndColor{x}": {"kind": "both", "number": n} for x, n in _BOTH.items()
        },
    }
    found = {}
    for level, parameters in levels.items():
        given = {**parameters, **shown}
        if imposter and level == "ShapeAndColor5x3":
            given["max_steps"] = 40
        found[f"{name}{level}-v0"] = (Remember, given)
        if not imposter:
            # The original always shows these two for as long as it can.
            always = level in ("Color5", "Color9")
            cue = (100, 100) if always else (10, 100)
            found[f"{name}{level}Long-v0"] = (Remember, {**given, **_LONG, "cue": cue})
    return found


def _recall_colours() -> Tasks:
    """BunchOfColors, SeqOfColors and ChainOfColors, of 3, 5 and 7."""
    long = {3: 800, 5: 1000, 7: 1200}
    found = {}
    for kind in ("bunch", "seq", "chain"):
        for number in (3, 5, 7):
            given = {"kind": kind, "number": number}
            steps = 700 if kind == "bunch" else long[number]
            slow = {"each": (10, 100), "empty": (50, 400), "max_steps": steps}
            name = f"{kind.capitalize()}OfColors{number}"
            found[f"{name}-v0"] = (RecallColours, given)
            found[f"{name}Long-v0"] = (RecallColours, {**given, **slow})
    return found


def _shell_games() -> Tasks:
    """ShellGame Touch, ColorLamp, Shuffle and both, and the long ones."""
    short = {"swaps": (2, 4), "shuffle": (20, 35), "max_steps": 60}
    slow = {"swaps": (5, 15), "shuffle": (100, 400), "cue": (10, 100), "max_steps": 600}
    found: Tasks = {
        "ShellGameTouch-v0": (ShellGame, {}),
        "ShellGameColorLampTouch-v0": (ShellGame, {"lamp": True}),
    }
    for name, lamp in (("Shuffle", {}), ("ShuffleColorLamp", {"lamp": True})):
        found[f"ShellGame{name}Touch-v0"] = (ShellGame, {**short, **lamp})
        found[f"ShellGame{name}TouchLong-v0"] = (ShellGame, {**slow, **lamp})
    return found


def _blink_counts() -> Tasks:
    """BlinkCountButtonPress Easy, Medium and Hard, and the long ones."""
    levels = {
        "Easy": ({"blinks": (1, 3), "max_steps": 150}, (1, 10)),
        "Medium": ({"blinks": (1, 5), "max_steps": 200}, (10, 20)),
        "Hard": ({"blinks": (1, 7), "max_steps": 300}, (20, 30)),
    }
    found = {}
    for level, (given, blinks) in levels.items():
        slow = {"blinks": blinks, "wait": (5, 50), "max_steps": 1200}
        found[f"BlinkCountButtonPress{level}-v0"] = (BlinkCount, given)
        found[f"BlinkCountButtonPress{level}Long-v0"] = (BlinkCount, slow)
    return found


TASKS: Tasks = {
    **_remember(imposter=False),
    **_remember(imposter=True),
    **_shell_games(),
    **_recall_colours(),
    **_blink_counts(),
}
