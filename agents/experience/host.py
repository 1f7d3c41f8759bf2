"""Collecting experience from numpy environments: a Python loop around compiled acting.

Fills the same tape as `collect` of `agents.experience.rollout`, so whatever learns from
it knows no difference. The device acts on the next observation while the host writes
the last transition down; environments with processes of their own run side by side.

A vectoriser that ignores the actions of the step after an end (`HostStep.ignored`)
leaves gaps, at different times in every stream. They are closed before anybody learns:
each stream writes to a place of its own, a rollout is complete once every stream has
its rows, and rows that some have beyond that are the first ones of the next rollout. So
an ignored row is nowhere, and every row counts.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from agents.base import Agent, Gathering, Inputs, MemoryState, Params
from agents.experience.host_rows import (
    action_keys,
    blank,
    entered,
    moved,
    pick,
    put_rows,
)
from agents.experience.rollout import (
    EpisodeStatistics,
    Rollout,
    Streams,
    Transition,
    next_inputs,
    truncation_values,
)
from agents.experience.tape import Finals
from envs.base import float_dtype
from envs.host import HostError, HostStep, HostVector, spread_seeds
from envs.vector import Step, VectorState

TRAINING = 1
"""Use of the environments' seeds."""

AHEAD = 2
"""Rollouts of room for rows that a stream has beyond the others."""

_Row: Any = Transition
"""Of arrays of numpy, or of shapes."""


class HostSource:
    """The streams of an agent in numpy environments.

    Attributes:
        agent: whose `gathering` says how to collect.
    """

    def __init__(self, agent: Agent, *, seed: int, begun: int = 0):
        """Make the environments.

        Args:
            agent: on a `HostTask`.
            seed: the run's.
            begun: updates that were made before, in another process.
        """
        self.agent = agent
        self._vector = HostVector(agent.env, agent.num_envs)  # type: ignore[arg-type]
        self._seeds = spread_seeds(TRAINING, seed, begun, agent.num_envs)
        self._streams = np.arange(agent.num_envs)
        self._act = jax.jit(self._acting)
        self._remember = jax.jit(put_rows, donate_argnums=0)
        self._value = jax.jit(self._valuing)
        self._entered = jax.jit(entered, static_argnums=(0, 1))
        self._action_keys = jax.jit(action_keys, static_argnums=(1, 2))
        self._rows: Any = None

    def begin(self, streams: Streams) -> Streams:
        """Start an episode in every stream, whatever was under way.

        Args:
            streams: of the agent's state, for the memories that they begin with.

        Returns:
            The streams, for `collect`.
        """
        agent, batch = self.agent, self.agent.num_envs
        observation = self._vector.reset(self._seeds)
        self._inputs = agent.first_inputs(observation, None, batch)
        self._memory = streams.memory_state
        self._returns, self._lengths = np.zeros(batch), np.zeros(batch, np.int32)
        # Where each stream writes, and whether it does.
        self._row, self._writes = np.zeros(batch, np.int32), np.ones(batch, bool)
        self._held: tuple[Transition, np.ndarray, np.ndarray] | None = None
        self._rows = None
        zeros = jax.tree.map(jnp.zeros_like, streams.discounted_return)
        return streams._replace(discounted_return=zeros)

    def collect(
        self, params: Params, how: Gathering, streams: Streams
    ) -> tuple[Streams, Rollout]:
        """Advance the streams by a rollout.

        Args:
            params: to act with.
            how: what `gathering` of the agent's state says.
            streams: of the agent's state, for their discounted returns.

        Returns:
            Where the streams stand afterwards, with those returns from before, and the
            rollout.
        """
        length = how.num_sequences * how.sequence_length
        if self._rows is None:
            self._make_room(params, how, length)
        self._ended = np.zeros(3)
        count, keys = 0, None
        while self._row.min() < length:
            block, time = divmod(count, length)
            if time == 0:
                keys = self._action_keys(how.key, block, length, self._streams)
            self._advance(params, how, keys, time)
            count += 1
        self._note()
        return self._finish(streams, how, length)

    def close(self) -> None:
        """Close the environments."""
        self._vector.close()

    # A step ------------------------------------------------------------------------

    def _advance(self, params: Params, how: Gathering, keys: Any, time: int) -> None:
        """One step of every stream: act, write down the last one, let them step."""
        self._keep_memory(how.sequence_length)
        action, memory_state, extras = self._act(
            params, self._memory, self._inputs, how.exploration, keys, np.int32(time)
        )
        self._note()
        sent = np.asarray(action)
        self._vector.send(sent)
        step = self._vector.receive()
        written = self._writes & ~step.ignored
        reward = step.reward.astype(float_dtype())
        inputs = next_inputs(
            self._inputs,
            observation=step.observation,
            start=step.start,
            action=action,
            reward=reward,
            action_mask=None,
        )
        value = np.zeros(len(written), float_dtype())
        cut = step.truncated & ~step.terminated
        if how.values and cut.any():
            value = self._value(
                params, memory_state, inputs, step.final_observation, cut
            )
        row = _Row(
            inputs=self._inputs,
            action=sent,
            extras=extras,
            reward=reward,
            terminated=step.terminated,
            truncated=step.truncated,
            bootstrap_value=value,
            finals=Finals(step.final_observation, None) if how.keep_finals else None,
        )
        self._held = row, self._row.copy(), written
        self._inputs, self._memory = inputs, memory_state
        self._row = self._row + written.astype(np.int32)
        if not self._vector.same_step:
            self._keep_together(step, how.num_sequences * how.sequence_length)

    def _acting(
        self,
        params: Params,
        memory_state: MemoryState,
        inputs: Inputs,
        exploration: Array | None,
        keys: Key[Array, "length batch"],
        time: Array,
    ) -> tuple[Any, MemoryState, Any]:
        """Act: compiled."""
        return self.agent.act(
            params, memory_state, inputs, key=keys[time], exploration=exploration
        )

    def _valuing(
        self,
        params: Params,
        memory_state: MemoryState,
        inputs: Inputs,
        final_observation: Any,
        cut: Array,
    ) -> Array:
        """Values of episodes that were cut off: compiled."""
        nothing = jnp.zeros(cut.shape, float_dtype())
        step = Step(
            observation=inputs.observation,
            reward=nothing,
            terminated=jnp.zeros_like(cut),
            truncated=cut,
            final_observation=final_observation,
            info={},
            episode_return=nothing,
            episode_length=jnp.zeros(cut.shape, jnp.int32),
            action_mask=None,
            final_action_mask=None,
            final_hidden=None,
        )
        network = self.agent.network(params)
        return truncation_values(network.value, memory_state, inputs, step)

    def _note(self) -> None:
        """Write the last step down."""
        if self._held is None:
            return
        (step, row, written), self._held = self._held, None
        stream: Any = slice(None)  # all of them, in one row
        at: Any = row[0]
        if not self._vector.same_step:
            stream = np.flatnonzero(written)
            at = (row[stream], stream)

        def put(kept: np.ndarray, new: Any) -> None:
            kept[at] = np.asarray(new)[stream]

        jax.tree.map(put, self._rows, step)
        self._returns += np.where(written, step.reward, 0)
        self._lengths += written
        ended = (step.terminated | step.truncated) & written
        if ended.any():
            returns, lengths = self._returns[ended], self._lengths[ended]
            self._ended += (ended.sum(), returns.sum(), lengths.sum())
            self._returns[ended], self._lengths[ended] = 0, 0

    def _keep_together(self, step: HostStep, length: int) -> None:
        """Let streams that are a whole rollout ahead play an episode for nobody.

        Which ones is known before the episode is, so nothing is preferred.
        """
        near = self._row - self._row.min() <= length
        self._writes = np.where(step.start, near, self._writes)
        if self._row.max() >= len(self._rows.reward):
            raise HostError(
                f"stream {int(self._row.argmax())} of {self._vector.name} is "
                f"{AHEAD} rollouts ahead of stream {int(self._row.argmin())} within "
                "one episode, because its vectoriser ignores a step after every end; "
                "take vectorization=sync or async, or a larger agent.rollout_length"
            )

    # A rollout ---------------------------------------------------------------------

    def _make_room(self, params: Params, how: Gathering, length: int) -> None:
        """Blank rows: of one rollout, and where streams get ahead, of more."""
        batch = self.agent.num_envs
        rows = length if self._vector.same_step else (1 + AHEAD) * length

        keys = jax.random.split(jax.random.key(0), (1, batch))
        action, _, extras = jax.eval_shape(
            self._acting, params, self._memory, self._inputs, how.exploration, keys, 0
        )
        number = jax.ShapeDtypeStruct((batch,), float_dtype())
        flag = jax.ShapeDtypeStruct((batch,), bool)
        finals = Finals(self._inputs.observation, None) if how.keep_finals else None
        step = _Row(self._inputs, action, extras, number, flag, flag, number, finals)
        self._rows = jax.tree.map(lambda x: np.zeros((rows, *x.shape), x.dtype), step)
        self._entering = blank(rows // how.sequence_length, self._memory)

    def _keep_memory(self, sequence_length: int) -> None:
        """Keep the memory that enters a sequence."""
        begins = self._row % sequence_length == 0
        if begins.any():
            sequences = len(self._rows.reward) // sequence_length
            place = np.where(begins, self._row // sequence_length, sequences)
            self._entering = self._remember(self._entering, self._memory, place)

    def _finish(
        self, before: Streams, how: Gathering, length: int
    ) -> tuple[Streams, Rollout]:
        """The rollout that is complete, and where the streams stand after it."""
        transitions = jax.tree.map(lambda x: x[:length].copy(), self._rows)
        inputs, ahead = self._inputs, self._row > length
        entering, memory_state = self._entered(
            how.num_sequences, bool(ahead.any()), self._entering, self._memory, ahead
        )
        if ahead.any():  # what follows is written already
            following = jax.tree.map(lambda x: x[length], self._rows.inputs)
            inputs = jax.tree.map(lambda x, y: pick(np, ahead, x, y), following, inputs)
        dtype = float_dtype()
        episodes, returns, lengths = self._ended
        statistics = EpisodeStatistics(
            episodes=jnp.asarray(episodes, jnp.int32),
            episode_return=jnp.asarray(returns, dtype),
            episode_length=jnp.asarray(lengths, dtype),
            success=jnp.zeros((), dtype),
        )
        self._row = self._row - np.int32(length)
        if not self._vector.same_step:  # what is beyond begins the next rollout
            self._rows = jax.tree.map(lambda x: np.roll(x, -length, 0), self._rows)
            self._entering = moved(how.num_sequences, self._entering)
        env_state = VectorState(
            env_state=(),
            index=jnp.asarray(self._streams, jnp.int32),
            # Copies: an array of the device may share the memory of one of numpy.
            episode_return=jnp.asarray(self._returns.copy(), dtype),
            episode_length=jnp.asarray(self._lengths.copy()),
        )
        streams = before._replace(
            env_state=env_state, inputs=inputs, memory_state=memory_state
        )
        rollout = Rollout(transitions, entering, statistics)
        return jax.tree.map(jnp.asarray, (streams, rollout))
