"""A trained policy as one function of named arrays, which it is exported as.

    step(observation, start, state...) -> (action, next_state...)

Shapes are fixed; parameters and normaliser statistics are constants of it; it acts
greedily, so it needs no keys.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.base import Inputs, MemoryState
from agents.evaluate import mask_of
from agents.evaluate.policy import Policy
from agents.spaces import named_leaves

Shapes = dict[str, jax.ShapeDtypeStruct]
"""Arrays by name, in order."""

BESIDE = ("start", "previous_action", "previous_reward", "action_mask")
"""What a policy may see beside the observation, in the order of `Inputs`."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a policy; the first axis of every array are the streams.

    Attributes:
        function: of arrays in the order of `inputs`, to those of `outputs`.
        inputs: observations, `start`, where the agent sees them the previous action
            and reward, where the task has one the action mask, and the state.
        outputs: `action`, and the state after the step, in the order of the inputs.
        state: the state before the first step, by the names of the inputs.
    """

    function: Callable[..., tuple[Any, ...]]
    inputs: Shapes
    outputs: Shapes
    state: dict[str, np.ndarray]


def step_of(policy: Policy, streams: int = 1, *, uint8_flags: bool = False) -> Step:
    """A policy's greedy step for a fixed number of streams.

    Args:
        policy: from `agents.load`.
        streams: how many it acts for.
        uint8_flags: whether flags are uint8, 0 or 1, in place of bool.
    """
    agent, params = policy.agent, policy.params
    keys = jax.random.split(jax.random.key(0), streams)

    def first(params: Any) -> tuple[Inputs, MemoryState]:
        observation, state = jax.vmap(agent.env.reset)(keys)
        mask = mask_of(agent.env, state)
        memory_state = agent.initial_memory(params, streams)
        return agent.first_inputs(observation, mask, streams), memory_state

    shapes, structure = jax.tree.flatten(jax.eval_shape(first, params))
    dtypes = [jnp.dtype(x.dtype) for x in shapes]

    def told(x: Any) -> Any:
        return x.astype(jnp.uint8) if uint8_flags and x.dtype == bool else x

    def function(*values: Any) -> tuple[Any, ...]:
        given = [
            x != 0 if jnp.issubdtype(dtype, bool) and x.dtype != dtype else x
            for x, dtype in zip(values, dtypes, strict=True)
        ]
        inputs, memory_state = jax.tree.unflatten(structure, given)
        action, memory_state, _ = agent.act(
            params, memory_state, inputs, key=keys, exploration=0.0
        )
        return tuple(map(told, (action, *jax.tree.leaves(memory_state))))

    example, memory_state = jax.tree.unflatten(structure, shapes)
    kept = _state_names(memory_state)
    names = [*_input_names(agent.env.observation_space, example), *kept]
    given = jax.eval_shape(lambda x: list(map(told, x)), shapes)
    inputs = dict(zip(names, given, strict=True))
    outputs = jax.eval_shape(function, *inputs.values())
    initial = jax.jit(lambda params: agent.initial_memory(params, streams))(params)
    return Step(
        function,
        inputs,
        dict(zip(("action", *(f"next_{name}" for name in kept)), outputs, strict=True)),
        {
            name: np.asarray(told(x))
            for name, x in zip(kept, jax.tree.leaves(initial), strict=True)
        },
    )


def _input_names(space: Any, inputs: Inputs) -> list[str]:
    """A name for every array of the inputs, in the order of their leaves."""
    structure = jax.tree.structure(inputs.observation)
    numbered = jax.tree.unflatten(structure, jnp.arange(structure.num_leaves))
    position = {name: int(x) for name, x in named_leaves(space, numbered).items()}
    order = sorted(position, key=lambda name: position[name])
    seen = [_below("observation", name) for name in order]
    return [*seen, *(name for name in BESIDE if getattr(inputs, name) is not None)]


def _state_names(state: MemoryState) -> list[str]:
    """A name for every array of a memory state, such as `state/actor/entries/0`."""
    return [
        _below("state", jax.tree_util.keystr(path, simple=True, separator="/"))
        for path, _ in jax.tree_util.tree_leaves_with_path(state)
    ]


def _below(group: str, name: str) -> str:
    return group if name in ("", group) else f"{group}/{name}"
