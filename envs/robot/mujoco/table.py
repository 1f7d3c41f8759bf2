"""Tables in MuJoCo, many at once: the tabletop's `World`, moved by another engine."""

import math
from typing import Any

import mujoco
import numpy as np
from mujoco.batch import Batch

from envs.robot.mujoco.model import PARKED, TIME_STEP, written
from envs.robot.tabletop import Thing, grasp
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.scene import Scene
from envs.robot.tabletop.world import Gripper

CHUNKS = 10
"""Into how many parts a control step is cut, for the fingers' path."""
SQUEEZE = 0.5
"""Newtons of both fingers from which a thing between them counts as held."""
_HAND, _FINGERS = 4, 2
_READ = ("position", "yaw", "velocity", "spin", "roll", "fallen")
Worlds = Any
"""A `World`, or its `Gripper`, of numpy arrays with the table as their first axis."""


class MuJoCoTables:
    """`num` tables of the same things.

    Worlds are numpy arrays with the table first. Things that are scripted or ghosts
    are the task's; see `model`.
    """

    def __init__(self, things: tuple[Thing, ...], num: int, threads: int = 0):
        """Compile the model; `threads` of 0 are all there are."""
        self._things, self._scene, self.num = things, Scene(things), num
        models: Any = mujoco.MjModel  # type: ignore[attr-defined]
        self.model = models.from_xml_string(written(things))
        self.batch = Batch(self.model, num, threads)
        self._qpos, self._qvel = self.batch.bind("qpos"), self.batch.bind("qvel")
        self._ctrl, self._touch = self.batch.bind("ctrl"), self.batch.bind("sensordata")
        self._mocap = self.batch.bind("mocap_pos"), self.batch.bind("mocap_quat")
        self._wanted = np.zeros(num)
        self._known: Worlds = None

    def load(self, world: Worlds, tables: np.ndarray | None = None) -> None:
        """Take over worlds as they are: places, speeds, the hand.

        Args:
            world: of all tables.
            tables: numbers of those to take over; None for all.
        """
        tables = np.arange(self.num) if tables is None else tables
        self.batch.reset(tables, stage=0)
        every = np.ones((len(tables), len(self._things)), bool)
        self._put(world, tables, every)
        self._put_fingers(world, tables)

    def advance(self, world: Worlds, gripper: Worlds) -> Worlds:
        """The worlds after a control step in which hands move to where `gripper` is."""
        self._take_over(world)
        hand = _wide(world.gripper)
        after = _wide(gripper)
        self._qpos[:, 0:3] = hand.position
        self._qpos[:, 3] = hand.yaw
        self._qvel[:, 0:3] = after.velocity
        self._qvel[:, 3] = after.spin
        closing = (after.opening - hand.opening) / CHUNKS
        steps = round(arm.CONTROL_STEP / TIME_STEP) // CHUNKS
        for _ in range(CHUNKS):
            width = self._qpos[:, _HAND : _HAND + _FINGERS].sum(1)
            least = np.where(self._pinches(), width - grasp.GIVE, 0.0)
            wanted = np.maximum(self._wanted + closing, least)
            self._wanted = np.clip(wanted, 0.0, arm.WIDEST)
            self._ctrl[:] = self._wanted[:, None] / 2
            self.batch.step(nstep=steps)
        self._known = self._read(world, after)
        return self._known

    def _pinches(self) -> np.ndarray:
        """Whether both fingers press on something."""
        return np.all(self._touch > SQUEEZE, axis=1)

    def _take_over(self, world: Worlds) -> None:
        """What a script has put elsewhere since, or let appear or vanish."""
        known = self._known
        if known is None:
            self.load(world)
            return
        moved = (world.position != known.position).any(2) | (world.yaw != known.yaw)
        moved |= world.present != known.present
        moved |= (world.velocity != known.velocity).any(2)
        if moved.any():
            self._put(world, np.arange(self.num), moved)
        opened = world.gripper.opening != known.gripper.opening
        if opened.any():
            self._put_fingers(world, np.flatnonzero(opened))

    def _put(self, world: Worlds, tables: np.ndarray, which: np.ndarray) -> None:
        """Put things of some tables where the world has them; parked if not there."""
        for number, row in enumerate(self._scene.moving):
            pose, speed = self._slots(number)
            chosen = tables[which[:, row]]
            place = self._place(world, row)
            self._qpos[chosen, pose] = place[chosen]
            spin = np.concatenate([world.roll[:, row], world.spin[:, row, None]], 1)
            back = place[:, 3:] * np.array([1.0, -1.0, -1.0, -1.0])
            motion = [world.velocity[:, row], _rotated(back, spin)]
            motion = np.concatenate(motion, 1)
            motion[~world.present[:, row]] = 0.0
            self._qvel[chosen, speed] = motion[chosen]
        for number, row in enumerate(self._scene.fixed):
            place = self._place(world, row)
            for array, values in zip(
                self._mocap, (place[:, :3], place[:, 3:]), strict=True
            ):
                array[tables, number] = values[tables]

    def _put_fingers(self, world: Worlds, tables: np.ndarray) -> None:
        """The fingers as far open as the world's are, at rest."""
        opening = np.asarray(world.gripper.opening, np.float64)[tables]
        self._qpos[tables, _HAND : _HAND + _FINGERS] = opening[:, None] / 2
        self._qvel[tables, _HAND : _HAND + _FINGERS] = 0.0
        self._wanted[tables] = opening

    def _place(self, world: Worlds, row: int) -> np.ndarray:
        """Position and quaternion (w, x, y, z) of a thing."""
        place = np.zeros((self.num, 7))
        place[:, :3] = world.position[:, row]
        away = np.array([2.0 * row, 0.0, PARKED])
        place[:, :3] = np.where(world.present[:, row, None], place[:, :3], away)
        place[:, 3] = np.cos(world.yaw[:, row] / 2)
        place[:, 6] = np.sin(world.yaw[:, row] / 2)
        return place

    def _slots(self, number: int) -> tuple[slice, slice]:
        """Where a moving thing's pose and speed are in `qpos` and `qvel`."""
        first = _HAND + _FINGERS
        pose = slice(first + 7 * number, first + 7 * number + 7)
        return pose, slice(first + 6 * number, first + 6 * number + 6)

    def _read(self, world: Worlds, hand: Worlds) -> Worlds:
        """The worlds as they are now."""
        rows = {name: np.array(getattr(world, name)) for name in _READ}
        gripper = self._read_hand(world, hand)
        nearest = np.full(self.num, np.inf)
        held = np.full(self.num, -1, np.int32)
        pinched = self._pinches()
        for number, row in enumerate(self._scene.moving):
            there = world.present[:, row]
            found = self._read_thing(number, self._things[row].form == "ball")
            found["fallen"] = rows["fallen"][:, row] | (found["position"][:, 2] < 0.0)
            for name, value in found.items():
                before = rows[name][:, row]
                where = there.reshape(-1, *(1,) * (before.ndim - 1))
                rows[name][:, row] = np.where(where, value, before)
            away = np.linalg.norm(found["position"] - gripper.position, axis=1)
            closest = there & pinched & (away < nearest)
            held = np.where(closest, row, held).astype(np.int32)
            nearest = np.where(closest, away, nearest)
        return world._replace(gripper=gripper, held=held, **rows)

    def _read_thing(self, number: int, rolls: bool) -> dict[str, np.ndarray]:
        pose, speed = self._slots(number)
        place, turned = self._qpos[:, pose][:, :3], self._qpos[:, pose][:, 3:]
        spin = _rotated(turned, self._qvel[:, speed][:, 3:])
        return {
            "position": place,
            "yaw": _yaw(turned),
            "velocity": self._qvel[:, speed][:, :3],
            "spin": spin[:, 2],
            "roll": spin[:, :2] * rolls,
        }

    def _read_hand(self, world: Worlds, hand: Worlds) -> Worlds:
        """The hand: where its path leads, the fingers as far open as they are."""
        width = self._qpos[:, _HAND : _HAND + _FINGERS].sum(1)
        opening = np.clip(np.minimum(self._wanted, width), 0.0, arm.WIDEST)
        found = [self._qpos[:, 0:3], _wrapped(self._qpos[:, 3]), opening]
        found += [hand.velocity, hand.spin]
        found += [(opening - world.gripper.opening) / arm.CONTROL_STEP]
        parts: Any = [np.asarray(part, world.position.dtype) for part in found]
        return Gripper(*parts)


def _wide(tree: Any) -> Any:
    """The same named tuple in double precision."""
    return type(tree)(*(np.asarray(leaf, np.float64) for leaf in tree))


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return np.mod(angle + math.pi, 2 * math.pi) - math.pi


def _yaw(turned: np.ndarray) -> np.ndarray:
    """Rotation about the vertical of quaternions."""
    w, x, y, z = turned.T
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def _rotated(turned: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors of a body's frame in the world's."""
    w, axis = turned[:, :1], turned[:, 1:]
    twice = 2 * np.cross(axis, vector)
    return vector + w * twice + np.cross(axis, twice)
