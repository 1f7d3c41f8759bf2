"""A memory in the place of an LSTM: its sequences, starts, padding and refusals."""

import copy

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import memory_models
from agents.sb3.core import MemoryCore, round_up
from tests.agents.sb3.modules import Multiplies, NeverResets, TorchGRU, Transposed

STREAMS, TIME, INPUTS, OUTPUTS = 3, 7, 4, 6

SMALL = {
    "gru": {"learned_initial_state": True},
    "ffm": {"memory_size": 4, "context_size": 2},
    "attention": {"window": 5, "num_heads": 2, "head_size": 4},
    "frame_stack": {},
    "none": {},
}
"""States of floats, of counters, of flags, and of nothing."""


def core_of(memory, options=None, seed=0):
    torch.manual_seed(seed)
    options = SMALL.get(memory, {}) if options is None else options
    core = MemoryCore(memory, options, INPUTS, OUTPUTS)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return core


def played(core, time=TIME, streams=STREAMS, seed=1):
    """Features, starts and entering states as a minibatch has them."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(streams * time, INPUTS, generator=generator)
    starts = torch.rand(streams, time, generator=generator) < 0.3
    starts[0] = False
    with torch.no_grad():
        states = (torch.zeros(1, streams, core.hidden_size),) * 2
        ones = torch.ones(streams)
        for _ in range(3):  # each stream is some steps into an episode
            step = torch.randn(streams, INPUTS, generator=generator)
            states = core(step, states, ones)[1]
            ones = torch.zeros(streams)
    return features, states, starts.flatten().float()


def loop(core, features, states, starts):
    """The same, with the model itself: one stream and one step at a time, in JAX."""
    model = core.module.model()
    entering = core.packing.unpack(states)
    streams = states[0].shape[1]
    features, starts = (
        features.reshape(streams, -1, INPUTS),
        starts.reshape(streams, -1),
    )
    step = eqx.filter_jit(lambda state, x: model(state, x[None], jnp.zeros(1, bool)))
    outputs = []
    for i in range(streams):
        state = jax.tree.map(lambda x, i=i: jnp.asarray(x[i].numpy()), entering)
        for x, start in zip(features[i].numpy(), starts[i], strict=True):
            state = model.initial_state() if start else state
            state, output = step(state, jnp.asarray(x))
            outputs.append(np.asarray(output[0]))
    return np.stack(outputs)


@pytest.mark.parametrize("memory", SMALL)
def test_sequences_are_those_of_a_loop_over_steps(memory):
    """In a minibatch, which is padded, and without gradients, where it is not."""
    core = core_of(memory)
    features, states, starts = played(core)
    expected = loop(core, features, states, starts)
    trained = core(features, states, starts)[0]
    with torch.no_grad():
        plain = core(features, states, starts)[0]
    np.testing.assert_allclose(trained.detach().numpy(), expected, atol=2e-5)
    np.testing.assert_allclose(plain.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("memory", ["gru", "attention", TorchGRU])
def test_steps_are_the_sequence(memory):
    """As a rollout takes them: packed and unpacked at every step."""
    core = core_of(memory, SMALL.get(memory, {}))
    features, states, starts = played(core)
    with torch.no_grad():
        expected, last = core(features, states, starts)
        outputs = []
        for t in range(TIME):
            x = features.reshape(STREAMS, TIME, INPUTS)[:, t]
            start = starts.reshape(STREAMS, TIME)[:, t]
            output, states = core(x, states, start)
            outputs.append(output)
    found = torch.stack(outputs, 1).reshape(-1, OUTPUTS)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    for one, other in zip(states, last, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=0)


def test_padding_changes_no_gradient():
    """4 steps of 5 streams are computed as 4 of 6; those of one stream as they are."""
    core = core_of("gru")
    features, states, starts = played(core, time=4, streams=5)
    weights = torch.randn(5 * 4, OUTPUTS, generator=torch.Generator().manual_seed(2))

    def gradients(outputs, weights):
        core.zero_grad()
        (outputs * weights).sum().backward()
        return {name: p.grad.clone() for name, p in core.named_parameters()}

    whole = gradients(core(features, states, starts)[0], weights)
    parts = []
    for i in range(5):
        rows = slice(4 * i, 4 * i + 4)
        one = tuple(x[:, i : i + 1].contiguous() for x in states)
        outputs = core(features[rows], one, starts[rows])[0]
        parts.append(gradients(outputs, weights[rows]))
    for name, found in whole.items():
        total = sum(part[name] for part in parts)
        torch.testing.assert_close(found, total, atol=1e-4, rtol=1e-4)


def test_few_shapes_are_compiled(monkeypatch):
    """Minibatches of sb3-contrib differ from one to the next."""
    sizes = sorted({round_up(count) for count in range(1, 129)})
    assert sizes == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128]
    assert all(n <= round_up(n) <= 1.5 * n for n in range(1, 1000))
    core, shapes = core_of("gru"), set()
    original = core.module.forward
    monkeypatch.setattr(
        core.module,
        "forward",
        lambda inputs, *rest: (
            shapes.add(tuple(inputs.shape)) or original(inputs, *rest)
        ),
    )
    for streams, time in ((5, 7), (6, 8), (6, 7), (5, 8)):
        states = (torch.zeros(1, streams, core.hidden_size),) * 2
        outputs, _ = core(
            torch.zeros(streams * time, INPUTS), states, torch.ones(streams * time)
        )
        assert outputs.shape == (streams * time, OUTPUTS)
    assert shapes == {(8, 6, INPUTS)}


@pytest.mark.parametrize("memory", ["gru", "ffm", "attention", TorchGRU])
def test_what_is_not_finite_ends_with_its_episode(memory):
    """Sequences of a minibatch start episodes at their first step or not at all."""
    core = core_of(memory, SMALL.get(memory, {}))
    features, states, _ = played(core, time=2)
    starts = torch.tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    dead = core.packing.unpack(states)
    poisoned = jax.tree.map(
        lambda x: torch.full_like(x, torch.nan) if x.is_floating_point() else x, dead
    )
    poisoned = core.packing.pack(poisoned, STREAMS)
    with torch.no_grad():
        outputs, _ = core(features, poisoned, starts.flatten())
    finite = torch.isfinite(outputs).all(1).reshape(STREAMS, 2)
    assert finite.tolist() == [[True, True], [False, False], [True, True]]


def test_weights_follow_torchs_seed_and_differ_between_twins():
    cores = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        cores.append(MemoryCore("gru", {}, INPUTS, OUTPUTS))
    first, again, other = (core.module.project_weight for core in cores)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    core, twin = cores[0], cores[0].twin()
    assert twin.module._program is core.module._program
    ours = dict(core.module.named_parameters())
    for name, parameter in twin.module.named_parameters():
        assert parameter is not ours[name]
    assert not torch.equal(twin.module.project_weight, first)


def test_a_class_of_memory_models_needs_no_name():
    key = jax.random.key(0)
    kind = type(memory_models.make("gru", input_size=2, output_size=2, key=key))
    torch.manual_seed(0)
    core = MemoryCore(kind, {}, INPUTS, OUTPUTS)
    assert core.crosses
    assert isinstance(core.module.model(), kind)


def test_modules_that_cannot_be_used_are_refused():
    def make(memory, options=None):
        return MemoryCore(memory, options, INPUTS, OUTPUTS)

    assert not make(TorchGRU, {"scale": 2.0}).crosses
    for wrong in (Multiplies, NeverResets):
        with pytest.raises(ValueError, match="does not begin anew where starts"):
            make(wrong)
    with pytest.raises(ValueError, match=r"gave outputs of shape \(3, 1, 6\)"):
        make(Transposed)
    with pytest.raises(ValueError, match="built already"):
        make(TorchGRU(INPUTS, OUTPUTS))
    with pytest.raises(ValueError, match="Did you mean 'gru'"):
        make("grru")
    with pytest.raises(ValueError, match="no option"):
        make("gru", {"size": 3})
    with pytest.raises(ValueError, match="must be a name"):
        make(3)
    with pytest.raises(ValueError, match="made a dict"):
        make(dict)
    with pytest.raises(ValueError, match="is called with input_size"):
        make(torch.nn.GRU)
    with jax.enable_x64(True), pytest.raises(ValueError, match="float64"):
        make("gru")


def test_a_core_can_be_copied():
    core = core_of(TorchGRU, {})
    assert copy.deepcopy(core).hidden_size == core.hidden_size == OUTPUTS // 2
