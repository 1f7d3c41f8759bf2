"""What all robot tasks share: the robot, the clock, rewards, choices and what is seen.

A task is a description on top: which things there are, what is drawn for an episode,
what a script does with the things, what counts as a choice and as success.
"""

import abc
import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.base import Environment, Transition, float_dtype
from envs.robot import rewards
from envs.robot.episodes.episode import Outcome, Placement, RobotState
from envs.robot.hand import actions
from envs.robot.hand.touch import reach, touched
from envs.robot.seeing import cameras, drawing, seen
from envs.robot.seeing.seen import Looks
from envs.robot.tabletop import Tabletop, Thing, World
from envs.robot.tabletop import gripper as arm

Tasks = dict[str, tuple[type[Environment], dict[str, Any]]]
"""Classes and parameters by id."""
LONG = 100
"""Steps: the original freezes the gripper during the cue in some tasks, but not in
their Long variants, which have more than this."""
HOME = np.array([-0.07, 0.0, 0.25], np.float32)
_HOME_NOISE = 0.01


@dataclasses.dataclass(frozen=True)
class RobotTask(Environment):
    """A gripper above a table; see the tasks.

    Actions are shares of full speed along x, y and z, about the vertical, and of the
    fingers' opening (+1 opens), at 20 Hz; zeros move nothing. The episode ends at
    success, and after `max_steps` steps.

    Attributes:
        max_steps: the time limit. It belongs to the task, so reaching it terminates.
        reward_mode: `sparse` pays 1 for success. `dense` shapes, and where the episode
            ends before the limit pays at once what the steps left would have: the
            task's value of a success for each, or its price of a failure once.
            `normalized_dense` is `dense` divided by the value of a success.
        committed: whether the first choice is the answer, and nothing moves while
            things are shown or hidden. False are the original's rules, by which
            trying everything in turn succeeds.
        observation: `vector` (the gripper, and of the things what is visible), `rgb`
            (the gripper, and what two cameras see; see `cameras`), or `state`, which
            adds to the vectors what is hidden: privileged, for reference only.
        image_size: pixels a side of the cameras' pictures, 64 or 128.
        action_mode: `continuous`, or `discrete`: one of `actions.DISCRETE`.
        backend: `tabletop`, or `mujoco`: then `envs.make` gives the same task as an
            environment of the host, its things moved by MuJoCo (docs/robots.md).
    """

    max_steps: int = 25
    reward_mode: Literal["sparse", "dense", "normalized_dense"] = "normalized_dense"
    committed: bool = True
    observation: Literal["vector", "rgb", "state"] = "vector"
    image_size: int = 64
    action_mode: Literal["continuous", "discrete"] = "continuous"
    backend: Literal["tabletop", "mujoco"] = "tabletop"

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field, allowed in (
            ("reward_mode", rewards.MODES),
            ("observation", ("vector", "rgb", "state")),
            ("image_size", cameras.SIZES),
            ("action_mode", ("continuous", "discrete")),
            ("backend", ("tabletop", "mujoco")),
        ):
            if (value := getattr(self, field)) not in allowed:
                raise ValueError(
                    f"{name} needs {field} to be one of "
                    f"{', '.join(map(str, allowed))}; not {value!r}."
                )
        if not 1 <= self.max_steps <= 1_000_000:
            raise ValueError(
                f"{name} needs max_steps from 1 to 1,000,000; not {self.max_steps}."
            )

    # What a task describes -----------------------------------------------------------

    @property
    @abc.abstractmethod
    def _things(self) -> tuple[Thing, ...]:
        """What there is."""

    @property
    @abc.abstractmethod
    def _appearance(self) -> seen.Appearance:
        """In what things can differ."""

    @property
    @abc.abstractmethod
    def _value(self) -> float:
        """The dense reward of a step in which the task is solved."""

    @property
    def _price(self) -> float:
        """The dense reward of a wrong choice, once."""
        return 0.0

    @property
    def _view(self) -> float:
        """How many times as much of the table pictures show as usual."""
        return 1.0

    @property
    def _smoothness(self) -> tuple[float, float, float]:
        """What actions, their changes and speed cost in dense rewards."""
        return (0.0, 0.0, 0.0)

    @abc.abstractmethod
    def _deal(self, key: PRNGKeyArray) -> tuple[Any, Array, Array]:
        """Draw an episode.

        Returns:
            what the task keeps, with its `clock`, positions [things, 3] and yaws
            [things] at the start.
        """

    def _phase(self, task: Any, time: Int[Array, ""]) -> Int[Array, ""]:
        """The phase at a time, as the card names them."""
        return task.clock.phase(time)

    def _acting(self, task: Any, time: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether choices count, and whether the gripper moves if committed."""
        return task.clock.acting(time)

    @property
    def _always_moves(self) -> bool:
        """Whether the original lets the gripper move while things are shown."""
        return True

    @abc.abstractmethod
    def _script(self, task: Any, world: World, time: Int[Array, ""]) -> Placement:
        """What is put where at a time, and what is there."""

    @abc.abstractmethod
    def _looks(self, task: Any, world: World, time: Int[Array, ""]) -> Looks:
        """What the things look like, and which are visible."""

    @abc.abstractmethod
    def _judge(
        self, task: Any, world: World, time: Int[Array, ""]
    ) -> tuple[Any, Outcome]:
        """What the step begun at `time` has led to, the world being as it is now."""

    def _progress(self, task: Any, world: World) -> Float[Array, ""] | None:
        """The share of the task that is done; None where `_judge` shapes.

        With `committed` dense rewards pay for what it gains in each step and take what
        it loses, as potentials do (Ng, Harada and Russell 1999), so that standing still
        pays nothing. Unlike there what was gained before the end is kept.
        """
        del task, world

    @abc.abstractmethod
    def _aim(self, task: Any, world: World, time: Int[Array, ""]) -> Float[Array, "5"]:
        """The privileged policy's command."""

    @abc.abstractmethod
    def _secret(self, task: Any) -> Float[Array, " numbers"]:
        """What is hidden, as the observation `state` shows it."""

    def _prompt(self, task: Any) -> Float[Array, " numbers"] | None:
        """What the task is told in numbers at every step; None for nothing."""
        del task

    def _strip(self, task: Any) -> UInt8[Array, "tiles 3"]:
        """What is hidden, as tiles for people."""
        return draw.select(self._secret(task) > 0.5, draw.PLUS, draw.MARK)

    def choices(self, world: World) -> tuple[Float[Array, "choices 3"], float]:
        """Where the gripper may rest to choose, and how near in metres.

        For sweeps: what tasks have none of these leave unsaid.
        """
        return world.position[:1], 0.0

    def sweep(
        self, key: PRNGKeyArray, state: RobotState, kept: Int[Array, ""]
    ) -> tuple[Int[Array, ""], Array]:
        """Try everything in turn: go to each of `choices`, and on after resting there.

        What plays by the original's rules without memory; a task may have its own.

        Args:
            key: of a sweep that leaves something to chance.
            state: of the episode.
            kept: all that a sweep keeps: 0 at first.

        Returns:
            what it keeps from here on, and the action.
        """
        del key
        places, within = self.choices(state.world)
        rests, there = touched(state.world, places, within)
        before = state._replace(time=state.time - 1)
        rests &= (there == kept) & self.acts(before)
        kept = kept + rests.astype(jnp.int32)
        there = places[jnp.minimum(kept, len(places) - 1)]
        return kept, self.go(state.world, there)

    def acts(self, state: RobotState) -> Bool[Array, ""]:
        """Whether choices count now."""
        return self._acting(state.task, state.time)

    def go(self, world: World, place: Float[Array, "3"]) -> Array:
        """The action that brings the gripper to rest at a place."""
        return self._action(reach(world, place))

    def _obeyed(
        self, task: Any, world: World, time: Int[Array, ""], command: Float[Array, "5"]
    ) -> Float[Array, "5"]:
        """What the gripper does of a command: all of it where it may move."""
        del world
        moves = self._moves(task, time)
        return jnp.where(moves, command, jnp.zeros_like(command))

    def _moves(self, task: Any, time: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether the gripper may move."""
        free = not self.committed and self._always_moves
        return self._acting(task, time) | free

    # The contract --------------------------------------------------------------------

    def placed(self) -> Environment:
        """This task, or the one on the host that MuJoCo moves."""
        if self.backend == "tabletop":
            return self
        from envs.robot.mujoco import hosted

        return hosted(self)

    @property
    def _table(self) -> Tabletop:
        return Tabletop(self._things)

    def reset(self, key: PRNGKeyArray) -> tuple[Any, RobotState]:
        """Draw an episode and show its start.

        Raises:
            ValueError: it is a task of another backend, which `placed` gives.
        """
        if self.backend != "tabletop":
            raise ValueError(
                f"{type(self).__name__} with backend={self.backend} is no task of the "
                "tabletop; take its placed(), as envs.make does."
            )
        deal_key, pose_key = jax.random.split(key)
        dtype = float_dtype()
        task, position, yaw = self._deal(deal_key)
        noise = jnp.asarray(_HOME_NOISE, dtype) * jax.random.normal(
            pose_key, (3,), dtype
        )
        time = jnp.zeros((), jnp.int32)
        hand = arm.resting(jnp.asarray(HOME, dtype) + noise)
        there = jnp.zeros(len(self._things), bool)
        world = self._table.start(hand, position.astype(dtype), yaw, there)
        world = self._scripted(task, world, time)
        state = RobotState(time, world, jnp.zeros(5, dtype), task)
        return self._observe(state), state

    def _scripted(self, task: Any, world: World, time: Int[Array, ""]) -> World:
        put = self._script(task, world, time)
        where = put.position, put.yaw, put.present, put.velocity
        world = self._table.place(world, put.which, *where)
        if (home := put.home) is None:
            return world
        hand = arm.resting(jnp.asarray(HOME, world.position.dtype))
        gripper = jax.tree.map(
            lambda there, now: jnp.where(home, there, now), hand, world.gripper
        )
        return world._replace(gripper=gripper, held=jnp.where(home, -1, world.held))

    def step(self, key: PRNGKeyArray, state: RobotState, action: Array) -> Transition:
        """Move for a twentieth of a second, and see what that has led to."""
        del key
        command = self.obeyed(state, action)
        world = self._table.advance(state.world, command)
        return self.led_to(state, command, world)

    def obeyed(self, state: RobotState, action: Array) -> Float[Array, "5"]:
        """What the gripper does of an action."""
        command = actions.commanded(action, self.action_mode)
        command = command.astype(state.action.dtype)
        return self._obeyed(state.task, state.world, state.time, command)

    def led_to(
        self, state: RobotState, command: Float[Array, "5"], world: World
    ) -> Transition:
        """What a step has led to, by whatever the world was moved.

        Args:
            state: before the step.
            command: that the gripper followed.
            world: after the step, before the script.
        """
        task, outcome = self._judge(state.task, world, state.time)
        time = state.time + 1
        world = self._scripted(task, world, time)
        after = RobotState(time, world, command, task)
        ended = outcome.success | outcome.failure | (time >= self.max_steps)
        info = {
            "success": outcome.success,
            "fail": outcome.failure,
            "phase": self._phase(state.task, state.time),
            "decision": self._acting(state.task, state.time),
        }
        reward = rewards.of_step(self, state, after, outcome).astype(float_dtype())
        end = ended, jnp.zeros((), bool)
        return self._observe(after), after, reward, *end, info

    def _observe(self, state: RobotState) -> Any:
        looks = self._looks(state.task, state.world, state.time)
        shown = {"gripper": seen.proprioception(state.world.gripper)}
        if self.observation == "rgb":
            told = self._things, state.world, looks, self._appearance
            shown |= cameras.pictures(*told, self.image_size, self._view)
        else:
            shown["things"] = seen.table(state.world, looks, self._appearance)
        if (prompt := self._prompt(state.task)) is not None:
            shown["prompt"] = prompt.astype(jnp.float32)
        if self.observation == "state":
            shown["secret"] = self._secret(state.task).astype(jnp.float32)
        return shown

    def oracle(self, key: PRNGKeyArray, state: RobotState) -> Array:
        """The command that a scripted policy gives who knows what is hidden."""
        del key
        return self._action(self._aim(state.task, state.world, state.time))

    def _action(self, command: Float[Array, "5"]) -> Array:
        """The action nearest to a command."""
        return actions.nearest(command, self.action_mode)

    def render(self, state: RobotState) -> UInt8[Array, "64 width 3"]:
        """The table from above; in the strip what is hidden."""
        looks = self._looks(state.task, state.world, state.time)
        scene = drawing.from_above(
            self._things, state.world, looks, self._appearance.colours, self._view
        )
        told = self._strip(state.task)
        width = max(2, draw.SCENE // len(told))
        return draw.frame(scene, draw.row(told, draw.STRIP, width))

    @property
    def observation_space(self) -> spaces.Space:
        """The gripper and, for each thing, where it is and what it looks like.

        With what the task is told in numbers, if anything.
        """
        hand = spaces.Box(-np.inf, np.inf, (len(seen.GRIPPER),), np.float32)
        found: dict[str, spaces.Space] = {"gripper": hand}
        if self.observation == "rgb":
            shape = self.image_size, self.image_size, 3
            picture = spaces.Box(0, 255, shape, np.uint8)
            found |= dict.fromkeys(cameras.NAMES, picture)
        else:
            things = len(self._things), seen.width(self._appearance)
            found["things"] = spaces.Box(-np.inf, np.inf, things, np.float32)
        drawn = jax.eval_shape(self._deal, jax.random.key(0))[0]
        told = {"prompt": self._prompt}
        if self.observation == "state":
            told["secret"] = self._secret
        for key, tell in told.items():
            numbers = jax.eval_shape(tell, drawn)
            if numbers is not None:
                found[key] = spaces.Box(-np.inf, np.inf, numbers.shape, np.float32)
        return spaces.Dict(found)

    @property
    def action_space(self) -> spaces.Space:
        """Shares of full speed: x, y, z, yaw, opening."""
        return actions.space(self.action_mode)
