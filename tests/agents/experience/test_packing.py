"""A loop whose small results are stored together leaves what a plain one leaves."""

import jax
import jax.numpy as jnp
import numpy as np

from agents.experience.packing import SMALL, scan_packed

ROWS, STEPS = 5, 4


def body(carry, x):
    """Leaves of every kind, of the rows and of the step; some bits are peculiar."""
    bits = jax.random.bits(jax.random.fold_in(carry, x), (ROWS, SMALL + 1), jnp.uint32)
    floats = jax.lax.bitcast_convert_type(bits, jnp.float32)  # nan and -0, too
    left = {
        "float": floats[:, 0],
        "vector": floats[:, 1:7].reshape(ROWS, 2, 3),
        "int": bits[:, 7].astype(jnp.int32),
        "word": bits[:, 8],
        "bool": bits[:, 9:12] % 2 == 0,
        "nothing": floats[:, :0],
        "pixels": (bits[:, :12] % 256).astype(jnp.uint8),
        "half": floats[:, 13].astype(jnp.float16),
        "large": floats,
        "key": jax.random.split(jax.random.key(x), ROWS),
        "step": (floats[0, 14], bits[0, 15] % 2 == 0, bits[0, 16].astype(jnp.int32)),
        "square": floats[:, :ROWS],
    }
    return jax.random.fold_in(carry, 7), left


def raw(x):
    """The bytes of an array."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    return np.asarray(x).tobytes()


def compare():
    xs = jnp.arange(STEPS, dtype=jnp.uint32)
    key = jax.random.key(0)
    expected = jax.jit(lambda k: jax.lax.scan(body, k, xs))(key)
    found = jax.jit(lambda k: scan_packed(body, k, xs, rows=ROWS))(key)
    assert jax.tree.structure(expected) == jax.tree.structure(found)
    for one, other in zip(*map(jax.tree.leaves, (expected, found)), strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        assert raw(one) == raw(other)


def test_every_bit_is_that_of_a_plain_loop():
    compare()


def test_in_double_precision_too(x64):
    compare()


def test_what_is_small_shares_an_array():
    key = jax.random.key(0)
    xs = jnp.arange(STEPS, dtype=jnp.uint32)
    text = str(jax.make_jaxpr(lambda k: scan_packed(body, k, xs, rows=ROWS))(key))
    # 1 + 6 + 1 + 1 + 3 + 5 words of the rows, 3 of the step.
    assert f"u32[{STEPS},{ROWS},17]" in text and f"u32[{STEPS},3]" in text
