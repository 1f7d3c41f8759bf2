"""A strided convolution whose gradient is as fast inside a loop as outside.

XLA on a CPU runs a convolution as a library's only in one order of the axes. It brings
others into that order in the body of a program, but not inside loops, and training is a
loop: there the convolutions that JAX derives for the gradient took tens of times as
long. On a CPU they are written in that order here; on other devices they are JAX's.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

STRIDE = 2
_ORDER = ("NHWC", "HWIO", "NHWC")

Images = Float[Array, "batch _ _ channels"]
Kernel = Float[Array, "rows columns channels filters"]


def _convolved(images: Images, kernel: Kernel) -> Array:
    strides = STRIDE, STRIDE
    return jax.lax.conv_general_dilated(
        images, kernel, strides, "SAME", dimension_numbers=_ORDER
    )


@jax.custom_vjp
def halved(images: Images, kernel: Kernel) -> Float[Array, "batch _ _ filters"]:
    """Convolve with stride 2 and zeros around ("SAME"): half as high and half as wide.

    Args:
        images: `[batch, height, width, channels]`.
        kernel: `[rows, columns, channels, filters]`.
    """
    return _convolved(images, kernel)


def _forward(images: Images, kernel: Kernel) -> tuple[Array, tuple[Array, Array]]:
    return halved(images, kernel), (images, kernel)


def _backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    return jax.lax.platform_dependent(
        *kept, gradient, cpu=_in_order, default=_as_derived
    )


def _as_derived(images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    return jax.vjp(_convolved, images, kernel)[1](gradient)


def _in_order(images: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    """What is left of "SAME" padding follows from the sizes, for each of two axes."""
    around, back = [], []
    for axis in (1, 2):
        side, half = images.shape[axis], gradient.shape[axis]
        taps = kernel.shape[axis - 1]
        reach = STRIDE * (half - 1) + 1  # of the gradient, spread out by the stride
        before = max(reach - 1 + taps - side, 0) // 2
        around.append((before, reach - 1 + taps - side - before))
        back.append((taps - 1 - before, side - reach + before))
    of_kernel = jax.lax.conv_general_dilated(
        images.transpose(3, 1, 2, 0),
        gradient.transpose(1, 2, 0, 3),
        (1, 1),
        around,
        rhs_dilation=(STRIDE, STRIDE),
        dimension_numbers=_ORDER,
    )
    of_images = jax.lax.conv_general_dilated(
        gradient,
        jnp.flip(kernel, (0, 1)).swapaxes(2, 3),
        (1, 1),
        back,
        lhs_dilation=(STRIDE, STRIDE),
        dimension_numbers=_ORDER,
    )
    return of_images, of_kernel.transpose(1, 2, 0, 3)


halved.defvjp(_forward, _backward)
