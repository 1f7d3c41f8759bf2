"""What models compute on accelerators: as on a CPU, in fewer kernels."""

import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from tests.memory_models.programs import SIZE, gradient_program, loops, stores

TIME = 40


@pytest.fixture
def as_on_an_accelerator(monkeypatch):
    """Compile, on this CPU, what an accelerator would be given."""

    def accelerator(*arguments, cpu, default):
        del cpu
        return default(*arguments)

    monkeypatch.setattr(jax.lax, "platform_dependent", accelerator)


def outputs_and_gradients(name):
    """Of a model in float64 over a sequence with starts, in a used state."""
    model = memory_models.builder(name, output_size=SIZE)(SIZE, key=jax.random.key(0))
    generator = np.random.default_rng(0)
    inputs = jnp.asarray(generator.normal(size=(2, TIME, SIZE)))
    starts = jnp.asarray(np.isin(np.arange(2 * TIME), [3, 4, 11, TIME + 20]))
    starts = starts.reshape(2, TIME)

    def used(x):
        noise = 0.3 * generator.normal(size=(2, *x.shape))
        floats = jnp.issubdtype(x.dtype, jnp.floating)
        return x[None] + noise if floats else jnp.broadcast_to(x[None], (2, *x.shape))

    before = jax.tree.map(used, model.initial_state())

    def loss(model, state, inputs):
        state, outputs = jax.vmap(model)(state, inputs, starts)
        return sum(jnp.sin(x).sum() for x in inexact((state, outputs))), outputs

    def inexact(tree):
        return jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))

    gradient = eqx.filter_jit(eqx.filter_grad(loss, has_aux=True))
    of_model, outputs = gradient(model, before, inputs)
    return outputs, inexact(of_model)


@pytest.mark.parametrize(
    "name", ["gru", "lmu", "slstm", "gated_delta_net", "ffm", "rate"]
)
def test_numbers_are_those_of_a_cpu(name, x64, request):
    outputs, gradients = outputs_and_gradients(name)
    request.getfixturevalue("as_on_an_accelerator")
    there, gradients_there = outputs_and_gradients(name)
    np.testing.assert_allclose(there, outputs, rtol=0, atol=1e-11)
    assert any((a != b).any() for a, b in zip(gradients, gradients_there, strict=True))
    for one, other in zip(gradients, gradients_there, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["gru", "lstm", "elman", "delta_net", "gated_delta_net"]
)
def test_a_loop_stores_one_array(name):
    """Every array that a loop writes to is a kernel in every step."""
    program = gradient_program(name, "cuda")
    assert (loops(program), stores(program)) == (2, 2)
    assert stores(gradient_program(name, "cpu")) > 2  # where stores are cheap


@pytest.mark.parametrize(("name", "parts"), [("slstm", 4), ("ind_rnn", 1)])
def test_the_scan_of_any_cell_stores_its_state_alone(name, parts):
    """Besides, one loop stores outputs, and the other cotangents of what is given."""
    assert stores(gradient_program(name, "cuda")) == parts + 2
    assert stores(gradient_program(name, "cpu")) > parts + 2


def test_a_dense_scan_takes_several_steps_a_round():
    rounds = "tensor<64x4x3x8x16x"  # 256 steps of 3 streams, 8 channels of order 16
    assert rounds in gradient_program("lmu", "cuda")
    assert rounds not in gradient_program("lmu", "cpu")


@pytest.mark.parametrize("name", ["ffm", "rg_lru"])
def test_a_linear_scan_has_no_loop(name):
    assert loops(gradient_program(name, "cuda")) == 0
    assert loops(gradient_program(name, "cpu")) == 2


def test_products_of_slots_read_an_array_of_their_own():
    """Without, XLA for CUDA refuses them: it finds no tiles for 5 rows per stream."""
    program = gradient_program("relational_memory", "cuda", time=2)
    rows = re.findall(r"optimization_barrier %\S+ : tensor<3x(\d+)xf32>", program)
    assert set(rows) == {"640", "512"}  # 5 rows of 128 attend, 4 slots have gates


def test_transposed_matrices_are_copied_on_cpu_alone():
    assert "optimization_barrier" in gradient_program("elman", "cpu")
    assert "optimization_barrier" not in gradient_program("elman", "cuda")


def test_no_computation_is_chosen_by_the_backend_of_the_process():
    """Where a CPU and a GPU are both present it names the wrong one."""
    folder = Path(memory_models.__file__).parent
    found = [p for p in folder.rglob("*.py") if "default_backend()" in p.read_text()]
    assert [p.name for p in found] == ["platform.py"]  # which says so
