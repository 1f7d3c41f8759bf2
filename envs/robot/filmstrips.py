"""Filmstrips of the robot tasks: `python -m envs.robot.filmstrips [folder]`.

Of each class of tasks one picture, `<class>.png`. Above, the scripted policy: what is
shown, what is left of it when it is hidden, the way to the choice, and success. Below,
the same policy in the same episode with the answer of another one: how it fails. And
`cameras.png`: an episode as the camera in front of the robot sees it, and below as that
on its hand does.
"""

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import envs
from envs.robot.seeing import views
from envs.robot.seeing.cameras import NAMES

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "images" / "robots"
SIZE, GAP, LABEL = 192, 4, 15
"""Pixels: a frame's width, between frames, and the height of a line of text."""
LEADING, BETWEEN, ACTING = 3, 3, 3
"""Frames at most of what is shown first, of each phase between, and of the choice."""
SEEDS = 6
"""Episodes in which a wrong answer is looked for."""


class Shot(NamedTuple):
    """A state of an episode: its time, what phase it is in, and how it stands."""

    time: int
    phase: str
    state: Any


class Episode(NamedTuple):
    """An episode as it went: its states, and whether it succeeded or failed."""

    shots: list[Shot]
    success: bool
    failed: bool

    @property
    def ending(self) -> str:
        """In a word."""
        if self.success:
            return "success"
        return "wrong" if self.failed else "out of time"


Policy = Callable[[Any], Any]
"""From the state of a task to the action."""


def play(task: Any, step: Any, state: Any, policy: Policy) -> Episode:
    """Play an episode to its end.

    Args:
        task: a robot task.
        step: its step, compiled.
        state: of its start.
        policy: that plays.
    """
    shots: list[Shot] = []
    for time in range(task.max_steps):
        action = policy(state)
        before = state
        _, state, _, ended, _, info = step(jax.random.key(0), state, action)
        phase = task.card.phases[int(info["phase"])]
        shots.append(Shot(time, phase, before))
        if bool(ended):
            break
    shots.append(Shot(len(shots), shots[-1].phase, state))
    return Episode(shots, bool(info["success"]), bool(info["fail"]))


def mistaken(task: Any, answers: Any, others: Any, *, whole: bool) -> Any:
    """What the policy believes who takes one episode for another.

    Args:
        task: what is kept of the episode, as it is now.
        answers: the same at its start.
        others: the same at the start of another episode.
        whole: whether places and angles are mistaken too; else only what is counted.
    """

    def swap(now: Any, start: Any, other: Any) -> Any:
        counted = not jnp.issubdtype(start.dtype, jnp.floating)
        drawn = not np.array_equal(start, other)  # else it may be progress
        return other if drawn and (counted or whole) else now

    found = jax.tree.map(swap, task, answers, others)
    return found._replace(clock=task.clock) if hasattr(task, "clock") else found


def episodes(task: Any) -> tuple[Episode, Episode | None]:
    """One that succeeds, and the same with a wrong choice; None if none was found."""
    reset, step = jax.jit(task.reset), jax.jit(task.step)
    aim = jax.jit(lambda state: task.oracle(jax.random.key(0), state))
    start = reset(jax.random.key(1))[1]
    good = play(task, step, start, aim)
    late = None
    for seed in range(2, 2 + SEEDS):
        other = reset(jax.random.key(seed))[1].task
        for whole in (False, True):

            def wrong(state: Any, other: Any = other, whole: bool = whole) -> Any:
                belief = mistaken(state.task, start.task, other, whole=whole)
                return aim(state._replace(task=belief))

            bad = play(task, step, start, wrong)
            if bad.failed:
                return good, bad
            late = late or (None if bad.success else bad)
    return good, late


def chosen(task: Any, episode: Episode) -> list[Shot]:
    """The moments that tell an episode: of each phase those that look different."""
    phases = list(dict.fromkeys(shot.phase for shot in episode.shots))
    found: list[Shot] = []
    for phase in phases:
        shots = [shot for shot in episode.shots if shot.phase == phase]
        if phase == phases[-1]:
            found += _spread(shots, ACTING + 1)
            continue
        most = LEADING if phase == phases[0] else BETWEEN
        found += _spread(list(_different(task, shots)), most)
    return sorted(found, key=lambda shot: shot.time)


def _different(task: Any, shots: list[Shot]) -> Iterator[Shot]:
    """Those on whose table something else is to be seen than on any before."""
    known: set[bytes] = set()
    for shot in shots:
        looks = task._looks(shot.state.task, shot.state.world, shot.state.time)
        place = np.where(looks.visible[:, None], shot.state.world.position, 0)
        seen = [np.round(place, 3), looks.visible]
        seen += [x for x in (looks.colour, looks.shape) if x is not None]
        key = b"".join(np.asarray(x).tobytes() for x in seen)
        if key not in known:
            known.add(key)
            yield shot


def _spread(shots: list[Shot], count: int) -> list[Shot]:
    """`count` of them at equal distances, the last among them."""
    if len(shots) <= count:
        return shots
    places = np.linspace(0, len(shots) - 1, count).round().astype(int)
    return [shots[place] for place in places]


def frame(task: Any, shot: Shot, label: str, size: int = SIZE) -> Image.Image:
    """One moment below its label."""
    image = Image.new("RGB", (size, LABEL + views.height(size)), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size=11)
    pen.text((2, 0), label, fill="black", font=font)
    image.paste(Image.fromarray(views.views(task, shot.state, size)), (0, LABEL))
    return image


def row(task: Any, episode: Episode, size: int = SIZE) -> Image.Image:
    """The frames of an episode beside each other."""
    shots = chosen(task, episode)
    labels = [f"{shot.phase}, step {shot.time}" for shot in shots]
    labels[-1] = f"{episode.ending}, step {shots[-1].time}"
    frames = [
        frame(task, shot, label, size)
        for shot, label in zip(shots, labels, strict=True)
    ]
    wide, high = frames[0].size
    image = Image.new("RGB", (len(frames) * (wide + GAP) - GAP, high), "white")
    for number, picture in enumerate(frames):
        image.paste(picture, (number * (wide + GAP), 0))
    return image


def strip(id: str, size: int = SIZE) -> Image.Image:
    """The filmstrip of a task: an episode that succeeds above one that does not."""
    task = envs.make(id)
    rows = [row(task, played, size) for played in episodes(task) if played is not None]
    width = max(image.width for image in rows)
    height = sum(image.height + GAP for image in rows) - GAP
    image = Image.new("RGB", (width, height), "white")
    top = 0
    for picture in rows:
        image.paste(picture, (0, top))
        top += picture.height + GAP
    return image


def seen(id: str = "GatherAndRecall3-v0", size: int = 128) -> Image.Image:
    """What both cameras see of an episode that succeeds."""
    task: Any = envs.make(id)
    camera = dataclasses.replace(task, observation="rgb", image_size=size)
    shots = chosen(task, episodes(task)[0])
    see = jax.jit(camera._observe)
    image = Image.new("RGB", (len(shots) * (size + GAP) - GAP, 2 * size + GAP), "white")
    for column, shot in enumerate(shots):
        drawn = see(shot.state)
        for row, name in enumerate(NAMES):
            place = column * (size + GAP), row * (size + GAP)
            image.paste(Image.fromarray(np.asarray(drawn[name])), place)
    return image


def groups() -> dict[str, str]:
    """The first id of each class of robot tasks, by the name of its picture."""
    found: dict[str, str] = {}
    for id, (target, _) in envs.robot.TASKS.items():
        found.setdefault(envs.config_name(f"{target.__name__}-v0"), id)
    return found


def main() -> None:
    """Write the filmstrip of every class."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, id in {"cameras": "", **groups()}.items():
        path = folder / f"{name}.png"
        image = strip(id) if id else seen()
        image = image.quantize(64, dither=Image.Dither.NONE)
        image.save(path, optimize=True)
        print(f"{path}: {id}, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
