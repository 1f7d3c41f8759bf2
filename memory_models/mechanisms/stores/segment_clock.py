"""Mechanism D: a memory that is written once per segment, and read at every step.

The steps of an episode form segments of a fixed length; the clock restarts at every
start, so the segments of two streams end at different steps, and those that a start
cuts short are dropped. After its last step a segment is written into the memory, and
the steps after it see the new memory.

Under `vmap` a write inside the step would be computed at every step (a `cond` becomes a
select), so a single step writes through `rare`. A sequence finds its writes first: at
most `time / length + 1` of them, whatever the starts. They run one after another in a
scan; then all steps are read at once, each with the version of the memory that it saw.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from memory_models.base import select_state
from memory_models.mechanisms.scans.write_scan import Write, write_scan
from memory_models.mechanisms.stores.rare import rare
from memory_models.mechanisms.stores.ring_attention import Bands, Tape


class Clock(NamedTuple):
    """The state of a model that writes in segments.

    Attributes:
        memory: as the last write of the episode left it.
        entries: a pytree of `[(history + 1) * length, ...]`: the last complete
            segments, then the running one; zeros where there is none.
        place: how many steps the running segment has.
        complete: how many complete segments are kept.
    """

    memory: Any
    entries: Any
    place: Int[Array, ""]
    complete: Int[Array, ""]


class Segments(NamedTuple):
    """A sequence as its steps see it.

    Attributes:
        tape: the steps before and of the sequence.
        first: `[time]`, the first step on the tape that each step sees: that of its
            segment, or of the earliest complete segment that it sees besides.
        memories: the memory in all its versions: initial, as it was at first, and
            after each write.
        count: `[time]`, how many writes lie before each step.
        version: `[time]`, which memory each step sees.
    """

    tape: Tape
    first: Int[Array, " time"]
    memories: Any
    count: Int[Array, " time"]
    version: Int[Array, " time"]

    def memories_of(
        self, cut: Bands, memories: Any, length: int
    ) -> tuple[Any, Bool[Array, "blocks queries versions"]]:
        """The versions that each block needs, `[blocks, versions, ...]`, and whose.

        Args:
            cut: the blocks.
            memories: a pytree made of `memories`, version by version.
            length: of a segment.
        """
        total = jax.tree.leaves(memories)[0].shape[0]
        version = cut.queries(self.version)
        if cut.blocks == 1:
            needed = jnp.arange(total, dtype=jnp.int32)[None]
        else:
            # Within a block of so many steps no more segments end than this.
            more = 2 + (cut.size - 2) // length
            later = jnp.arange(more, dtype=jnp.int32)[None]
            later = cut.queries(self.count)[:, :1] + 1 + later
            initial = jnp.zeros((cut.blocks, 1), jnp.int32)
            needed = jnp.concatenate([initial, later], axis=1)
        chosen = jax.tree.map(
            lambda x: x.at[needed].get(mode="clip", wrap_negative_indices=False),
            memories,
        )
        return chosen, version[:, :, None] == needed[:, None, :]


def of_vectors(
    cut: Bands, weights: Float[Array, "blocks heads queries versions"], count: int
) -> Float[Array, "time heads {count}"]:
    """Weights of a memory of `count` vectors, given those of all its versions.

    Args:
        cut: the blocks.
        weights: of all vectors of one version after the other (`memories_of`); 0 of
            versions that a step does not see.
        count: vectors in the memory.
    """
    shape = (*weights.shape[:-1], weights.shape[-1] // count, count)
    return cut.merge(weights.reshape(shape).sum(-2).swapaxes(1, 2))


def empty_clock(memory: Any, entry: Any, length: int, history: int = 0) -> Clock:
    """No step yet; `entry` is what one step leaves, as zeros."""
    slots, zero = (history + 1) * length, jnp.zeros((), jnp.int32)
    entries = jax.tree.map(lambda x: jnp.zeros((slots, *x.shape), x.dtype), entry)
    return Clock(memory, entries, zero, zero)


def restart(clock: Clock, initial: Clock, start: Bool[Array, ""]) -> Clock:
    """`initial` at a start, without copying all entries at every other step."""
    return rare(_first, start, initial, clock)


def enter(clock: Clock, entry: Any, length: int) -> tuple[Clock, Bool[Array, " slots"]]:
    """Add one step, and say which entries it sees, itself included."""
    slots = jax.tree.leaves(clock.entries)[0].shape[0]
    at = slots - length + clock.place
    entries = jax.tree.map(lambda x, new: x.at[at].set(new), clock.entries, entry)
    index = jnp.arange(slots, dtype=jnp.int32)
    oldest = slots - length * (clock.complete + 1)
    return clock._replace(entries=entries), (index >= oldest) & (index <= at)


def leave(clock: Clock, write: Write, parameters: Any, length: int) -> Clock:
    """Finish the step: a segment that it completes is written."""
    done = clock.place == length - 1
    slots = jax.tree.leaves(clock.entries)[0].shape[0]
    history = slots // length - 1
    state = (clock.memory, clock.entries)
    memory, entries = rare(_Turn(write, length), done, parameters, state)
    return Clock(
        memory,
        entries,
        jnp.where(done, 0, clock.place + 1),
        jnp.minimum(clock.complete + done.astype(jnp.int32), history),
    )


def _first(initial, clock):
    del clock
    return initial


class _Turn(NamedTuple):
    """Write the running segment, and make room for the next."""

    write: Write
    length: int

    def __call__(self, parameters: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        memory, entries = state
        segment = jax.tree.map(lambda x: x[-self.length :], entries)
        moved = jax.tree.map(
            lambda x: jnp.concatenate(
                [x[self.length :], jnp.zeros_like(x[-self.length :])]
            ),
            entries,
        )
        return self.write(parameters, (memory, segment)), moved


def follow(
    clock: Clock,
    initial: Clock,
    entries: Any,
    starts: Bool[Array, " time"],
    write: Write,
    parameters: Any,
    length: int,
    *,
    prepare: Callable[[Any, Any], Any] | None = None,
) -> tuple[Clock, Segments]:
    """Run all writes of a sequence.

    Args:
        clock: the state that the steps before left.
        initial: the state before the first step of an episode.
        entries: a pytree of `[time, ...]`, what each step leaves for its write.
        starts: true where a step is the first of an episode.
        write: makes the new memory of the old one and a complete segment.
        parameters: of the write.
        length: of a segment.
        prepare: `(parameters, entries of a segment) -> entries`, what of a write does
            not depend on the memory: done for all segments at once.

    Returns:
        The state after the last step, and what to read the steps with.
    """
    clock = select_state(starts[0], initial, clock)
    past = jax.tree.leaves(clock.entries)[0].shape[0]
    time, history = starts.shape[0], past // length - 1
    before = jax.tree.map(
        lambda x: jnp.roll(x, length - clock.place, axis=0), clock.entries
    )
    tape = jax.tree.map(lambda *x: jnp.concatenate(x), before, entries)
    now = jnp.arange(time, dtype=jnp.int32) + past
    kept = clock.place + length * clock.complete
    begin = jax.lax.cummax(jnp.where(starts, now, past - kept))
    age = now - begin
    first = jnp.maximum(begin, now - age % length - history * length)

    completed = age % length == length - 1
    total = jnp.cumsum(completed, dtype=jnp.int32)
    count = total - completed.astype(jnp.int32)
    at_start = jax.lax.cummax(jnp.where(starts, count, -1))
    version = jnp.where(count == at_start, 0, count + 1)

    most = (length - 1 + time) // length
    ends = jnp.nonzero(completed, size=most, fill_value=0)[0].astype(jnp.int32)
    within = jnp.arange(1 - length, 1, dtype=jnp.int32)
    index = (ends + past)[:, None] + within[None]
    complete = jax.tree.map(lambda x: x[index], tape)
    if prepare is not None:
        complete = jax.vmap(prepare, (None, 0))(parameters, complete)
    memories = _write_all(
        clock.memory,
        initial.memory,
        complete,
        version[ends] == 0,
        write,
        parameters,
    )
    last = jnp.where(total[-1] == at_start[-1], 0, total[-1] + 1)
    final = Clock(
        jax.tree.map(lambda x: x[last], memories),
        *_left(tape, age[-1] + 1, past, length),
    )
    return final, Segments(Tape(tape, begin), first, memories, count, version)


def _write_all(memory, initial, segments, fresh, write, parameters) -> Any:
    """All versions of the memory: initial, `memory`, and after each write."""
    written = write_scan(write, parameters, memory, initial, segments, fresh)
    return jax.tree.map(
        lambda a, b, rest: jnp.concatenate([a[None], b[None], rest]),
        initial,
        memory,
        written,
    )


def _left(tape: Any, age: Array, past: int, length: int) -> tuple[Any, Array, Array]:
    """The entries that the last step leaves, and the two counters."""
    place = age % length
    complete = jnp.minimum(age // length, past // length - 1)
    index = jnp.arange(past, dtype=jnp.int32)
    valid = index >= past - place - length * complete

    def cut(x: Array) -> Array:
        x = x[x.shape[0] - past :]
        flags = valid.reshape(-1, *[1] * (x.ndim - 1))
        return jnp.roll(jnp.where(flags, x, 0), place - length, axis=0)

    return jax.tree.map(cut, tape), place, complete
