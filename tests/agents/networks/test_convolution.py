"""The convolution of images, beside loops and beside what JAX derives."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from agents.networks.convolution import halved


def drawn(shape, taps=3, filters=5):
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.normal(keys[0], shape)
    kernel = jax.random.normal(keys[1], (taps, taps, shape[-1], filters))
    return images, kernel, keys[2]


def looped(images, kernel):
    """Pixel by pixel: the middle of an odd kernel stands on every second pixel, the
    first where the least is cut off on both sides."""
    batch, height, width, _ = images.shape
    taps, filters = kernel.shape[0], kernel.shape[-1]
    rows, columns = -(-height // 2), -(-width // 2)
    result = np.zeros((batch, rows, columns, filters))
    above = max(2 * (rows - 1) + taps - height, 0) // 2
    left = max(2 * (columns - 1) + taps - width, 0) // 2
    for i in range(rows):
        for j in range(columns):
            for a in range(taps):
                for b in range(taps):
                    y, x = 2 * i + a - above, 2 * j + b - left
                    if 0 <= y < height and 0 <= x < width:
                        result[:, i, j] += images[:, y, x] @ kernel[a, b]
    return result


SIZES = [(3, 8, 8, 2), (2, 7, 10, 3), (1, 9, 5, 1), (4, 2, 3, 2)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_equals_loops_over_pixels(shape, x64):
    images, kernel, _ = drawn(shape)
    wanted = looped(np.asarray(images), np.asarray(kernel))
    np.testing.assert_allclose(halved(images, kernel), wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("taps", [2, 3])
@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_gradient_is_that_of_differences(shape, taps, x64):
    """The sum against a fixed weight is linear in each, so differences are exact."""
    images, kernel, key = drawn(shape, taps)
    weight = jax.random.normal(key, halved(images, kernel).shape)

    def total(images, kernel):
        return (halved(images, kernel) * weight).sum()

    both = jax.grad(total, (0, 1))(images, kernel)
    for number, (given, gradient) in enumerate(
        zip((images, kernel), both, strict=True)
    ):
        units = jnp.eye(given.size).reshape(given.size, *given.shape)
        wanted = jax.lax.map(
            lambda unit, n=number: total(*((unit, kernel), (images, unit))[n]), units
        )
        np.testing.assert_allclose(
            gradient.ravel(), wanted, rtol=1e-10, atol=1e-10, err_msg=f"of {number}"
        )


def test_all_are_in_the_order_that_is_fast_inside_a_loop():
    """XLA for a CPU gives a library no other, and asks for that in no loop."""
    images, kernel, _ = drawn((4, 8, 8, 2), filters=2)

    def loss(pair):
        return (halved(halved(*pair), pair[1]) ** 2).sum()

    def step(pair, _):
        pair = jax.tree.map(lambda a, b: a - b, pair, jax.grad(loss)(pair))
        return pair, None

    program = jax.jit(lambda pair: jax.lax.scan(step, pair, length=3)[0])
    text = program.lower((images, kernel)).as_text("hlo")
    orders = re.findall(r"dim_labels=([\w>-]+)", text)
    assert len(orders) == 6 and set(orders) == {"b01f_01io->b01f"}
