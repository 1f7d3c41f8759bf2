"""Windows to learn from: how stretches of streams are kept, drawn and laid out.

What every agent with a replay shares. Its settings are the agent's fields of the same
names; see `DQN`.
"""

import dataclasses
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from agents.base import Inputs, MemoryState
from agents.experience.replay import Marks, Replay, Ring, Rows, Window
from agents.experience.rollout import Rollout, Streams
from agents.experience.tape import (
    Finals,
    Layout,
    lay_out,
    on_tape,
    room_for,
    rows_of_finals,
)
from agents.spaces import null_actions
from envs.base import float_dtype
from memory_models import MemoryModel

Start = Literal["stored", "zero", "episode"]
"""What the memory holds where a window starts."""

_TOLD = {
    "stored": "from stored memory states",
    "zero": "with an empty memory",
    "episode": "where episodes do",
}


@dataclasses.dataclass(frozen=True)
class Windows:
    """How an agent keeps and draws stretches of streams.

    Attributes:
        ring: sizes of the replay.
        start: what the memory holds where a window starts.
        burn_in: rows that only bring the memory up to date.
        room: places for final observations in a window.
        rollout_length: rows that every stream writes at a time.
        batch_size: windows that are drawn at a time.
        priority_exponent, priority_correction, priority_peak: as in `DQN`.
    """

    ring: Ring
    start: Start
    burn_in: int
    room: int
    rollout_length: int
    batch_size: int
    priority_exponent: float
    priority_correction: float
    priority_peak: float

    @classmethod
    def of(cls, agent: Any, context: int | None) -> "Windows":
        """Those of an agent whose memory reaches `context` steps back, None for ever.

        A memory of finite context that has seen that many steps does not depend on what
        it began with: then windows begin with an empty one, exactly, and no state is
        stored.
        """
        length, rollout = agent.sequence_length, agent.rollout_length
        exact = context is not None and context <= length
        start = agent.replay_start or ("zero" if exact else "stored")
        burn_in = agent.burn_in
        if burn_in is None:
            enough = context if context is not None and exact else length // 4
            needed = {"zero": enough, "stored": length // 4, "episode": 0}
            burn_in = needed[start]
        card, each = agent.env.card, agent.replay_size // agent.num_envs
        capacity, limit = each - each % rollout, card.max_episode_steps or 1
        period = agent.replay_period or _largest_divisor(rollout, max(length // 2, 1))
        ring = Ring(
            capacity=capacity,
            period=1 if start == "episode" else period,
            length=burn_in + length + 1,
            finals=min(capacity, capacity // limit + 2) if card.truncates else 0,
            starts_only=start == "episode",
        )
        return cls(
            ring=ring,
            start=start,
            burn_in=burn_in,
            room=room_for(card, length),
            rollout_length=rollout,
            batch_size=agent.batch_size,
            priority_exponent=agent.priority_exponent,
            priority_correction=agent.priority_correction,
            priority_peak=agent.priority_peak,
        )

    @property
    def sequence_length(self) -> int:
        """Steps of the sequences that a rollout is cut into, for states to store."""
        return self.ring.period if self.start == "stored" else self.rollout_length

    def describe(self, agent: Any) -> str:
        """How an agent plays, keeps and draws."""
        learning = self.ring.length - 1 - self.burn_in
        learned = agent.gradient_steps * self.batch_size * learning
        return (
            f"{agent.num_envs} environments x {self.rollout_length} steps, then "
            f"{agent.gradient_steps} x {self.batch_size} windows of {self.burn_in} + "
            f"{learning} steps ({learned / agent.steps_per_update:.3g} learned per "
            f"step taken) from the last {self.ring.capacity * agent.num_envs:,}; they "
            f"start {_TOLD[self.start]}"
        )

    def share(self, agent: Any, total: int, axis_name: str) -> Any:
        """An agent as one of `total` devices runs it.

        Raises:
            ValueError: windows that do not split.
        """
        if self.batch_size % total:
            raise ValueError(
                f"agent.batch_size={self.batch_size} windows do not split into equal "
                f"shares for {total} devices."
            )
        return dataclasses.replace(
            agent,
            num_envs=agent.num_envs // total,
            batch_size=self.batch_size // total,
            replay_size=self.ring.capacity * (agent.num_envs // total),
            learning_starts=-(-agent.learning_starts // total),
            axis_name=axis_name,
        )

    # Writing --------------------------------------------------------------------

    def empty(self, agent: Any, streams: Streams) -> tuple[Replay, Marks]:
        """A replay without experience."""
        batch = agent.num_envs
        flags, inputs = jnp.zeros(batch, bool), streams.inputs
        rows = Rows(
            inputs=inputs,
            action=null_actions(agent.env.action_space, batch),
            reward=jnp.zeros(batch, float_dtype()),
            terminated=flags,
            truncated=flags,
            final=jnp.zeros(batch, jnp.int32) if self.ring.finals else None,
        )
        finals = Finals(inputs.observation, inputs.action_mask)
        stored = streams.memory_state if self.start == "stored" else None
        return self.ring.empty(rows, finals, stored), self.ring.unmarked(batch)

    def write(
        self, replay: Replay, marks: Marks, rollout: Rollout, updates: Int[Array, ""]
    ) -> tuple[Replay, Marks]:
        """Write a rollout, the one after `updates` others."""
        steps = rollout.transitions
        assert steps.finals is not None
        rows = Rows(
            inputs=steps.inputs,
            action=steps.action,
            reward=steps.reward,
            terminated=steps.terminated,
            truncated=steps.truncated,
            final=None,
        )
        return self.ring.add(
            replay,
            marks,
            rows,
            steps.finals,
            rollout.memory_states if self.start == "stored" else None,
            written=updates * self.rollout_length,
        )

    # Drawing --------------------------------------------------------------------

    def any_whole(self, replay: Replay, updates: Int[Array, ""]) -> Array:
        """Whether there is any window after so many rollouts."""
        return self.ring.whole(replay, updates * self.rollout_length).any()

    def sample(
        self,
        replay: Replay,
        marks: Marks,
        updates: Int[Array, ""],
        *,
        key: PRNGKeyArray,
    ) -> Window:
        """Draw windows after so many rollouts."""
        return self.ring.sample(
            replay,
            marks,
            written=updates * self.rollout_length,
            windows=self.batch_size,
            exponent=self.priority_exponent,
            key=key,
        )

    def tape(self, replay: Replay, window: Window) -> tuple[Inputs, Rows, Layout]:
        """The learned part of windows: inputs by place, rows, and their layout."""
        burn = self.burn_in
        rows = jax.tree.map(lambda x: x[burn:-1], window.rows)
        # Where a run on the host was resumed an episode broke off, and what followed
        # was never seen: as after a time limit, with no final observation kept.
        lost = window.rows.inputs.start[burn + 1 :] & ~rows.terminated
        rows = rows._replace(truncated=rows.truncated | lost)
        layout = lay_out(rows.cut, window.kept[burn:-1], self.room)
        finals = None
        if layout.row is not None:
            row = burn + rows_of_finals(layout, self.room)
            finals = self.ring.finals_of(replay, window, row)
        inputs = jax.tree.map(lambda x: x[burn:], window.rows.inputs)
        return on_tape(layout, inputs, rows.action, rows.reward, finals), rows, layout

    def entering(self, network: Any, window: Window) -> MemoryState:
        """The memory that enters the learned part of windows; no gradient reaches it.

        Args:
            network: with `initial_state` and `sequence`.
            window: the windows.
        """
        state = window.memory_states
        if state is None:
            state = network.initial_state(window.stream.shape[0])
        if self.burn_in:
            before = jax.tree.map(lambda x: x[: self.burn_in], window.rows.inputs)
            state = network.sequence(state, before)[0]
        return jax.lax.stop_gradient(state)

    # Priorities -----------------------------------------------------------------

    def correction(self, window: Window) -> Float[Array, "1 windows"] | float:
        """Weights of windows that were not drawn equally often (Schaul et al. 2016)."""
        if self.priority_exponent == 0:
            return 1.0
        floor = jnp.finfo(window.probability.dtype).tiny
        weight = jnp.maximum(window.probability, floor) ** -self.priority_correction
        return (weight / weight.max())[None]

    def marked(
        self,
        marks: Marks,
        window: Window,
        error: Float[Array, "rows windows"],
        known: Array,
    ) -> Marks:
        """Priorities after learning (Kapturowski et al. 2019, section 2.3).

        Args:
            marks: before.
            window: what was learned from; one of which nothing is known keeps its own.
            error: of every row.
            known: of which rows the error is.
        """
        if self.priority_exponent == 0:
            return marks
        size = jnp.where(known, jnp.abs(error), 0)
        count = known.sum(0)
        mean = size.sum(0) / jnp.maximum(count, 1).astype(size.dtype)
        new = self.priority_peak * size.max(0) + (1 - self.priority_peak) * mean
        at = (window.stream, window.item)
        new = jnp.where(count > 0, jnp.maximum(new, 1e-6), marks.priority[at])
        return marks._replace(priority=marks.priority.at[at].set(new))


def memory_context(agent: Any) -> int | None:
    """Steps that the memory of an agent reaches back; None without end."""
    shapes = eqx.filter_eval_shape(agent.build_network, jax.random.key(0))
    leaves = jax.tree.leaves(shapes, is_leaf=lambda x: isinstance(x, MemoryModel))
    return next(x for x in leaves if isinstance(x, MemoryModel)).card.context


def _largest_divisor(total: int, most: int) -> int:
    return max(x for x in range(1, min(total, most) + 1) if total % x == 0)
