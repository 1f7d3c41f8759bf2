"""The optimiser that agents share."""

from typing import Any

import equinox as eqx
import jax
import optax

from agents.networks.torso import Torso


def adam(
    learning_rate: float,
    *,
    max_gradient_norm: float,
    annealed_over: int | None,
    memory_learning_rate: float = 1.0,
    rectified: bool = False,
) -> optax.GradientTransformation:
    """Adam on gradients whose global norm is clipped.

    Args:
        learning_rate: at the start.
        max_gradient_norm: to which gradients are clipped.
        annealed_over: steps over which the rate falls linearly to 0; None keeps it.
        memory_learning_rate: factor on the changes of the memories' weights. With 1
            the transformation and its state are those without the factor.
        rectified: whether it is RAdam (Liu et al. 2020), whose first steps are small
            while it knows little of the gradients' variance.
    """
    rate: Any = learning_rate
    if annealed_over is not None:
        rate = optax.linear_schedule(learning_rate, 0.0, annealed_over)
    changes = optax.chain(
        optax.clip_by_global_norm(max_gradient_norm),
        optax.radam(rate) if rectified else optax.adam(rate, eps=1e-5),
    )
    if memory_learning_rate == 1:
        return changes
    slowed = optax.stateless(
        lambda tree, _: scaled_memories(tree, memory_learning_rate)
    )
    return optax.chain(changes, slowed)


def scaled_memories(tree: Any, factor: float) -> Any:
    """A tree built like a network, with the leaves of its memories multiplied."""

    def scaled(node: Any) -> Any:
        if not isinstance(node, Torso):
            return node
        memory = jax.tree.map(lambda leaf: factor * leaf, node.memory)
        return eqx.tree_at(lambda torso: torso.memory, node, memory)

    return jax.tree.map(scaled, tree, is_leaf=lambda node: isinstance(node, Torso))
