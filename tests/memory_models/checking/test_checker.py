"""Every guarantee of the checker is broken once, by a model that breaks only that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from memory_models import Card, CheckError, MemoryModel, check_memory, select_state
from memory_models.checking.checker import start_patterns
from memory_models.checking.probe import make_probe
from memory_models.checking.properties import PROPERTIES
from memory_models.checking.structure import fixed_structure


class Sound(MemoryModel):
    """h = tanh(rate * h + x), reset with where."""

    rate: jax.Array
    gradient_stops: str = "nowhere"

    def initial_state(self):
        return jnp.zeros_like(self.rate)

    def reset(self, state, start):
        return select_state(start, self.initial_state(), state)

    def advance(self, state, input, start):
        state = jnp.tanh(self.rate * self.reset(state, start) + input)
        return state, state

    def __call__(self, state, inputs, starts):
        def body(state, element):
            return self.advance(state, *element)

        return jax.lax.scan(body, state, (inputs, starts))

    @property
    def card(self):
        return Card("none", "cell scan", None, self.gradient_stops)


class LeaksByMultiplying(Sound):
    def reset(self, state, start):
        return state * (1 - start.astype(state.dtype))


class IgnoresStarts(Sound):
    def reset(self, state, start):
        return state


class ResetsAfterReading(Sound):
    """One step late: the first output of an episode still sees the one before."""

    def advance(self, state, input, start):
        state = jnp.tanh(self.rate * state + input)
        return self.reset(state, start), state


class StartsLateInSequences(Sound):
    def __call__(self, state, inputs, starts):
        late = jnp.concatenate([jnp.zeros_like(starts[:1]), starts[:-1]])
        return super().__call__(state, inputs, late)

    def step(self, state, input, start):
        return self.advance(state, input, start)


class ForgetsTheEnteringState(Sound):
    def __call__(self, state, inputs, starts):
        return super().__call__(self.initial_state(), inputs, starts)

    def step(self, state, input, start):
        return self.advance(state, input, start)


class SeesTheFuture(Sound):
    def __call__(self, state, inputs, starts):
        state, outputs = super().__call__(state, inputs, starts)
        return state, outputs + outputs[-1:]


class GradientFromTheFuture(Sound):
    """The value is right, the gradient is not."""

    def __call__(self, state, inputs, starts):
        state, outputs = super().__call__(state, inputs, starts)
        ghost = outputs[-1:] - jax.lax.stop_gradient(outputs[-1:])
        return state, outputs + ghost


class NarrowsItsState(Sound):
    def __call__(self, state, inputs, starts):
        state, outputs = super().__call__(state, inputs, starts)
        return state.astype(jnp.float16), outputs


class DropsAnOutput(Sound):
    def __call__(self, state, inputs, starts):
        state, outputs = super().__call__(state, inputs, starts)
        return state, outputs[:-1]


class ResetsToSomethingElse(Sound):
    def reset(self, state, start):
        return select_state(start, jnp.full_like(state, 0.5), state)


class StopsGradients(Sound):
    def __call__(self, state, inputs, starts):
        return super().__call__(jax.lax.stop_gradient(state), inputs, starts)

    def step(self, state, input, start):
        return self.advance(state, input, start)


class InfiniteGradient(Sound):
    def advance(self, state, input, start):
        state, output = super().advance(state, input, start)
        return state, output + jnp.sqrt(jnp.abs(0.0 * output))


class HasNoCard(Sound):
    @property
    def card(self):
        return "a GRU"


@jax.custom_batching.custom_vmap
def doubled_in_a_batch(x):
    return x


@doubled_in_a_batch.def_vmap
def _(axis_size, in_batched, x):
    return 2 * x, in_batched[0]


class DiffersInBatches(Sound):
    def __call__(self, state, inputs, starts):
        return super().__call__(state, doubled_in_a_batch(inputs), starts)


BROKEN = [
    (LeaksByMultiplying, "poison_heals", "never multiply it by"),
    (IgnoresStarts, "poison_heals", "state full of nan"),
    (IgnoresStarts, "episodes_are_separate", "differ only before a start"),
    (ResetsAfterReading, "episodes_are_separate", "is read"),
    (StartsLateInSequences, "step_equals_sequence", "Step and sequence differ"),
    (ForgetsTheEnteringState, "step_equals_sequence", "what is trained on"),
    (SeesTheFuture, "causal", "two different futures"),
    (GradientFromTheFuture, "causal", "gradient from outputs to later inputs"),
    (NarrowsItsState, "fixed_structure", "float16"),
    (DropsAnOutput, "fixed_structure", "one output per input"),
    (HasNoCard, "fixed_structure", "not a Card"),
    (ResetsToSomethingElse, "start_is_initial", "reset to initial_state"),
    (StopsGradients, "gradients_agree", "gradient_stops"),
    (InfiniteGradient, "gradients_agree", "not finite"),
    (DiffersInBatches, "vmap_agrees", "in a batch under vmap"),
]


def run(check, model):
    probe = make_probe(model, input_size=3, half=5, seed=0)
    if check == "fixed_structure":
        fixed_structure(probe)
        return
    for starts in start_patterns(probe.time, seed=0):
        PROPERTIES[check](probe, starts, 0)


@pytest.mark.parametrize("broken,check,message", BROKEN)
def test_a_broken_model_is_told_what_is_wrong(broken, check, message):
    with pytest.raises(CheckError, match=message) as caught:
        run(check, broken(jnp.full(3, 0.7)))
    assert "Why it matters: " in str(caught.value)
    assert "What to do: " in str(caught.value)


def test_every_guarantee_is_broken_by_some_model():
    assert {check for _, check, _ in BROKEN} == {*PROPERTIES, "fixed_structure"}


def test_a_sound_model_passes_and_its_input_size_is_found():
    check_memory(Sound(jnp.full(3, 0.7)), input_size=3, half=5)
    check_memory(Sound(jnp.full(3, 0.7)), half=5)


def test_gradients_may_stop_where_the_card_says_so():
    run("gradients_agree", StopsGradients(jnp.full(3, 0.7), "at the entering state"))


def test_check_memory_reports_broken_models():
    with pytest.raises(CheckError, match="Gradients to inputs are not finite"):
        check_memory(InfiniteGradient(jnp.full(3, 0.7)), input_size=3, half=5)
    with pytest.raises(CheckError, match="never multiply"):
        check_memory(LeaksByMultiplying(jnp.full(3, 0.7)), input_size=3, half=5)


def test_an_input_size_that_cannot_be_told_is_asked_for():
    with pytest.raises(CheckError, match=r"pass check_memory\(model, input_size"):
        check_memory(Sound(jnp.full((), 0.7)))


def test_parameters_are_checked_a_little_off_their_initial_values():
    model = memory_models.make(
        "gru", input_size=3, output_size=4, key=jax.random.key(0)
    )
    probe = make_probe(model, input_size=None, half=5, seed=0)
    assert probe.input_size == 3
    assert np.abs(probe.model.project.bias).max() > 0
