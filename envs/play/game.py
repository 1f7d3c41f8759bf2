"""A task being played: what keys do to it, and what there is to see and say."""

import dataclasses
from typing import Any

import jax
import numpy as np
from gymnasium import spaces
from PIL import Image

from envs import draw
from envs.base import Environment
from envs.film import caption
from envs.play import telling
from envs.play.controls import controls_for
from envs.play.pictures import Picture, fit, scene
from envs.robot.seeing import views
from envs.robot.task import RobotTask

RESTART, SECRET, END = ("r",), ("h",), ("x", "escape")
"""Keys that are no action."""
_FEW, _MANY = 12, 60
"""Numbers of an observation that are told beside a picture, and without one."""


@dataclasses.dataclass
class Standing:
    """How an episode stands."""

    steps: int = 0
    reward: float = 0.0
    total: float = 0.0
    action: str = ""
    phase: str = ""
    success: bool | None = None
    over: bool = False


class Game:
    """A task, the episode being played, and those that have been.

    Attributes:
        env: the task.
        name: what it is called.
        card: what is known of it.
        controls: what the keys do.
        secret: whether what must be remembered is shown.
        ended: whether the player is through.
        note: what the last key could not do.
        now: how the episode stands.
        played: whole episodes.
        film: frames of every episode, where they are kept.
    """

    def __init__(
        self, env: Environment, name: str, *, seed: int = 0, films: bool = False
    ) -> None:
        """Start the first episode.

        Raises:
            ValueError: no keys stand for its actions, or there is nothing to film.
        """
        if films and env.render is None:
            raise ValueError(
                f"{name} has no picture, so there is nothing to film; play it without "
                "--film."
            )
        self.env, self.name, self.card = env, name, telling.card_of(env)
        self.secret, self.ended, self.note = False, False, ""
        self.controls = controls_for(env)
        self.played: list[telling.Played] = []
        self.film: list[list[Image.Image]] | None = [] if films else None
        self._key, self._drawn = jax.random.key(seed), 0
        self._reset, self._step = jax.jit(env.reset), jax.jit(env.step)
        self._render = None if env.render is None else jax.jit(env.render)
        self._mask = None if env.action_mask is None else jax.jit(env.action_mask)
        self._hidden = None if env.hidden is None else jax.jit(env.hidden)
        self.now = Standing()
        self._begin(self._reset(self._next_key()))

    def _next_key(self) -> jax.Array:
        self._drawn += 1
        return jax.random.fold_in(self._key, self._drawn)

    def _begin(self, started: tuple[Any, Any]) -> None:
        self.observation, self._state = started
        self.now = Standing()
        if self.film is not None:
            self.film.append([])

    def restart(self) -> None:
        """Start over; after an episode's end, the one that follows it."""
        follows = self.env.next_episode
        if self.now.over and follows is not None:
            self._begin(follows(self._next_key(), self._state))
        else:
            self._begin(self._reset(self._next_key()))

    def press(self, key: str) -> bool:
        """Do what a key means; whether it was an action."""
        self.note = ""
        if key in END:
            self.ended = True
        elif key in SECRET:
            self.secret = not self.secret
        elif key in RESTART:
            self.restart()
        elif self.now.over:
            self.note = "the episode is over: r starts another, x ends"
        elif (action := self.controls.press(key)) is not None:
            return self._act(action)
        else:
            self.note = self.controls.refusal
        return False

    def _act(self, action: Any) -> bool:
        if not self._allowed(action):
            self.note = f"{self.controls.tell(action)} is not allowed now"
            return False
        before, now = self._state, self.now
        self.observation, self._state, reward, terminated, truncated, info = self._step(
            self._next_key(), self._state, action
        )
        now.steps += 1
        now.reward = float(reward)
        now.total += now.reward
        now.action = self.controls.tell(action)
        now.over = bool(terminated) or bool(truncated)
        phases = self.card.phases
        if phases and int(info["phase"]) < len(phases):
            now.phase = phases[int(info["phase"])]
        if "success" in info:
            now.success = bool(info["success"])
        self._keep(before)
        if now.over:
            self.played.append(telling.Played(now.total, now.steps, now.success))
        return True

    def _allowed(self, action: Any) -> bool:
        """Whether the task's mask, if it has one, allows an action."""
        if self._mask is None:
            return True
        space: Any = self.env.action_space
        sizes = np.ravel(space.nvec if hasattr(space, "nvec") else space.n)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        chosen = np.ravel(action) - np.ravel(space.start) + starts
        return bool(np.asarray(self._mask(self._state))[chosen].all())

    def _keep(self, before: Any) -> None:
        """Keep the frame in which an action was chosen, and how things stand now."""
        if self.film is None:
            return
        now = self.now
        lines = [f"step {now.steps}  {now.phase}", f"action: {now.action}"]
        lines.append(f"earned {now.reward:+.2f}")
        if now.steps > 1:
            self.film[-1].pop()  # how things stood then is on the next frame
        self.film[-1].append(caption(self._frame(before), lines))
        ending = "success" if now.success else "end"
        lines = [f"{ending} after {now.steps} steps", "", f"return {now.total:.2f}"]
        self.film[-1].append(caption(self._frame(self._state), lines))

    # What there is to see ------------------------------------------------------------

    def picture(self, columns: int, rows: int) -> Picture | None:
        """The picture as large as fits, without what must be remembered unless asked.

        Robot tasks are drawn at that size; of tasks seen as pictures it is the picture
        seen. None for tasks that have none.
        """
        if (shape := self.shape) is None:
            return None
        if isinstance(self.env, RobotTask):
            size = max(8, int(min(columns, rows / shape[0] * shape[1])))
            return fit(self._table(self._state, size, self.secret), columns, rows)
        return fit(self._plain(), columns, rows)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Rows and columns of the picture at its own size."""
        if self._render is None:
            return None
        if isinstance(self.env, RobotTask):
            strip = round(_NOMINAL * _STRIP) if self.secret else 0
            return views.height(_NOMINAL) + strip, _NOMINAL
        return self._plain().shape[:2]

    def _plain(self) -> Picture:
        """The picture of what is no robot task, at its own size."""
        if _is_picture(self.env.observation_space) and not self.secret:
            return np.asarray(self.observation)
        image = np.asarray(self._render(self._state)) if self._render else None
        assert image is not None  # `shape` has looked
        return image if self.secret else scene(image)

    def _table(self, state: Any, size: int, secret: bool) -> Picture:
        """The table of a robot task, with or without what is hidden below it."""
        image = views.views(self.env, state, size)
        if secret and self._render is not None:
            strip = np.asarray(self._render(state))[-draw.STRIP :]
            image = np.concatenate([image, _stretched(strip, size)])
        return image

    def _frame(self, state: Any) -> Picture:
        """The picture of a film, which shows what is hidden too."""
        if isinstance(self.env, RobotTask):
            return self._table(state, _FILMED, secret=True)
        assert self._render is not None  # `__init__` has looked
        return np.asarray(self._render(state))

    def words(self) -> list[str]:
        """What is observed, where that is short; what is hidden, if asked."""
        if isinstance(self.env, RobotTask):
            things = ", ".join(views.named(self.env, self._state)) or "nothing"
            lines = [f"left to right: {things}"]
            lines.append(telling.hand(np.asarray(self.observation["gripper"])))
        else:
            most = _MANY if self._render is None else _FEW
            lines = telling.said(self.env.observation_space, self.observation, most)
        if self.secret and self._hidden is not None:
            for name, (value, _) in self._hidden(self._state).items():
                lines.append(f"hidden {name}: {telling.numbers(value)}")
        return lines

    def status(self) -> str:
        """How the episode stands, in one line."""
        now, longest = self.now, self.card.max_episode_steps
        parts = [f"step {now.steps}" + (f" of {longest:,}" if longest else "")]
        if now.action:
            phase = f" ({now.phase})" if now.phase else ""
            parts += [f"{now.action}{phase}", f"reward {now.reward:+.2f}"]
        parts.append(f"return {now.total:.2f}")
        if now.over:
            parts.append(f"over{'' if now.success is None else self._outcome()}")
        return "  ".join(parts)

    def _outcome(self) -> str:
        return ": success" if self.now.success else ": no success"

    def help(self) -> list[str]:
        """What the keys do."""
        secret = "hide" if self.secret else "show"
        lines = [*self.controls.help]
        lines.append(f"r: restart  h: {secret} what is hidden  x, Esc: end")
        if self.controls.pending:
            lines.append(f"typed: {self.controls.pending}")
        return [*lines, self.note] if self.note else lines


_NOMINAL, _FILMED = 100, 240
"""Pixels across the table of a robot task: to compare sizes, and in a film."""
_STRIP = 1 / 6
"""Height of the strip of a robot task, as a share of its width."""


def _stretched(strip: Picture, size: int) -> Picture:
    """The strip of a picture, as wide as another."""
    rows, columns = round(size * _STRIP), np.arange(size) * strip.shape[1] // size
    return strip[np.arange(rows) * len(strip) // rows][:, columns]


def _is_picture(space: Any) -> bool:
    shape = tuple(space.shape or ())
    return isinstance(space, spaces.Box) and len(shape) == 3 and shape[0] >= 16
