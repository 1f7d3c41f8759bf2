"""The agent contract: what the run loop, evaluation and users may rely on."""

import abc
import dataclasses
import functools
from collections import OrderedDict
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray

from agents.footprint import Part, bytes_of
from agents.spaces import null_actions
from envs.base import Environment
from envs.vector import VectorEnv
from memory_models.registry import Builder

Params = Any
"""All that acting needs: network weights and, where used, normaliser statistics."""
MemoryState = Any
"""State of the memory of a batch of streams, every leaf `[batch, ...]`."""
FINITE = "finite"
"""Beside the metrics of an update: 1 where it was taken, 0 where it was not finite. An
agent that keeps experience for later reports whether what it keeps is finite."""


class ExplorationError(ValueError):
    """An exploration that an agent cannot act with; the message is one sentence."""


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every floating-point number of a tree is finite."""
    # One array per dtype: a test of its own for every leaf takes a quarter longer to
    # compile.
    by_dtype: dict[Any, list[Array]] = {}
    for leaf in jax.tree.leaves(tree):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            by_dtype.setdefault(leaf.dtype, []).append(leaf.ravel())
    finite = [
        jnp.isfinite(jnp.concatenate(leaves)).all() for leaves in by_dtype.values()
    ]
    return jnp.stack(finite).all()


class Inputs(NamedTuple):
    """What a policy sees at one step of a batch of streams (or `[time, batch]`).

    Attributes:
        observation: pytree `[batch, ...]` of the environment's observation space.
        start: `[batch]`, true where the observation is the first of an episode.
        previous_action: the action that led here, None unless configured. Its value
            is ignored where `start` holds.
        previous_reward: the reward that led here, None unless configured.
        action_mask: the actions allowed now, None for tasks without masks.
        hidden: the task's hidden variables, which only a critic may see and only in
            training; None unless configured, and wherever an agent merely acts.
    """

    observation: Any
    start: Bool[Array, "..."]
    previous_action: Array | None = None
    previous_reward: Float[Array, "..."] | None = None
    action_mask: Bool[Array, "..."] | None = None
    hidden: dict[str, Any] | None = None


class Extras(NamedTuple):
    """What an actor-critic knows beside the action.

    Attributes:
        raw_action: the action before it was fitted into a Box; log-probabilities are
            of this one. Equal to the action in discrete spaces.
        log_prob: `[batch]`, of `raw_action`.
        value: `[batch]`, the critic's estimate; nan where it needs hidden variables
            and none were given.
    """

    raw_action: Array
    log_prob: Float[Array, "..."]
    value: Float[Array, "..."]


class Gathering(eqx.Module):
    """How an agent gathers the experience that its next update learns from.

    Attributes:
        key: source of everything random in it.
        exploration: passed to `act`.
        num_sequences: sequences that a rollout is cut into, per stream.
        sequence_length: steps of each.
        values: whether episodes that a time limit cuts off are valued as they end, by
            the network's `value`.
        keep_finals: whether transitions hold what every step led to.
    """

    key: PRNGKeyArray
    exploration: Array | None
    num_sequences: int = eqx.field(static=True)
    sequence_length: int = eqx.field(static=True)
    values: bool = eqx.field(static=True)
    keep_finals: bool = eqx.field(static=True)


@dataclasses.dataclass(frozen=True)
class Agent(abc.ABC):
    """An algorithm bound to a task and a memory; the fields are its settings.

    Attributes:
        env: the task.
        memory: builder of the memory model, called inside `init`.
        num_envs: parallel streams.
        previous_action: whether the previous action is an input; None follows the
            task's card.
        previous_reward: whether the previous reward is an input.
        raw_keys: observation keys that also reach the memory as they are.
        total_updates: length of the run in updates, for schedules; None where it is
            not known, which keeps everything constant.
        axis_name: where the agent is one device's share of a larger one (`num_envs`
            are its own), the axis to average gradients and metrics over; else None.
        stream_fields: fields of the state whose leaves are `[batch, ...]`, split over
            devices; everything else stays equal on all of them.
        written_once: fields of the state that hold experience too large to copy. Of an
            update that is not taken they keep what it wrote, so that must not depend on
            anything but the rest of the state, and must be written again alike.
    """

    stream_fields: ClassVar[tuple[str, ...]] = ("streams",)
    written_once: ClassVar[tuple[str, ...]] = ()

    env: Environment
    memory: Builder
    num_envs: int = 64
    previous_action: bool | None = None
    previous_reward: bool = False
    raw_keys: tuple[str, ...] = ()
    total_updates: int | None = None
    axis_name: str | None = None

    # The contract ---------------------------------------------------------------

    @property
    @abc.abstractmethod
    def steps_per_update(self) -> int:
        """Environment steps, over all streams, that one `update` takes."""

    @abc.abstractmethod
    def build_network(self, key: PRNGKeyArray) -> Any:
        """A network (an Equinox module) with weights of its own."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, params: Params | None = None) -> Any:
        """Everything that evolves in a run: a named tuple with a field `params`.

        Args:
            key: source of everything random.
            params: to begin with, in place of new ones.
        """

    @abc.abstractmethod
    def update(self, state: Any) -> tuple[Any, dict[str, Array]]:
        """Collect and learn once; a pure function of the state."""

    @abc.abstractmethod
    def act(
        self,
        params: Params,
        memory_state: MemoryState,
        inputs: Inputs,
        *,
        key: Key[Array, " batch"],
        exploration: float | Array | None = None,
    ) -> tuple[Array, MemoryState, Any]:
        """Choose actions for a batch of streams: the same function everywhere.

        Args:
            params: from the agent's state.
            memory_state: leaves `[batch, ...]`.
            inputs: what each stream sees now.
            key: source of sampling, `[batch]`: a key of its own for every stream, so
                that a stream draws the same whatever it is batched with.
            exploration: None for the policy itself, 0.0 for its greedy version.

        Returns:
            Actions `[batch, ...]`, the new memory state, and extras.

        Raises:
            ExplorationError: an exploration that the agent does not have.
        """

    # Where environments are not part of the compiled program ----------------------

    def gathering(self, state: Any) -> Gathering:
        """How `update` would collect, for a loop on the host that does it instead."""
        raise NotImplementedError

    def learn_from(
        self, state: Any, streams: Any, rollout: Any
    ) -> tuple[Any, dict[str, Array]]:
        """The rest of `update`: learn from what was collected.

        Args:
            state: from before the rollout.
            streams: where the streams stand after it.
            rollout: what was collected, as `gathering` says.
        """
        raise NotImplementedError

    def exploration(
        self, index: Int[Array, " batch"], updates: Int[Array, ""]
    ) -> Float[Array, " batch"] | None:
        """What `act` is told while the agent gathers; None for the policy itself.

        Args:
            index: each stream's own number.
            updates: made so far.
        """
        return None

    @property
    def learns_from_rollouts(self) -> bool:
        """Whether a rollout can come from elsewhere than `update`."""
        return type(self).learn_from is not Agent.learn_from

    # What a run tells about the agent --------------------------------------------

    @property
    def gradient_steps_back(self) -> int | None:
        """Steps over which gradients flow; None where they have no end."""
        return None

    @property
    def optimizer_steps(self) -> int:
        """Steps of the optimiser that one `update` takes."""
        return 1

    @property
    def counted(self) -> tuple[str, ...]:
        """Settings whose product is `steps_per_update`."""
        return ("agent.num_envs",)

    def describe(self) -> str:
        """How an update is made, in half a line."""
        return f"{self.num_envs} environments"

    def footprint(self) -> dict[str, Part]:
        """What one seed needs in memory, by name, found by tracing alone."""
        state = jax.eval_shape(self.init, jax.eval_shape(jax.random.key, 0))
        streams = sum(bytes_of(getattr(state, name)) for name in self.stream_fields)
        weights = ("memory.output_size",)
        return {
            "parameters": Part(bytes_of(state) - streams, "kept", weights),
            "environments": Part(
                streams, "streams", ("agent.num_envs", "what sizes the task")
            ),
        }

    def stages(self, state: Any, *collected: Any) -> OrderedDict[str, Any]:
        """What the next update computes, in order: stage -> pytree of arrays.

        For finding where a number stopped being finite. Arrays of the stages
        'rollout' and 'learning' have steps and minibatches as their first axis. The
        dictionary is an ordered one because JAX sorts the others.

        Args:
            state: from before the update.
            *collected: streams and rollout, where they came from elsewhere.
        """
        new_state, metrics = (
            self.learn_from(state, *collected) if collected else self.update(state)
        )
        return OrderedDict(metrics=metrics, parameters=new_state.params)

    def share(self, total: int, axis_name: str) -> "Agent":
        """The agent as one of `total` devices runs it.

        Raises:
            ValueError: a setting that does not split.
        """
        return dataclasses.replace(
            self, num_envs=self.num_envs // total, axis_name=axis_name
        )

    # Shared by all agents -------------------------------------------------------

    @functools.cached_property
    def vector_env(self) -> VectorEnv:
        """The task, `num_envs` times."""
        masked = self.env.action_mask is not None
        return VectorEnv(self.env, self.num_envs, action_mask=masked)

    @property
    def sees_previous_action(self) -> bool:
        """Whether the previous action is an input."""
        if self.previous_action is None:
            return self.env.card.needs_previous_action
        return self.previous_action

    @functools.cached_property
    def info_keys(self) -> frozenset[str]:
        """Keys of the task's info."""

        def first_info(key: PRNGKeyArray) -> Any:
            state = self.env.reset(key)[1]
            return self.env.step(key, state, self._null_actions(1)[0])[5]

        return frozenset(jax.eval_shape(first_info, jax.random.key(0)))

    @functools.cached_property
    def _static(self) -> Any:
        """The part of the network that is not arrays, found without computing."""
        shapes = eqx.filter_eval_shape(self.build_network, jax.random.key(0))
        return eqx.partition(shapes, _is_shape)[1]

    def check(self) -> None:
        """Raise ValueError, in one sentence, if this combination cannot be built."""
        _ = self._static

    def network(self, params: Params) -> Any:
        """The network with the given arrays."""
        return eqx.combine(params, self._static)

    def initial_memory(self, params: Params, batch: int) -> MemoryState:
        """Memory states of `batch` streams about to start."""
        return self.network(params).initial_state(batch)

    def first_inputs(
        self,
        observation: Any,
        action_mask: Array | None,
        batch: int,
        hidden: dict[str, Any] | None = None,
    ) -> Inputs:
        """Inputs of `batch` streams at the first observation of their episodes."""
        dtype = jax.dtypes.canonicalize_dtype(float)
        return Inputs(
            observation=observation,
            start=jnp.ones(batch, bool),
            previous_action=(
                self._null_actions(batch) if self.sees_previous_action else None
            ),
            previous_reward=jnp.zeros(batch, dtype) if self.previous_reward else None,
            action_mask=action_mask,
            hidden=hidden,
        )

    def _null_actions(self, batch: int) -> Array:
        return null_actions(self.env.action_space, batch)


def _is_shape(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
