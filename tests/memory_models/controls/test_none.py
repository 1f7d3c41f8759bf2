"""No memory is a layer on the current input."""

import jax
import jax.numpy as jnp
import numpy as np

import memory_models


def test_outputs_are_those_of_one_layer_and_the_state_is_empty():
    model = memory_models.make(
        "none", input_size=3, output_size=4, key=jax.random.key(0)
    )
    inputs = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    state, outputs = model((), jnp.asarray(inputs), jnp.zeros(5, bool))
    z = inputs @ np.asarray(model.layer.weight) + np.asarray(model.layer.bias)
    np.testing.assert_allclose(outputs, np.where(z > 0, z, 0.01 * z), atol=1e-6)
    assert state == ()
    assert memory_models.state_bytes(model) == 0
