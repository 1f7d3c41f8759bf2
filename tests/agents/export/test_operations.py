"""Programs written out in other operations give the same numbers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxpr_as_fun

from agents.export.operations import written_out
from memory_models import affine
from memory_models.mechanisms.platform import by_platform
from memory_models.mechanisms.scans.prefix_scan import prefix_scan

RANDOM = np.random.default_rng(0)
FLOATS = RANDOM.normal(size=(3, 5, 4)).astype(np.float32)
INTEGERS = RANDOM.integers(-99, 99, (3, 5)).astype(np.int32)
BITS = RANDOM.integers(0, 7, (3, 5)).astype(np.int32)
FLAGS = RANDOM.random((3, 2, 5)) < 0.5
BEYOND = np.asarray([[0, 4], [9, 2], [3, 3]], np.int32)
"""Indices into five rows, of which one does not exist and two are the same."""
NEW = RANDOM.normal(size=(3, 2, 4)).astype(np.float32)
PAIRS = np.asarray([[4, 1], [0, 3], [9, 9]], np.int32)


@jax.custom_vjp
def doubled(x):
    return 2 * x


doubled.defvjp(lambda x: (2 * x, None), lambda _, cotangent: (2 * cotangent,))


def looped(x):
    """A loop, a scan and a branch, with operations to be written out inside."""

    def body(carry):
        count, x = carry
        return count + 1, doubled(x) - affine(x, jnp.eye(4, dtype=x.dtype))

    x = jax.lax.while_loop(lambda carry: carry[0] < 3, body, (jnp.int32(0), x))[1]
    x = jax.lax.scan(lambda carry, y: (carry + doubled(y), y), x[0], x)[0]
    return jax.lax.cond(x.sum() > 0, doubled, lambda x: x, x)


def rows(kind):
    return jax.vmap(lambda x, at, new: getattr(x.at[at], kind)(new, mode="drop"))


CASES = {
    "affine": (lambda x: affine(x, jnp.ones((4, 2), x.dtype)), FLOATS),
    "custom_vjp": (doubled, FLOATS),
    "loops": (looped, FLOATS[0]),
    "platform": (lambda x: by_platform(jnp.sin, jnp.cos, x), FLOATS),
    "select": (lambda x: jnp.where(x[:, 0], x[:, 1], ~x[:, 0]), FLAGS),
    "cummax": (lambda x: jax.lax.cummax(x, axis=1), INTEGERS),
    "cummax_back": (lambda x: jax.lax.cummax(x, axis=1, reverse=True), INTEGERS),
    "shift_left": (jax.lax.shift_left, INTEGERS, BITS),
    "shift_right": (jax.lax.shift_right_arithmetic, INTEGERS, BITS),
    "set": (jax.vmap(lambda x, i, y: x.at[i].set(y)), FLOATS, BEYOND[:, 0], NEW[:, 0]),
    "set_pairs": (
        jax.vmap(lambda x, i, y: x.at[i[0], i[1]].set(y, mode="drop")),
        FLOATS,
        PAIRS,
        NEW[:, 0, 0],
    ),
    "add": (rows("add"), FLOATS, BEYOND, NEW),
    "max": (rows("max"), FLOATS, BEYOND, NEW),
    "min": (rows("min"), FLOATS, BEYOND, NEW),
    "slice": (
        jax.vmap(lambda x, i: jax.lax.dynamic_slice(x, (i, 0), (1, 4))),
        FLOATS,
        BEYOND[:, 0],
    ),
}
REWORDED = {
    "select": "select_n",
    "cummax": "cummax",
    "cummax_back": "cummax",
    "shift_left": "i32[3,5] = shift_left",
    "shift_right": "shift_right_arithmetic",
    **{name: "scatter" for name in ("set", "set_pairs", "add", "max", "min")},
    "affine": "affine",
    "loops": "custom_vjp_call",
    "custom_vjp": "custom_vjp_call",
    "platform": "platform_index",
}
"""Operations that must be gone."""


@pytest.mark.parametrize("name", CASES)
def test_equals_what_it_was(name):
    function, *arguments = CASES[name]
    arguments = [jnp.asarray(x) for x in arguments]
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arguments]
    plain = written_out(lambda *x: [function(*x)], *shapes)
    (found,) = jaxpr_as_fun(plain)(*arguments)
    expected = function(*arguments)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    if name in REWORDED:
        assert REWORDED[name] in str(jax.make_jaxpr(function)(*arguments))
        assert REWORDED[name] not in str(plain)


def test_what_nothing_depends_on_is_gone():
    def function(x):
        unused = jnp.tan(x)
        return [jnp.sin(x) + 0 * len(unused.shape)]

    plain = written_out(function, jax.ShapeDtypeStruct((3,), jnp.float32))
    assert "sin" in str(plain) and "tan" not in str(plain)


def test_prefix_scan():
    starts = RANDOM.random((7, 2)) < 0.3
    decay, drive = (RANDOM.random((7, 2)).astype(np.float32) for _ in range(2))
    arguments = [jnp.asarray(x) for x in (decay, drive, starts)]
    shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arguments]

    def function(*x):
        return jax.tree.leaves(prefix_scan(*x))

    plain = written_out(function, *shapes)
    assert "prefix_scan" not in str(plain)
    for found, expected in zip(
        jaxpr_as_fun(plain)(*arguments), function(*arguments), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
