"""Which of two ways to compute the same: asked of the device that a program is for.

`jax.default_backend()` names the device of the process. Where a CPU and a GPU are both
present, or a program is compiled for a device that is not, that is another one.
"""

from collections.abc import Callable
from typing import Any

import jax

from memory_models.mechanisms.inspection import is_looking, unrecorded


def by_platform(
    cpu: Callable, accelerator: Callable, *arguments: Any, records: bool = False
) -> Any:
    """Call the one or the other, when it is known what the program is compiled for.

    Both are traced, and the one that is not wanted never reaches the compiler.

    Args:
        cpu: for CPUs.
        accelerator: for every other device, with results of the same shapes and dtypes.
        arguments: pytrees of arrays, of which both are functions.
        records: whether what they record is wanted (`inspection`): while somebody looks
            the one for CPUs is then called on every device.
    """
    if records and is_looking():
        return cpu(*arguments)
    with unrecorded():  # the two have traces of their own
        return jax.lax.platform_dependent(*arguments, cpu=cpu, default=accelerator)
