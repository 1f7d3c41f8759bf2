"""Writes in a loop: the backward pass for accelerators against JAX's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from memory_models import Linear
from memory_models.mechanisms.scans import write_scan as module
from memory_models.mechanisms.scans.write_scan import write_scan

WRITES, SLOTS, WIDTH = 7, 3, 4


def write(parameters, operand):
    """Two parts of a memory, one weight used twice, one array that is only added."""
    layer, offset = parameters
    (slots, trace), segment = operand
    mixed = jnp.tanh(layer(slots) + layer(segment)) * jax.nn.sigmoid(trace)[:, None]
    return mixed + offset[None], 0.5 * trace + slots.sum(-1)


@pytest.fixture
def case(x64):
    generator = np.random.default_rng(0)

    def draw(*shape):
        return jnp.asarray(generator.normal(size=shape))

    layer = Linear(WIDTH, WIDTH, key=jax.random.key(0))
    memory, initial = ((draw(SLOTS, WIDTH), draw(SLOTS)) for _ in range(2))
    fresh = jnp.asarray([False, False, True, False, True, True, False])
    return ((layer, draw(WIDTH)), memory, initial, draw(WRITES, SLOTS, WIDTH)), fresh


def by_loop(parameters, memory, initial, segments, fresh):
    memories = []
    for segment, begins in zip(segments, fresh, strict=True):
        memory = write(parameters, (initial if begins else memory, segment))
        memories.append(memory)
    return jax.tree.map(lambda *x: jnp.stack(x), *memories)


def gradients(run, arguments, fresh):
    weights = np.random.default_rng(1).normal(size=(WRITES, SLOTS, WIDTH + 1))

    def loss(arguments):
        slots, trace = run(*arguments, fresh)
        together = jnp.concatenate([slots, trace[..., None]], axis=-1)
        return (together * weights).sum(), (slots, trace)

    return jax.grad(loss, has_aux=True)(arguments)


def scanned(*arguments):
    return write_scan(write, *arguments)


@pytest.mark.parametrize("accelerator", [False, True])
def test_memories_and_gradients_are_those_of_a_loop(case, accelerator, monkeypatch):
    if accelerator:
        monkeypatch.setattr(
            jax.lax, "platform_dependent", lambda *x, cpu, default: default(*x)
        )
    found, expected = gradients(scanned, *case), gradients(by_loop, *case)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    for one, other in pairs:
        assert float(jnp.abs(other).max()) > 1e-3
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_on_accelerators_the_loops_store_the_memories_alone(case, monkeypatch):
    monkeypatch.setattr(module, "ROUND", 4)  # more than all writes would be no loop
    arguments, fresh = case

    def gradient(arguments):
        return gradients(scanned, arguments, fresh)[0]

    traced = jax.jit(gradient).trace(arguments)
    texts = {
        platform: traced.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    }
    stored = {key: text.count("call @dynamic_update") for key, text in texts.items()}
    assert stored["cuda"] == 4 < stored["cpu"]  # two parts of a memory, two loops
    # No weight is copied for every write.
    assert f"tensor<{WRITES}x{WIDTH}x{WIDTH}x" not in texts["cuda"]
