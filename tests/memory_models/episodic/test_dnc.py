"""The neural computer against its equations, slot by slot."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.memory_models.episodic import loops

SLOTS, SIZE, READS, HIDDEN = 5, 3, 2, 4


def make():
    model = loops.make(
        "dnc", num_slots=SLOTS, slot_size=SIZE, num_reads=READS, hidden_size=HIDDEN
    )
    return loops.perturbed(model)


def content(memory, key, strength):
    rows = memory / np.sqrt((memory**2).sum(1, keepdims=True) + 1e-6)
    similar = rows @ key / np.sqrt(key @ key + 1e-6)
    return loops.softmax(np.logaddexp(0, strength) * similar)


def allocate(usage, ranked):
    """Slots in the order of `ranked`, their usage up to rounding."""
    used, result, product = 1e-6 + (1 - 1e-6) * usage, np.zeros(SLOTS), 1.0
    for slot in sorted(range(SLOTS), key=lambda i: (np.round(ranked[i] * 2**16), i)):
        result[slot] = (1 - used[slot]) * product
        product *= used[slot]
    return result


class Computer:
    """The state, and one step after another."""

    def __init__(self):
        self.h, self.c = np.zeros(HIDDEN), np.zeros(HIDDEN)
        self.memory, self.link = np.zeros((SLOTS, SIZE)), np.zeros((SLOTS, SLOTS))
        self.usage, self.write = np.zeros(SLOTS), np.zeros(SLOTS)
        self.precedence, self.reads = np.zeros(SLOTS), np.zeros((READS, SLOTS))
        self.found = np.zeros(READS * SIZE)

    def controller(self, model, x):
        gates = loops.linear(model.project, x)
        gates = gates + loops.linear(
            model.recurrent, np.concatenate([self.found, self.h])
        )
        i, f, g, o = np.split(gates, 4)
        self.c = loops.sigmoid(f) * self.c + loops.sigmoid(i) * np.tanh(g)
        self.h = loops.sigmoid(o) * np.tanh(self.c)
        sizes = [READS * SIZE, READS, SIZE, 1, SIZE, SIZE, READS, 1, 1]
        return np.split(loops.linear(model.interface, self.h), np.cumsum(sizes))

    def step(self, model, x, ranked=None):
        parts = self.controller(model, x)
        read_keys, modes = parts[0].reshape(READS, SIZE), parts[9].reshape(READS, 3)
        free = loops.sigmoid(parts[6])
        self.usage = self.usage + self.write - self.usage * self.write
        for head in range(READS):
            self.usage = self.usage * (1 - free[head] * self.reads[head])
        ga, gw = loops.sigmoid(parts[7]), loops.sigmoid(parts[8])
        match = content(self.memory, parts[2], parts[3])
        ranked = self.usage if ranked is None else ranked
        self.write = gw * (ga * allocate(self.usage, ranked) + (1 - ga) * match)
        erase = loops.sigmoid(parts[4])
        for slot, weight in enumerate(self.write):
            kept = self.memory[slot] * (1 - weight * erase)
            self.memory[slot] = kept + weight * parts[5]
        for i in range(SLOTS):
            for j in range(SLOTS):
                kept = (1 - self.write[i] - self.write[j]) * self.link[i, j]
                new = self.write[i] * self.precedence[j]
                self.link[i, j] = 0 if i == j else kept + new
        self.precedence = (1 - self.write.sum()) * self.precedence + self.write
        for head in range(READS):
            backward = self.link.T @ self.reads[head]
            forward = self.link @ self.reads[head]
            match = content(self.memory, read_keys[head], parts[1][head])
            mode = loops.softmax(modes[head])
            self.reads[head] = mode @ np.stack([backward, forward, match])
        self.found = (self.reads @ self.memory).ravel()
        return np.concatenate([self.h, self.found])


def reference(model, inputs, starts, usages=None):
    """With `usages`, slots are ordered by these instead of the loop's own."""
    computer, outputs = Computer(), []
    usages = [None] * len(inputs) if usages is None else usages
    for x, start, ranked in zip(inputs, starts, usages, strict=True):
        computer = Computer() if start else computer
        both = computer.step(model, x, ranked)
        outputs.append(loops.layer_norm(loops.linear(model.read, both)))
    return np.array(outputs)


def test_outputs_are_those_of_the_equations(x64):
    loops.compare(make(), reference, time=60)


def test_weights_stay_weights():
    model = make()
    model = jax.tree.map(lambda x: 3 * x if hasattr(x, "shape") else x, model)
    inputs, _ = loops.data(1_000)
    state, _ = loops.run(
        model,
        model.initial_state(),
        jnp.asarray(inputs, jnp.float32),
        jnp.zeros(1_000, bool),
    )
    assert state.usage.min() >= 0 and state.usage.max() <= 1
    assert state.link.min() >= 0 and state.link.sum(1).max() <= 1 + 1e-5
    assert state.reads.sum(1).max() <= 1 + 1e-5
    assert 0 < state.write.sum() <= 1 + 1e-5


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    """In which order slots are free can hang on the last bit: it is the model's."""
    model = make()
    inputs, starts = loops.long_data(time)

    def body(state, element):
        state, output = model.step(state, *element)
        return state, (output, state.usage)

    @jax.jit
    def steps(inputs, starts):
        return jax.lax.scan(body, model.initial_state(), (inputs, starts))[1]

    outputs, usages = steps(jnp.asarray(inputs), jnp.asarray(starts))
    expected = reference(
        loops.in_numpy(model), loops.double(inputs), starts, np.asarray(usages)
    )
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("option", ["num_slots", "num_reads", "hidden_size"])
def test_sizes_without_meaning_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}=0"):
        loops.make("dnc", **{option: 0})
