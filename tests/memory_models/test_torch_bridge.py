"""Memory models as torch modules: the same numbers, and no array read too late."""

import copy
import io
import pickle
import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import memory_models
from memory_models import torch_bridge
from memory_models.torch_bridge import TorchMemory
from tests.memory_models.recurrences import test_gru, test_lstm
from tests.memory_models.recurrences.torch_recurrence import (
    HIDDEN,
    INPUTS,
    START,
    TIME,
    make,
)

BATCH = 3


@pytest.mark.parametrize(
    ("name", "kind", "transplant", "gradients_of"),
    [
        ("gru", torch.nn.GRU, test_gru.transplant, test_gru.gradients_of),
        ("lstm", torch.nn.LSTM, test_lstm.transplant, test_lstm.gradients_of),
    ],
)
def test_outputs_and_gradients_are_those_of_torch(
    x64, name, kind, transplant, gradients_of
):
    torch.manual_seed(0)
    reference = kind(INPUTS, HIDDEN).double()
    named = dict(reference.named_parameters())
    weights = {k: jnp.asarray(v.detach().numpy()) for k, v in named.items()}
    module = TorchMemory(transplant(make(name), weights))

    inputs = torch.randn(TIME, BATCH, INPUTS, dtype=torch.float64)
    cotangents = torch.randn(TIME, BATCH, HIDDEN, dtype=torch.float64)
    ours, theirs = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()
    starts = torch.zeros(TIME, BATCH, dtype=torch.bool)
    starts[0] = starts[START] = True
    outputs, _ = module(ours, starts)
    (outputs * cotangents).sum().backward()
    expected = torch.cat([reference(theirs[:START])[0], reference(theirs[START:])[0]])
    (expected * cotangents).sum().backward()

    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=0, atol=1e-12)
    by_name = {k: jnp.asarray(p.grad.numpy()) for k, p in module.named_parameters()}
    found = module._program.assembled([by_name[n] for n in module._program.names])
    grads = {k: jnp.asarray(v.grad.numpy()) for k, v in named.items()}
    for one, other in gradients_of(found, grads):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_calls_steps_and_the_model_given_back_agree():
    """With a state that has flags in it, and in float32."""
    module = TorchMemory(
        memory_models.make(
            "frame_stack", input_size=INPUTS, output_size=8, key=jax.random.key(0)
        )
    )
    inputs = torch.randn(6, BATCH, INPUTS)
    starts = torch.rand(6, BATCH) < 0.3
    whole, last = module(inputs, starts, module.initial_state(BATCH))
    state, outputs = module.initial_state(BATCH), []
    for now, start in zip(inputs, starts, strict=True):
        output, state = module.step(now, start, state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs), whole)
    assert state[1].dtype == torch.bool and not state[1].requires_grad
    for one, other in zip(state, last, strict=True):
        torch.testing.assert_close(one, other)

    with torch.no_grad():
        module.second_bias += 1.0
    model = module.model()
    again = jax.vmap(model, in_axes=(None, 1, 1), out_axes=(0, 1))(
        model.initial_state(), jnp.asarray(inputs.numpy()), jnp.asarray(starts.numpy())
    )[1]
    np.testing.assert_allclose(module(inputs, starts)[0].detach(), again, atol=1e-5)


def test_where_no_starts_are_given_only_a_missing_state_is_one():
    """The first step of a call without a state starts, and nothing else does."""
    module = TorchMemory(
        memory_models.make(
            "gru", input_size=INPUTS, output_size=4, key=jax.random.key(0)
        )
    )
    inputs = torch.randn(5, BATCH, INPUTS)
    starts = torch.zeros(5, BATCH, dtype=torch.bool)
    starts[0] = True
    whole, _ = module(inputs, starts)
    torch.testing.assert_close(module(inputs)[0], whole)
    first, state = module(inputs[:2])
    torch.testing.assert_close(first, whole[:2])
    torch.testing.assert_close(module(inputs[2:], state=state)[0], whole[2:])
    first, state = module.step(inputs[0])
    torch.testing.assert_close(first, whole[0])
    torch.testing.assert_close(module.step(inputs[1], state=state)[0], whole[1])


def test_gradients_reach_an_earlier_call_through_the_state():
    module = TorchMemory(make("gru"))
    inputs = torch.randn(4, BATCH, INPUTS, requires_grad=True)
    _, state = module(inputs)
    outputs, _ = module(torch.randn(2, BATCH, INPUTS), None, state)
    outputs.sum().backward()
    assert (inputs.grad != 0).all()


def descend(model, steps, rate, kind=TorchMemory):
    """Plain gradient descent in torch, `step()` right after `backward()`."""
    module = kind(model)
    optimizer = torch.optim.SGD(module.parameters(), lr=rate)
    inputs, targets, starts = problem(next(iter(module.parameters())).dtype)
    for _ in range(steps):
        outputs, _ = module(inputs, starts)
        loss = (outputs - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return jax.tree.leaves(eqx.filter(module.model(), eqx.is_array))


def problem(dtype):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(16, 8, INPUTS, generator=generator, dtype=dtype)
    targets = torch.randn(16, 8, HIDDEN, generator=generator, dtype=dtype)
    starts = torch.rand(16, 8, generator=generator) < 0.2
    starts[0] = True
    return inputs, targets, starts


def pure_loop(model, steps, rate):
    """The same in JAX alone."""
    dtype = jnp.zeros(0, float).dtype
    kind = torch.float64 if dtype == jnp.float64 else torch.float32
    inputs, targets, starts = (jnp.asarray(x.numpy()) for x in problem(kind))
    arrays, rest = eqx.partition(model, eqx.is_inexact_array)

    def loss(arrays):
        model = eqx.combine(arrays, rest)
        entering = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (8, *x.shape)), model.initial_state()
        )
        entering = jax.lax.stop_gradient(entering)
        outputs = jax.vmap(model, in_axes=(0, 1, 1), out_axes=(0, 1))(
            entering, inputs, starts
        )[1]
        return jnp.square(outputs - targets).mean()

    @jax.jit
    def all_steps(arrays):
        def body(_, arrays):
            gradient = jax.grad(loss)(arrays)
            return jax.tree.map(lambda p, g: p - rate * g, arrays, gradient)

        return jax.lax.fori_loop(0, steps, body, arrays)

    return jax.tree.leaves(all_steps(arrays))


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "torch.save": lambda module: through_a_file(module),
}


def through_a_file(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_computes_the_same_with_parameters_of_its_own(way):
    module = TorchMemory(make("gru"))
    inputs = torch.randn(4, BATCH, INPUTS)
    before = module(inputs)[0].detach()
    copied = COPIES[way](module)
    torch.testing.assert_close(copied(inputs)[0], before)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.mul_(0.5)
    torch.testing.assert_close(module(inputs)[0], before)
    assert (copied(inputs)[0] - before).abs().max() > 1e-3
    copied(inputs)[0].sum().backward()
    assert all(p.grad is not None for p in copied.parameters())
    assert all(p.grad is None for p in module.parameters())
    copied.load_state_dict(module.state_dict())
    torch.testing.assert_close(copied(inputs)[0], before)


def test_a_deep_copy_compiles_nothing_again():
    module = TorchMemory(make("gru"))
    assert copy.deepcopy(module)._program is module._program


def test_models_with_compiled_functions_among_their_fields_are_pickled():
    model = memory_models.make(
        "transformer_xl", input_size=INPUTS, output_size=8, key=jax.random.key(0)
    )
    copied = pickle.loads(pickle.dumps(TorchMemory(model)))
    assert jax.tree.structure(copied.model()) == jax.tree.structure(model)


def test_it_prints_what_it_is():
    model = make("gru")
    count = memory_models.parameter_count(model)
    expected = f"TorchMemory(GatedRecurrentUnit, {count:,} parameters: project_weight=["
    assert repr(TorchMemory(model)).startswith(expected)


def distance(one, other):
    return max(
        float(np.abs(np.asarray(a) - np.asarray(b)).max())
        for a, b in zip(one, other, strict=True)
    )


def test_a_thousand_steps_are_those_of_a_pure_loop(x64):
    model = make("gru")
    start = jax.tree.leaves(eqx.filter(model, eqx.is_array))
    expected = pure_loop(model, 1000, 0.1)
    assert distance(start, expected) > 0.1
    assert distance(descend(model, 1000, 0.1), expected) < 1e-5


def test_a_lost_wait_would_be_seen(monkeypatch):
    """Planted: a gradient's copy arrives a moment after the tensor that holds it."""
    model = make("gru")
    expected = pure_loop(model, 100, 0.1)
    assert distance(descend(model, 100, 0.1), expected) < 1e-4
    copied = torch_bridge.to_torch

    def late(array):
        value = copied(array)
        held = torch.zeros_like(value)
        threading.Timer(1e-3, held.copy_, (value,)).start()
        return held

    class Late(TorchMemory):
        def forward(self, *arguments):
            monkeypatch.setattr(torch_bridge, "to_torch", copied)
            result = super().forward(*arguments)
            monkeypatch.setattr(torch_bridge, "to_torch", late)  # for backward
            return result

    found = descend(model, 100, 0.1, Late)
    assert distance(found, expected) > 1e-2


def test_what_torch_cannot_do_is_said_in_a_sentence():
    module = TorchMemory(make("gru"))
    inputs = torch.randn(4, BATCH, INPUTS, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"torch\.func: call it outside of grad"):
        torch.func.grad(lambda x: module(x)[0].sum())(inputs)
    outputs, _ = module(inputs)
    with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
        torch.autograd.grad(outputs.sum(), inputs, create_graph=True)
    with pytest.raises(ValueError, match=r"shape \(4, 3\)"):
        module(inputs[..., 0])
    with pytest.raises(ValueError, match=r"starts of shape \(4,\)"):
        module(inputs, torch.zeros(4, dtype=torch.bool))


@pytest.mark.filterwarnings("ignore")
def test_torch_compile_goes_around_it():
    module = TorchMemory(make("gru"))
    inputs = torch.randn(4, BATCH, INPUTS)
    around = torch.compile(lambda x: module(x)[0] * 2, backend="eager")
    torch.testing.assert_close(around(inputs), 2 * module(inputs)[0])
    whole = torch.compile(lambda x: module(x)[0], backend="eager", fullgraph=True)
    with pytest.raises(Exception, match="leave fullgraph out"):
        whole(inputs)
