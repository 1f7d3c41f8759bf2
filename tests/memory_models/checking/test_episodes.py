"""Each way of starting an episode wrongly has a sentence of its own."""

import time

import jax
import jax.numpy as jnp
import pytest

from memory_models import CheckError, check_memory, select_state
from memory_models.checking.compiling import build_quickly
from tests.memory_models.checking.test_checker import (
    DropsAnOutput,
    ForgetsTheEnteringState,
    HasNoCard,
    IgnoresStarts,
    LeaksByMultiplying,
    NarrowsItsState,
    ResetsAfterReading,
    ResetsToSomethingElse,
    SeesTheFuture,
    Sound,
    StartsLateInSequences,
)


class ResetsHalf(Sound):
    def reset(self, state, start):
        first = jnp.arange(state.size, dtype=jnp.int32) < 1
        return jnp.where(start & first, 0.0, state)


class ResetsOnePart(Sound):
    """Of two arrays; the other goes on counting."""

    def initial_state(self):
        return {"value": super().initial_state(), "sum": super().initial_state()}

    def advance(self, state, input, start):
        value = select_state(start, jnp.zeros_like(input), state["value"])
        state = {"value": jnp.tanh(value + input), "sum": state["sum"] + input}
        return state, state["value"] + 0.1 * state["sum"]


class DividesByTheStep(Sound):
    """Nothing over nothing at the first step."""

    def advance(self, state, input, start):
        state, output = super().advance(state, input, start)
        return state, output * (0 / (1 - start.astype(output.dtype)))


class StepsDifferently(Sound):
    def step(self, state, input, start):
        state, output = super().step(state, input, start)
        return state, 1.1 * output


class NeverResetsInSteps(Sound):
    def step(self, state, input, start):
        return self.advance(state, input, jnp.zeros_like(start))


class HoldsAPythonNumber(Sound):
    def initial_state(self):
        return {"value": super().initial_state(), "time": 0}


class GivesOutputsWithoutTime(Sound):
    def __call__(self, state, inputs, starts):
        state, outputs = super().__call__(state, inputs, starts)
        return state, outputs[-1]


class ReturnsTheWrongWayRound(Sound):
    def __call__(self, state, inputs, starts):
        return super().__call__(state, inputs, starts)[::-1]


class ReturnsThree(Sound):
    def __call__(self, state, inputs, starts):
        return *super().__call__(state, inputs, starts), {}


class StepsWithTime(Sound):
    def step(self, state, input, start):
        return self(state, input[None], start[None])


class GivesWholeNumbers(Sound):
    def __call__(self, state, inputs, starts):
        state, outputs = super().__call__(state, inputs, starts)
        return state, outputs.astype(jnp.int32)


FAULTS = {
    IgnoresStarts: ("__call__", "__call__ never resets: a start changes nothing."),
    NeverResetsInSteps: ("step", "step never resets: a start changes nothing."),
    LeaksByMultiplying: ("__call__", "resets by a product instead of a choice"),
    ResetsAfterReading: ("__call__", "__call__ resets one step late"),
    StartsLateInSequences: ("__call__", "__call__ resets one step late"),
    ResetsHalf: ("__call__", "only a part of the state: 2 of the 3 numbers"),
    ResetsOnePart: ("__call__", r"3 of the 6 .* number 0 of the state\['sum'\] for"),
    ResetsToSomethingElse: ("__call__", "something other than initial_state"),
    StepsDifferently: ("step", "step and __call__ differ from step 0 on"),
    ForgetsTheEnteringState: ("step", "step and __call__ differ from step 0 on"),
    SeesTheFuture: ("__call__", "__call__ sees the future"),
    DividesByTheStep: ("__call__", "gives nan at step 0 of an episode, in 3 of 3"),
    HoldsAPythonNumber: ("initial_state", r"\['time'\] holds 0, a Python int"),
    GivesOutputsWithoutTime: ("__call__", r"1 inputs give outputs of shape \(3,\), n"),
    ReturnsTheWrongWayRound: ("__call__", r"\(outputs, state\), the wrong way round"),
    ReturnsThree: ("__call__", "returns 3 values, not two"),
    StepsWithTime: ("step", r"A step gives an output of shape \(1, 3\)"),
    GivesWholeNumbers: ("__call__", r"returns outputs that are int32\[1, 3\]"),
    NarrowsItsState: ("__call__", r"changes in a call .* from float32\[3\] to float1"),
    DropsAnOutput: ("__call__", r"1 inputs give outputs of shape \(0, 3\)"),
    HasNoCard: ("card", "not a Card"),
}


@pytest.mark.parametrize("broken", FAULTS, ids=lambda kind: kind.__name__)
def test_the_fast_form_names_the_cause(broken):
    method, sentence = FAULTS[broken]
    with pytest.raises(CheckError, match=sentence) as caught:
        check_memory(broken(jnp.full(3, 0.7)), input_size=3, half=5, fast=True)
    assert caught.value.method == method
    assert caught.value.wrong.endswith(".") and ". " not in caught.value.wrong
    assert str(caught.value) == f"{caught.value.wrong} {caught.value.rest}"


def test_the_whole_check_names_the_cause_too():
    with pytest.raises(CheckError, match="never resets"):
        check_memory(IgnoresStarts(jnp.full(3, 0.7)), input_size=3, half=5)


def test_a_sound_model_passes_in_seconds():
    """Processor time, so that a busy machine does not matter."""
    began = time.process_time()
    model = build_quickly(lambda key: Sound(jax.random.uniform(key, (64,))), KEY)
    check_memory(model, input_size=64, fast=True)
    assert time.process_time() - began < 4


KEY = jax.random.key(0)
