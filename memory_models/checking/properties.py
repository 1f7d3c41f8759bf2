"""The guarantees that every memory model keeps, each as a function.

A property takes a probe, starts `[time]` and a seed for the values, and raises
CheckError; those in `structure` and `episodes` depend on neither and are checked once.
`checker.check_memory` and the conformance tests run these same functions.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from memory_models.checking.comparison import fail, same, zero
from memory_models.checking.probe import Probe, fill

Property = Callable[[Probe, np.ndarray, int], None]


def step_equals_sequence(probe: Probe, starts: np.ndarray, seed: int) -> None:
    """Steps one by one, one sequence, and any mixture of the two agree."""
    state, inputs = probe.used_state(seed), probe.inputs(seed)
    whole = probe.sequence(state, inputs, starts)
    half, advice = probe.half, "compare what the two carry from one input to the next."
    what = "what is trained on is not what acted."
    same(
        probe.tolerance,
        whole,
        probe.scanned(state, inputs, starts),
        "step and sequence",
        what,
        advice,
    )
    ways = {
        "two calls": (probe.sequence, probe.sequence),
        "steps, then a call": (probe.scanned, probe.sequence),
        "a call, then steps": (probe.sequence, probe.scanned),
    }
    for name, (first, second) in ways.items():
        middle, head = first(state, inputs[:half], starts[:half])
        final, tail = second(middle, inputs[half:], starts[half:])
        parts = (final, jnp.concatenate([head, tail]))
        same(probe.tolerance, whole, parts, f"one call and {name}", what, advice)


def poison_heals(probe: Probe, starts: np.ndarray, seed: int) -> None:
    """A state full of nan or inf that enters a start changes nothing at all."""
    starts = _with_start(starts, 0)
    state, inputs = probe.used_state(seed), probe.inputs(seed)
    weights = probe.weights(seed)
    clean = probe.sequence(state, inputs, starts)
    clean_gradients = probe.gradients(state, inputs, starts, weights)
    _finite(clean_gradients, starts)  # or the poison would be blamed for them
    for value in (np.nan, np.inf):
        poisoned = fill(state, value)
        what = f"a run entered by a state full of {value}, and one by a usual state,"
        why = "one bad episode would poison every later episode of its stream."
        advice = (
            "replace the entering state with jnp.where(start, initial, state) before "
            "anything is computed from it; never multiply it by (1 - start)."
        )
        for run in (probe.sequence, probe.scanned):
            same(
                probe.tolerance, clean, run(poisoned, inputs, starts), what, why, advice
            )
        gradients = probe.gradients(poisoned, inputs, starts, weights)
        for name in ("parameters", "inputs"):
            same(
                probe.tolerance,
                clean_gradients[name],
                gradients[name],
                f"gradients to {name} of {what}",
                why,
                advice,
            )


def episodes_are_separate(probe: Probe, starts: np.ndarray, seed: int) -> None:
    """Nothing before a start changes anything after it, and no gradient crosses it."""
    at = 1 + seed % (probe.time - 1)
    starts = _with_start(starts, at)
    state, inputs = probe.used_state(seed), probe.inputs(seed)
    why = "the model would remember another episode, and learn from its future."
    advice = (
        f"starts[{at}] is true: put initial_state() in the place of the state before "
        f"input {at} is read, and cut windows, keys and scans there."
    )
    noise = 1e3 * np.random.default_rng(seed + 2).normal(size=inputs.shape)
    past = np.arange(probe.time)[:, None] < at
    disturbed = inputs + jnp.asarray(noise * past, inputs.dtype)
    for run in (probe.sequence, probe.scanned):
        last, outputs = run(state, inputs, starts)
        other_last, other_outputs = run(state, disturbed, starts)
        same(
            probe.tolerance,
            (last, outputs[at:]),
            (other_last, other_outputs[at:]),
            "two runs that differ only before a start",
            why,
            advice,
        )
    on_outputs, on_state = probe.weights(seed)
    weights = (jnp.where(jnp.asarray(past), 0.0, on_outputs), on_state)
    found = probe.gradients(state, inputs, starts, weights)
    zero(found["inputs"][:at], "to inputs before a start", why, advice)
    zero(found["state"], "to a state before a start", why, advice)


def causal(probe: Probe, starts: np.ndarray, seed: int) -> None:
    """No output depends on a later input."""
    at = 1 + seed % (probe.time - 1)
    state, inputs = probe.used_state(seed), probe.inputs(seed)
    why = "acting has no future to look at, so training on one is for nothing."
    advice = f"outputs before step {at} must not use inputs from {at} on; mind masks."
    future = jnp.arange(probe.time)[:, None] >= at
    other = jnp.where(future, -2 * inputs, inputs)
    same(
        probe.tolerance,
        probe.sequence(state, inputs, starts)[1][:at],
        probe.sequence(state, other, starts)[1][:at],
        "outputs under two different futures",
        why,
        advice,
    )
    on_outputs, on_state = probe.weights(seed)
    nothing = jax.tree.map(jnp.zeros_like, on_state)
    weights = (jnp.where(future, 0.0, on_outputs), nothing)
    found = probe.gradients(state, inputs, starts, weights)["inputs"][at:]
    zero(found, "from outputs to later inputs", why, advice)


def start_is_initial(probe: Probe, starts: np.ndarray, seed: int) -> None:
    """A used state at a start, and `initial_state()` without one, give the same."""
    inputs, used = probe.inputs(seed), probe.used_state(seed)
    initial = probe.model.initial_state()
    unmarked = starts.copy()
    unmarked[0] = False
    for run in (probe.sequence, probe.scanned):
        same(
            probe.tolerance,
            run(initial, inputs, unmarked),
            run(used, inputs, _with_start(starts, 0)),
            "beginning from initial_state(), and at a start,",
            "evaluation begins from the one, training episodes from the other.",
            "reset to initial_state() and to nothing else.",
        )


def gradients_agree(probe: Probe, starts: np.ndarray, seed: int) -> None:
    """Gradients are finite, and those of sequence and scanned step are the same."""
    state, inputs = probe.used_state(seed), probe.inputs(seed)
    weights = probe.weights(seed)
    found = probe.gradients(state, inputs, starts, weights)
    _finite(found, starts)
    if probe.model.card.gradient_stops != "nowhere":
        return
    stepped = probe.gradients(state, inputs, starts, weights, scanned=True)
    for name in found:
        same(
            probe.tolerance,
            found[name],
            stepped[name],
            f"gradients to {name} of the sequence and of the scanned step",
            "one of them is wrong.",
            "look for stop_gradient and custom derivatives; if gradients stop on "
            "purpose, say so in card.gradient_stops. Rounding does it where a norm of "
            "two or three numbers is nearly zero: check a wider model, or in float64.",
        )


def vmap_agrees(probe: Probe, starts: np.ndarray, seed: int) -> None:
    """A batch under vmap gives what each row gives alone."""
    half, state = probe.half, probe.used_state(seed)
    inputs = probe.inputs(seed)
    rows = jnp.stack([inputs[:half], inputs[half:]])
    flags = np.stack([starts[:half], starts[half:]])
    batch = _batched(probe.model, state, rows, jnp.asarray(flags))
    for row in range(2):
        same(
            probe.tolerance,
            probe.sequence(state, rows[row], flags[row]),
            jax.tree.map(lambda leaf, row=row: leaf[row], batch),
            "one stream alone, and in a batch under vmap,",
            "batches are made by vmap.",
            "write the model for one stream, without Python branches on values.",
        )


PROPERTIES: dict[str, Property] = {
    check.__name__: check
    for check in (
        step_equals_sequence,
        poison_heals,
        episodes_are_separate,
        causal,
        start_is_initial,
        gradients_agree,
        vmap_agrees,
    )
}

_batched = eqx.filter_jit(
    lambda model, state, inputs, starts: jax.vmap(model, in_axes=(None, 0, 0))(
        state, inputs, starts
    )
)


def _finite(found: dict[str, Any], starts: np.ndarray) -> None:
    """Refuse gradients that are not finite."""
    for name, tree in found.items():
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree)):
            fail(
                f"Gradients to {name} are not finite, given starts at the steps "
                f"{np.flatnonzero(starts)}.",
                "one such update destroys all parameters.",
                "look for where() with an infinite unchosen branch, a logarithm or a "
                "norm of zero, a softmax over nothing.",
            )


def _with_start(starts: np.ndarray, at: int) -> np.ndarray:
    starts = starts.copy()
    starts[at] = True
    return starts
