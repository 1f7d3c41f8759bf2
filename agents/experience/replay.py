"""Replay of stretches of streams, on the device, in one ring per stream.

A ring holds the last `capacity` rows of a stream, and every `period` rows the memory
state that entered the row there: those are the starts of items. Capacity and rollouts
are whole numbers of periods, so whole items are overwritten and none is ever half old.
Observations are stored once; the final ones of episodes cut off by a time limit go to a
ring of their own, which a row points to.

What is written once (`Replay`) is apart from what changes (`Marks`): an update that is
not taken leaves the first as it is, to be written again in the same places.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from agents.base import Inputs, MemoryState
from agents.experience.tape import Finals


class Rows(NamedTuple):
    """Steps of streams.

    Attributes:
        inputs: what the policy saw.
        action: what it did.
        reward: what it got.
        terminated, truncated: how the episode ended at this step, if it did.
        final: number of the final observation that the step led to, counted over the
            stream's; -1 where a time limit ended nothing. None for tasks that never
            truncate.
    """

    inputs: Inputs
    action: Any
    reward: Float[Array, "..."]
    terminated: Bool[Array, "..."]
    truncated: Bool[Array, "..."]
    final: Int[Array, "..."] | None

    @property
    def cut(self) -> Bool[Array | np.ndarray, "..."]:
        """Whether a time limit, and nothing else, ended the episode."""
        return self.truncated & ~self.terminated


class Replay(NamedTuple):
    """What is written once, every leaf `[batch, ...]`.

    Attributes:
        rows: `[batch, capacity, ...]`.
        finals: `[batch, room, ...]`; None for tasks that never truncate.
        memory_states: `[batch, items, ...]`; None where windows start from nothing.
    """

    rows: Rows
    finals: Finals | None
    memory_states: MemoryState | None


class Marks(NamedTuple):
    """What changes with learning, every leaf `[batch, ...]`.

    Attributes:
        priority: `[batch, items]`, of every item.
        finals: `[batch]`, final observations written so far.
    """

    priority: Float[Array, "batch items"]
    finals: Int[Array, " batch"]


class Window(NamedTuple):
    """Sampled stretches of streams, `[rows, windows, ...]`.

    Attributes:
        rows: `length` of them; the last only tells what follows the one before it.
        kept: whether the final observation of a row can be looked up.
        stream, item: `[windows]`, where they came from.
        memory_states: `[windows, ...]`, what entered the first row; None where nothing
            is stored.
        probability: `[windows]`, of having been drawn.
    """

    rows: Rows
    kept: Bool[Array, "rows windows"]
    stream: Int[Array, " windows"]
    item: Int[Array, " windows"]
    memory_states: MemoryState | None
    probability: Float[Array, " windows"]


@dataclasses.dataclass(frozen=True)
class Ring:
    """Sizes of a replay.

    Attributes:
        capacity: rows per stream.
        period: rows between the starts of items.
        length: rows of a window, with the one that only tells what follows.
        finals: final observations kept per stream; 0 for tasks that never truncate.
        starts_only: whether items begin at the starts of episodes alone; `period` is
            then 1.
    """

    capacity: int
    period: int
    length: int
    finals: int
    starts_only: bool = False

    @property
    def items(self) -> int:
        """Items per stream."""
        return self.capacity // self.period

    def empty(self, rows: Rows, finals: Finals, memory_state: Any) -> Replay:
        """A replay without experience.

        Args:
            rows: of one step of a batch, `[batch, ...]`, for their shapes.
            finals: of one step, likewise.
            memory_state: of the batch; None to store none.
        """

        def many(count: int) -> Any:
            def zeros(x: Array) -> Array:
                return jnp.zeros((x.shape[0], count, *x.shape[1:]), x.dtype)

            return zeros

        return Replay(
            rows=jax.tree.map(many(self.capacity), rows),
            finals=jax.tree.map(many(self.finals), finals) if self.finals else None,
            memory_states=jax.tree.map(many(self.items), memory_state),
        )

    def unmarked(self, batch: int) -> Marks:
        """Marks of a replay without experience."""
        dtype = jax.dtypes.canonicalize_dtype(float)
        return Marks(
            priority=jnp.zeros((batch, self.items), dtype),
            finals=jnp.zeros(batch, jnp.int32),
        )

    def add(
        self,
        replay: Replay,
        marks: Marks,
        rows: Rows,
        finals: Finals,
        memory_states: MemoryState | None,
        *,
        written: Int[Array, ""],
    ) -> tuple[Replay, Marks]:
        """Write a rollout over the oldest rows.

        Args:
            replay: the rings.
            marks: of the rings.
            rows: `[time, batch, ...]`; `final` is filled in here.
            finals: what every step led to before any reset, `[time, batch, ...]`.
            memory_states: the state that entered every period,
                `[time / period, batch, ...]`; None where none is stored.
            written: rows that every stream wrote before.
        """
        time = rows.reward.shape[0]
        stored, counted = replay.finals, marks.finals
        if stored is not None:
            number = counted[None] + jnp.cumsum(rows.cut, axis=0, dtype=jnp.int32) - 1
            rows = rows._replace(final=jnp.where(rows.cut, number, -1))
            counted = counted + rows.cut.sum(axis=0, dtype=jnp.int32)
            stored = self._add_finals(stored, finals, rows, counted)
        position = written % self.capacity

        def write(ring: Array, new: Array, at: Array) -> Array:
            new = jnp.moveaxis(new, 0, 1).astype(ring.dtype)
            return jax.lax.dynamic_update_slice_in_dim(ring, new, at, axis=1)

        item, new_items = position // self.period, time // self.period
        priority = jnp.maximum(marks.priority.max(axis=1, keepdims=True), 1.0)
        priority = jnp.broadcast_to(priority.max(), (len(counted), new_items))
        new_replay = Replay(
            rows=jax.tree.map(
                lambda ring, new: write(ring, new, position), replay.rows, rows
            ),
            finals=stored,
            memory_states=jax.tree.map(
                lambda ring, new: write(ring, new, item),
                replay.memory_states,
                memory_states,
            ),
        )
        new_marks = Marks(
            priority=jax.lax.dynamic_update_slice_in_dim(
                marks.priority, priority, item, axis=1
            ),
            finals=counted,
        )
        return new_replay, new_marks

    def _add_finals(
        self, stored: Finals, finals: Finals, rows: Rows, counted: Array
    ) -> Finals:
        """Write the final observations that steps led to; the newest stay."""
        number = rows.final
        assert number is not None
        newest = rows.cut & (number >= counted[None] - self.finals)
        slot = jnp.where(newest, number % self.finals, self.finals)
        stream = jnp.broadcast_to(jnp.arange(slot.shape[1]), slot.shape)
        return jax.tree.map(
            lambda ring, new: ring.at[stream, slot].set(
                new.astype(ring.dtype), mode="drop"
            ),
            stored,
            finals,
        )

    def whole(
        self, replay: Replay, written: Int[Array, ""]
    ) -> Bool[Array, "batch items"]:
        """Which items can be drawn: their window is in the ring, from end to end."""
        first = jnp.arange(self.items, dtype=jnp.int32) * self.period
        newest = first + self.capacity * ((written - 1 - first) // self.capacity)
        whole = (first < written) & (newest + self.length <= written)
        start = replay.rows.inputs.start[:, :: self.period]
        return whole[None] & (start if self.starts_only else jnp.ones_like(start))

    def sample(
        self,
        replay: Replay,
        marks: Marks,
        *,
        written: Int[Array, ""],
        windows: int,
        exponent: float,
        key: PRNGKeyArray,
    ) -> Window:
        """Draw windows, each item in proportion to its priority to a power.

        Draws are stratified: one from each of `windows` equal parts of the whole.

        Args:
            replay: the rings.
            marks: of the rings.
            written: rows that every stream has written.
            windows: how many.
            exponent: of the priorities; 0 draws uniformly.
            key: source of chance.
        """
        whole = self.whole(replay, written)
        weight = jnp.where(whole, marks.priority**exponent, 0).reshape(-1)
        ends = jnp.cumsum(weight)
        total = ends[-1]
        drawn = jnp.arange(windows, dtype=ends.dtype) + jax.random.uniform(
            key, (windows,), ends.dtype
        )
        drawn = jnp.minimum(drawn / windows * total, jnp.nextafter(total, 0))
        index = jnp.searchsorted(ends, drawn, side="right").astype(jnp.int32)
        index = jnp.minimum(index, weight.size - 1)
        stream, item = index // self.items, index % self.items
        ahead = jnp.arange(self.length, dtype=jnp.int32)[:, None]
        row = (item[None] * self.period + ahead) % self.capacity
        rows = jax.tree.map(lambda x: x[stream, row], replay.rows)
        kept = jnp.ones_like(rows.terminated)
        if rows.final is not None:
            oldest = marks.finals[stream] - self.finals
            kept = (rows.final >= 0) & (rows.final >= oldest[None])
        return Window(
            rows=rows,
            kept=kept,
            stream=stream,
            item=item,
            memory_states=jax.tree.map(lambda x: x[stream, item], replay.memory_states),
            probability=weight[index] / jnp.where(total > 0, total, 1),
        )

    def finals_of(
        self, replay: Replay, window: Window, row: Int[Array, "room windows"]
    ) -> Finals | None:
        """The final observations that some rows of windows led to."""
        if replay.finals is None or window.rows.final is None:
            return None
        number = window.rows.final[row, jnp.arange(row.shape[1])]
        slot = jnp.maximum(number, 0) % self.finals
        return jax.tree.map(lambda x: x[window.stream, slot], replay.finals)
