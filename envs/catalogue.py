"""The catalogue of tasks, docs/tasks.md and a page per family below it.

    python -m envs.catalogue

Written from the registry: what every task's docstring, card and spaces say, and a
contact sheet for each family. Tasks are grouped by class; ids that share one differ in
parameters only.
"""

import dataclasses
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from PIL import Image, ImageDraw

import envs
from envs.base import Environment, Return
from envs.spaces import sample

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "tasks.md"
FAMILIES = DOCS / "tasks"
PICTURES = DOCS / "images" / "tasks"

_INTRODUCTION = """\
# All tasks

Written by `python -m envs.catalogue` from the registry: docstrings, cards and spaces.
What the columns mean is on [the page of the contract](environments.md#the-card).
*Horizon* is the fewest and the most steps between a cue and the action that uses it;
*longest* is the longest episode. Returns: `=` exact, `~` computed, `±` simulated with
the half width of its 95 % interval, `?` unknown (the card says why). Above the line of
a picture is what the agent observes, or the scene that it is in (the mazes show more of
it than the agent sees); below it what must be remembered, which no observation shows.
Parameters can be changed on the command line (`env.length=40`) and in Python
(`envs.make(id, length=40)`).
"""
_RETURNS = ("floor", "memoryless", "recall", "oracle")
_HOW = {"exact": "=", "computed": "~", "simulated": "±"}
_TILE, _LABEL, _COLUMNS = (208, 144), 16, 4


def classes(family: ModuleType) -> dict[type[Environment], list[str]]:
    """The classes of a family, each with its ids, both in the order registered."""
    found: dict[type[Environment], list[str]] = {}
    for id, (target, _) in family.TASKS.items():
        found.setdefault(target, []).append(id)
    return found


def title(family: ModuleType) -> str:
    """The name of a family's folder."""
    return family.__name__.rsplit(".", 1)[-1]


def pages() -> dict[Path, str]:
    """The page that leads to the families, and one page for each."""
    rows = ["| family | ids | what it is |", "|---|---|---|"]
    found = {}
    for family in envs.FAMILIES:
        name, text = title(family), inspect.getdoc(family) or ""
        first = text.partition("\n\n")[0].replace("\n", " ")
        rows.append(f"| [{name}](tasks/{name}.md) | {len(family.TASKS)} | {first} |")
        found[FAMILIES / f"{name}.md"] = _family(family)
    return {PAGE: "\n".join([_INTRODUCTION, *rows, ""]), **found}


def _family(family: ModuleType) -> str:
    """The page of one family."""
    name = title(family)
    parts = [f"# {name}", inspect.getdoc(family) or ""]
    parts.append("How to read the tables: [all tasks](../tasks.md).")
    if any(target.render is not None for target in classes(family)):
        parts.append(f"![{name}](../images/tasks/{name}.png)")
    parts += [section(target, ids) for target, ids in classes(family).items()]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def section(target: type[Environment], ids: list[str]) -> str:
    """One class: what it is, what it observes, its parameters, and its ids' cards."""
    env = envs.make(ids[0])
    summary = (inspect.getdoc(target) or "").partition("\n\n")[0].replace("\n", " ")
    parameters = ", ".join(
        f"`{field.name}={getattr(env, field.name)!r}`"
        for field in dataclasses.fields(env)
    )
    several = len(ids) > 1
    columns = ["id", "memory", "horizon", "longest", *_RETURNS]
    columns += ["where it differs"] if several else []
    return "\n".join(
        [
            f"## {target.__name__}",
            "",
            f"{summary} Source: {env.card.paper}.",
            "",
            f"- observes {describe(env.observation_space)}",
            f"- acts in {describe(env.action_space)}{_notes(env)}",
            f"- parameters of `{ids[0]}`: {parameters or 'none'}",
            "",
            f"| {' | '.join(columns)} |",
            "|---" * len(columns) + "|",
            *(row(id, _differences(env, id) if several else None) for id in ids),
        ]
    )


def _notes(env: Environment) -> str:
    notes = []
    if env.card.needs_previous_action:
        notes.append("the previous action is an input")
    if env.card.outside_memory:
        notes.append("it can store information outside of its memory")
    return f" ({'; '.join(notes)})" if notes else ""


def _differences(first: Environment, id: str) -> str:
    """The parameters and spaces of an id that are not those of the first."""
    env, found = envs.make(id), []
    for field in dataclasses.fields(env):
        value = getattr(env, field.name)
        if value != getattr(first, field.name):
            found.append(f"`{field.name}={value!r}`")
    for verb, name in (("observes", "observation_space"), ("acts in", "action_space")):
        told = describe(getattr(env, name))
        if told != describe(getattr(first, name)):
            found.append(f"{verb} {told}")
    return ", ".join(found)


def row(id: str, differs: str | None = None) -> str:
    """What the card of one id says, and how it differs from the first of its class."""
    card = envs.make(id).card
    least, most = card.horizon
    horizon = str(least) if least == most else f"{least} to {most:,}"
    longest = "-" if card.max_episode_steps is None else f"{card.max_episode_steps:,}"
    returns = [told(getattr(card, name)) for name in _RETURNS]
    cells = [f"`{id}`", card.memory, horizon, longest, *returns]
    cells += [] if differs is None else [differs]
    return f"| {' | '.join(cells)} |"


def told(value: Return) -> str:
    """A return and how it is known."""
    if value.value is None:
        return "?"
    # Adding 0 turns a rounded -0.0 into 0.0.
    text = f"{round(value.value, 3) + 0.0:.3f}"
    if value.half_width is not None:
        return f"{text} ± {value.half_width:.3f}"
    return f"{text} {_HOW[value.how]}"


def describe(space: gymnasium.Space) -> str:
    """A space in a few words."""
    if isinstance(space, spaces.Dict):
        return ", ".join(f"`{key}`: {describe(x)}" for key, x in space.spaces.items())
    if isinstance(space, spaces.Tuple):
        return f"({', '.join(describe(x) for x in space.spaces)})"
    if isinstance(space, spaces.Discrete):
        return f"Discrete({space.n})"
    shape = list(space.shape or ())
    if isinstance(space, spaces.MultiDiscrete):
        sizes = sorted({int(n) for n in space.nvec.ravel()})
        few = str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        return f"MultiDiscrete{shape} of {few} values"
    return f"Box{shape} {space.dtype}"


# Pictures ---------------------------------------------------------------------------


def picture(env: Environment) -> np.ndarray | None:
    """A state some way into an episode, as `render` shows it.

    Of tasks seen as pictures it is the observation, and beside it the twin's.
    """
    if _is_picture(env.observation_space):
        twin = dataclasses.replace(env, **{"partial_obs": False})
        pair = [np.asarray(_played(task)[0]) for task in (env, twin)]
        gap = np.full((pair[0].shape[0], 2, 3), 255, np.uint8)
        return np.concatenate([pair[0], gap, pair[1]], axis=1)
    if env.render is None:
        return None
    return np.asarray(jax.jit(env.render)(_played(env)[1]))


def _is_picture(space: gymnasium.Space) -> bool:
    return isinstance(space, spaces.Box) and space.shape[:1] in ((64,), (128,))


def _played(env: Environment) -> tuple[Any, Any]:
    """Observation and state after the oracle, or else chance, has played a while.

    That is a third of the longest episode, but at most 40 steps, and not to the end.
    """
    length = env.card.max_episode_steps or 9
    count = max(1, min(length // 3, 40))

    def play(key: jax.Array) -> Any:
        keys = jax.random.split(key, count + 1)

        def body(carry, key):
            seen, over = carry
            if env.oracle is not None:
                action = env.oracle(key, seen[1])
            else:
                action = sample(env.action_space, key)
            observation, state, _, terminated, truncated, _ = env.step(
                key, seen[1], action
            )
            over |= terminated | truncated
            after = observation, state
            seen = jax.tree.map(lambda a, b: jnp.where(over, a, b), seen, after)
            return (seen, over), None

        start = env.reset(keys[0]), jnp.zeros((), bool)
        return jax.lax.scan(body, start, keys[1:])[0][0]

    return jax.jit(play)(jax.random.key(2))


def contact_sheet(family: ModuleType) -> Image.Image | None:
    """A picture of each class that has one, with its name."""
    found = {
        target.__name__: picture(envs.make(ids[0]))
        for target, ids in classes(family).items()
    }
    shown = {name: pixels for name, pixels in found.items() if pixels is not None}
    if not shown:
        return None
    width, height = _TILE
    columns = min(_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    sheet = Image.new(
        "RGB", (columns * (width + 8), rows * (height + _LABEL + 8)), "white"
    )
    pen = ImageDraw.Draw(sheet)
    for number, (name, pixels) in enumerate(shown.items()):
        left = number % columns * (width + 8) + 4
        top = number // columns * (height + _LABEL + 8) + 4
        pen.text((left, top), name, fill="black")
        image = Image.fromarray(pixels)
        factor = min(width / image.width, height / image.height)
        wide, high = (max(1, int(n * factor)) for n in image.size)
        image = image.resize((wide, high), Image.Resampling.NEAREST)
        sheet.paste(image, (left, top + _LABEL))
    return sheet


def main() -> None:
    """Write the pages and their pictures."""
    for folder in (PICTURES, FAMILIES):
        folder.mkdir(parents=True, exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
    for family in envs.FAMILIES:
        sheet = contact_sheet(family)
        if sheet is not None:
            sheet.save(PICTURES / f"{title(family)}.png", optimize=True)


if __name__ == "__main__":
    main()
