"""What a start does, and what each way of getting it wrong is called.

The model reads one short sequence many times over, in one batch: from its initial
state, from a used state, from used states of which one number differs, from states full
of nan, and after other inputs. Which of them a start tells apart names the mistake.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from memory_models.checking.comparison import fail
from memory_models.checking.compiling import compile_quickly
from memory_models.checking.probe import Probe
from memory_models.checking.rows import (
    FIRST_CHANGED,
    FUTURE,
    INF,
    INITIAL,
    NAN,
    PAST,
    USED,
    make_rows,
)

_WHY = "one episode would be read as the continuation of another."
_ADVICE = (
    "put initial_state() in the place of the entering state, with "
    "jnp.where(start, initial, state) for every leaf, before anything is computed from "
    "it; never multiply it by (1 - start). memory_models.select_state does that, and "
    "the scans of memory_models do it by themselves."
)


class Seen(NamedTuple):
    """Outputs `[rows, time, size]` and last state `[rows, numbers]` of the rows."""

    outputs: np.ndarray
    last: np.ndarray


def episodes(probe: Probe, seed: int = 0) -> None:
    """Outputs are numbers, starts reset, step is as a call, nothing sees the future."""
    look = _Look(probe, seed)
    for method in ("__call__", "step"):
        _finite(look, method)
    _causal(look)
    for method in ("__call__", "step"):
        for at in (0, look.rows.at):
            _resets(look, method, at)
        _resets_to_initial(look, method)
    _agree(look)


class _Look:
    """The batch, read by both methods, compiled once for each."""

    def __init__(self, probe: Probe, seed: int):
        arrays, static = eqx.partition(probe.model, eqx.is_array)

        def whole(arrays, state, inputs, starts):
            return eqx.combine(arrays, static)(state, inputs, starts)

        def stepped(arrays, state, inputs, starts):
            step = eqx.combine(arrays, static).step
            return jax.lax.scan(lambda s, x: step(s, *x), state, (inputs, starts))

        def over_rows(run):
            return compile_quickly(jax.vmap(run, in_axes=(None, 0, 0, None)))

        self._arrays = arrays
        self._runs = {"__call__": over_rows(whole), "step": over_rows(stepped)}
        dtype = np.dtype(probe.inputs(seed).dtype)
        # A run must not be refused for rounding: this look is for gross mistakes.
        self.tolerance = max(100 * probe.tolerance, 16 * float(jnp.finfo(dtype).eps))
        initial = compile_quickly(
            lambda arrays: eqx.combine(arrays, static).initial_state()
        )(arrays)
        self.rows = make_rows(
            lambda *rest: self.run("__call__", *rest),
            probe,
            jax.tree.map(np.asarray, initial),
            seed,
        )
        self._seen: dict[tuple[str, int | None], Seen] = {}

    def run(self, method: str, states: Any, inputs: Any, starts: np.ndarray) -> Any:
        return self._runs[method](self._arrays, states, inputs, starts)

    def seen(self, method: str, start: int | None) -> Seen:
        """What all rows give with a start at that step, or with none."""
        if (method, start) not in self._seen:
            rows = self.rows
            starts = np.arange(rows.inputs.shape[1]) == (-1 if start is None else start)
            last, outputs = self.run(method, rows.states, rows.inputs, starts)
            flat = [_wide(x).reshape(len(x), -1) for x in jax.tree.leaves(last)]
            flat = np.concatenate([np.zeros((len(rows.inputs), 0)), *flat], axis=1)
            self._seen[method, start] = Seen(_wide(outputs), flat)
        return self._seen[method, start]

    def differ(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Where two arrays differ by more than rounding; nan differs from numbers."""
        with np.errstate(invalid="ignore"):
            scale = np.maximum(1.0, np.abs(one))
            near = np.abs(one - other) <= self.tolerance * scale
        return ~(near | (one == other) | (np.isnan(one) & np.isnan(other)))


def _wide(array: Any) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], -1).astype(np.float64)
    return array.astype(np.float64)


def _finite(look: _Look, method: str) -> None:
    outputs = look.seen(method, 0).outputs[INITIAL]
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if bad.size:
        wrong = outputs[bad[0]]
        value = wrong[~np.isfinite(wrong)][0]
        fail(
            f"{method} gives {value} at step {bad[0]} of an episode, in "
            f"{(~np.isfinite(wrong)).sum()} of {wrong.size} outputs.",
            "every number it reaches is lost, and the run with it.",
            "look for a division, a logarithm or a square root of zero, or a softmax "
            "over nothing.",
            method,
        )


def _resets(look: _Look, method: str, at: int) -> None:
    """Nothing that came before a start at step `at` is felt from there on."""
    plain, started = look.seen(method, None), look.seen(method, at)
    past = [PAST] if at else []
    rows = [*past, *range(FIRST_CHANGED, len(started.last))]
    felt = [_felt(look, started, row, at) for row in rows]
    could = [_felt(look, plain, row, at) for row in rows]
    bad = [row for row, there in zip(rows, felt, strict=True) if there.any()]
    if bad:
        _fail_reset(look, method, at, rows, felt, could, bad)
    # Within a sequence a reset may be a mask over what is attended to, where nan stays.
    for row in () if at else (NAN, INF):
        if _felt(look, started, row, at).any():
            value = "nan" if row == NAN else "inf"
            fail(
                f"{method} resets by a product instead of a choice: a state full of "
                f"{value} survives a start, because 0 * {value} is nan.",
                "one bad episode would poison every later episode of its stream.",
                _ADVICE,
                method,
            )


def _felt(look: _Look, seen: Seen, row: int, at: int) -> np.ndarray:
    """Whether `row` differs from the used one, at each step from `at` on and after."""
    outputs = look.differ(seen.outputs[USED, at:], seen.outputs[row, at:]).any(axis=1)
    return np.append(outputs, look.differ(seen.last[USED], seen.last[row]).any())


def _fail_reset(look, method, at, rows, felt, could, bad) -> None:
    plain, started = look.seen(method, None), look.seen(method, at)
    same = not look.differ(plain.outputs[USED], started.outputs[USED]).any()
    same = same and not look.differ(plain.last[USED], started.last[USED]).any()
    where = "" if at == 0 else f" at step {at} of a sequence"
    changed = [row for row in rows if row >= FIRST_CHANGED]
    left = [row for row in bad if row >= FIRST_CHANGED]
    able = [r for r, c in zip(rows, could, strict=True) if r in changed and c.any()]
    if same:
        wrong = f"{method} never resets: a start{where} changes nothing."
    elif all(not there[1:].any() for there in felt):
        wrong = (
            f"{method} resets one step late: at the start{where} itself the output is "
            "still computed from the episode before."
        )
    elif left and len(left) < len(able):
        name = look.rows.changed[left[0] - FIRST_CHANGED]
        wrong = (
            f"{method} resets only a part of the state{where}: {len(left)} of the "
            f"{len(able)} numbers tried are still felt after a start, {name} for one."
        )
    else:
        wrong = (
            f"{method} does not reset{where}: what came before a start is still felt "
            "after it."
        )
    fail(wrong, _WHY, _ADVICE, method)


def _resets_to_initial(look: _Look, method: str) -> None:
    fresh, started = look.seen(method, None), look.seen(method, 0)
    outputs = look.differ(fresh.outputs[INITIAL], started.outputs[USED])
    if outputs.any() or look.differ(fresh.last[INITIAL], started.last[USED]).any():
        fail(
            f"{method} resets to something other than initial_state().",
            "evaluation begins from the one, training episodes from the other.",
            "reset to initial_state() and to nothing else.",
            method,
        )


def _agree(look: _Look) -> None:
    for start in (None, look.rows.at):
        call, step = look.seen("__call__", start), look.seen("step", start)
        for row in (USED, INITIAL):
            outputs = look.differ(call.outputs[row], step.outputs[row]).any(axis=1)
            last = look.differ(call.last[row], step.last[row]).any()
            if outputs.any() or last:
                at = int(np.argmax(outputs))
                place = f"from step {at} on" if outputs.any() else "in the last state"
                fail(
                    f"step and __call__ differ {place}: one sequence, and its inputs "
                    "read one by one, give different numbers.",
                    "what is trained on is not what acted.",
                    "compare what the two carry from one input to the next.",
                    "step",
                )


def _causal(look: _Look) -> None:
    seen = look.seen("__call__", None)
    before = slice(0, look.rows.at)
    if look.differ(seen.outputs[USED, before], seen.outputs[FUTURE, before]).any():
        fail(
            "__call__ sees the future: an output changes with a later input.",
            "acting has no future to look at, so training on one is for nothing.",
            f"outputs before step {look.rows.at} must not use inputs from there on; "
            "mind masks.",
            "__call__",
        )
