"""The optimiser that agents share."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float

from agents.base import Params
from agents.devices import mean_over
from agents.experience.normalize import split_trainable
from agents.networks.torso import Torso


def adam(
    learning_rate: float,
    *,
    max_gradient_norm: float,
    annealed_over: int | None,
    memory_learning_rate: float = 1.0,
    rectified: bool = False,
    epsilon: float = 1e-5,
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
        epsilon: Adam's, added to the root of a gradient's mean square.
    """
    rate: Any = learning_rate
    if annealed_over is not None:
        rate = optax.linear_schedule(learning_rate, 0.0, annealed_over)
    changes = optax.chain(
        optax.clip_by_global_norm(max_gradient_norm),
        optax.radam(rate) if rectified else optax.adam(rate, eps=epsilon),
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


def optimizer_of(
    agent: Any, *, rectified: bool = False, epsilon: float = 1e-5
) -> optax.GradientTransformation:
    """The optimiser of an agent, by its settings.

    Args:
        agent: with the settings of `adam`, `anneal_learning_rate`, `total_updates` and
            `optimizer_steps`.
        rectified: as in `adam`.
        epsilon: as in `adam`.
    """
    steps = None
    if agent.anneal_learning_rate and agent.total_updates is not None:
        steps = agent.total_updates * agent.optimizer_steps
    return adam(
        agent.learning_rate,
        max_gradient_norm=agent.max_gradient_norm,
        annealed_over=steps,
        memory_learning_rate=agent.memory_learning_rate,
        rectified=rectified,
        epsilon=epsilon,
    )


def gradient_step(
    loss: Callable[[Params], tuple[Array, Any]],
    optimizer: optax.GradientTransformation,
    params: Params,
    optimizer_state: optax.OptState,
    axis_name: str | None,
) -> tuple[Params, optax.OptState, Float[Array, ""], Any]:
    """One step of the optimiser, down the gradient of all devices.

    Args:
        loss: of parameters, with whatever else it tells.
        optimizer: of their trainable part.
        params: arrays of a network.
        optimizer_state: Optax's.
        axis_name: of the devices that share what is learned from; None for one.

    Returns:
        Parameters, optimiser state, the norm of the gradient, and what `loss` told.
    """
    trainable, fixed = split_trainable(params)
    gradients, told = jax.grad(lambda p: loss(eqx.combine(p, fixed)), has_aux=True)(
        trainable
    )
    gradients = mean_over(axis_name, gradients)
    with jax.numpy_dtype_promotion("standard"):  # as Optax expects
        changes, optimizer_state = optimizer.update(
            gradients, optimizer_state, trainable
        )
    trainable = optax.apply_updates(trainable, changes)
    norm = optax.tree.norm(gradients)
    return eqx.combine(trainable, fixed), optimizer_state, norm, told
