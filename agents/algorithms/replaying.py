"""Learning from a replay: steps of the optimiser, each on windows of its own."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from agents.algorithms.minibatches import first_rollout_state
from agents.algorithms.optimizer import gradient_step
from agents.base import FINITE, Gathering, Params, all_finite
from agents.experience.normalize import (
    Moments,
    normalized,
    split_trainable,
    with_statistics,
)
from agents.experience.replay import Marks, Replay, Window
from agents.experience.rollout import Rollout, Streams, play
from agents.footprint import Part, bytes_of, of_streams
from agents.keys import Use, key_for, update_keys

LEARNED = ("params", "target", "optimizer_state", "marks")
"""Fields of the state that a step of the optimiser changes."""


def learn_from_replay(
    agent: Any, state: Any, *, reward_scale: Moments | None, key: PRNGKeyArray
) -> tuple[Any, dict[str, Array]]:
    """`gradient_steps` steps, once enough is written; metrics `[steps]`.

    Args:
        agent: with the settings of a replay, `windows`, `optimizer`, `target_of`, and
            `loss`: of parameters, a state, windows and a key, with the error of every
            row and whether it is known, and metrics.
        state: with the rollout written, and the number of updates that makes.
        reward_scale: statistics of the discounted return; None leaves rewards raw.
        key: source of what is sampled.
    """
    windows, updates = agent.windows, state.updates
    enough = updates * agent.steps_per_update >= agent.learning_starts
    ready = enough & windows.any_whole(state.replay, updates)
    if agent.axis_name is not None:  # all devices begin together, and draw otherwise
        key = jax.random.fold_in(key, jax.lax.axis_index(agent.axis_name))
        ready = jax.lax.pmin(ready.astype(jnp.int32), agent.axis_name) > 0

    def step(learned: Any, step: tuple[Array, PRNGKeyArray]) -> tuple[Any, Any]:
        number, key = step
        now = state._replace(**learned)
        window = windows.sample(now.replay, now.marks, updates, key=key)
        if reward_scale is not None:
            reward = window.rows.reward / reward_scale.deviation()
            window = window._replace(rows=window.rows._replace(reward=reward))
        params, optimizer_state, norm, (errors, metrics) = gradient_step(
            lambda p: agent.loss(p, now, window, key_for(key, Use.IMAGINED_ACTIONS)),
            agent.optimizer,
            now.params,
            now.optimizer_state,
            agent.axis_name,
        )
        target = followed(
            now.target,
            agent.target_of(split_trainable(params)[0]),
            number,
            period=agent.target_period,
            rate=agent.target_rate,
        )
        learned = {
            "params": params,
            "target": target,
            "optimizer_state": optimizer_state,
            "marks": windows.marked(now.marks, window, *errors),
        }
        return learned, {**metrics, "loss/gradient_norm": norm}

    before = {name: getattr(state, name) for name in LEARNED}
    numbers = (updates - 1) * agent.gradient_steps + jnp.arange(
        1, agent.gradient_steps + 1, dtype=jnp.int32
    )
    keys = jax.random.split(key, agent.gradient_steps)
    learned, metrics = jax.lax.scan(step, before, (numbers, keys))
    learned = jax.tree.map(lambda x, y: jnp.where(ready, x, y), learned, before)
    metrics = {name: jnp.where(ready, x, 0) for name, x in metrics.items()}
    return state._replace(**learned), metrics


class ReplayState(NamedTuple):
    """Everything that evolves in a run of an agent with a replay.

    Attributes:
        params: arrays of the network, statistics included.
        target: the trainable ones of the target network.
        optimizer_state: Optax's.
        streams: environments, inputs and memory states, `[batch, ...]`.
        replay: what was experienced, `[batch, ...]`.
        marks: priorities of it, `[batch, ...]`.
        key: the run's key; updates fold their number into it.
        updates: updates made so far.
    """

    params: Params
    target: Params
    optimizer_state: optax.OptState
    streams: Streams
    replay: Replay
    marks: Marks
    key: PRNGKeyArray
    updates: Int[Array, ""]


def first_replay_state(
    agent: Any, key: PRNGKeyArray, params: Params | None
) -> ReplayState:
    """A state before any experience.

    Args:
        agent: with `windows`, `target_of`, an `optimizer` and the settings of `Agent`.
        key: the seed's.
        params: to begin with, in place of new ones.
    """
    first = first_rollout_state(agent, key, params)
    replay, marks = agent.windows.empty(agent, first.streams)
    target = agent.target_of(split_trainable(first.params)[0])
    return ReplayState(
        **first._asdict(),
        target=jax.tree.map(jnp.copy, target),
        replay=replay,
        marks=marks,
    )


def replay_gathering(agent: Any, state: Any) -> Gathering:
    """How an agent with a replay plays: what steps led to is kept, and not valued."""
    length = agent.windows.sequence_length
    return Gathering(
        key=update_keys(state)[0],
        exploration=agent.exploration(state.streams.env_state.index, state.updates),
        num_sequences=agent.rollout_length // length,
        sequence_length=length,
        values=False,
        keep_finals=True,
    )


def write_and_learn(
    agent: Any, state: ReplayState, streams: Streams, rollout: Rollout
) -> tuple[ReplayState, dict[str, Array]]:
    """Write down what was played, and learn from what is written.

    Args:
        agent: with `windows`, `loss` and `target_of`.
        state: from before the rollout.
        streams: where they stand after it.
        rollout: what was played.

    Returns:
        The new state, and metrics `[gradient steps]`; `FINITE` says whether what was
        written down is: it would be learned from later.
    """
    # WRITE
    replay, marks = agent.windows.write(
        state.replay, state.marks, rollout, state.updates
    )

    # STATISTICS: in force for rewards now, for observations from the next update.
    statistics, streams, _ = normalized(agent, state.params, streams, rollout)

    # LEARN
    key = update_keys(state)[1]
    state = state._replace(
        streams=streams, replay=replay, marks=marks, updates=state.updates + 1
    )
    state, losses = learn_from_replay(
        agent, state, reward_scale=statistics.reward, key=key
    )
    params = with_statistics(state.params, statistics)
    steps = rollout.transitions
    seen = (steps.inputs.observation, steps.reward, steps.finals)
    kept = all_finite(seen).astype(jnp.float32)
    return state._replace(params=params), {**losses, FINITE: kept}


def followed(
    target: Params,
    trainable: Params,
    number: Int[Array, ""],
    *,
    period: int | None,
    rate: float,
) -> Params:
    """A target network after a step of the optimiser.

    Args:
        target: before.
        trainable: what it follows.
        number: of the step, from 1.
        period: steps between copies; None to follow by `rate` at every step.
        rate: share of the way that it goes.
    """
    if period is None:
        return jax.tree.map(lambda x, y: x + rate * (y - x), target, trainable)
    now = number % period == 0
    return jax.tree.map(lambda x, y: jnp.where(now, y, x), target, trainable)


def replay_footprint(agent: Any) -> dict[str, Part]:
    """Parts of an agent with a replay, by tracing its own functions."""
    key = jax.eval_shape(jax.random.key, 0)
    state = jax.eval_shape(agent.init, key)
    rollout = jax.eval_shape(lambda state: play(agent, state)[1], state)
    window = jax.eval_shape(
        agent.windows.sample, state.replay, state.marks, state.updates, key=key
    )

    def kept(state: Any, window: Window, key: PRNGKeyArray) -> Any:
        """What the forward pass keeps: the leaves of its transpose."""
        trainable, fixed = split_trainable(state.params)

        def loss(trainable: Params) -> Array:
            return agent.loss(eqx.combine(trainable, fixed), state, window, key)[0]

        return jax.vjp(loss, trainable)[1]

    learning = jax.eval_shape(kept, state, window, key)
    others = (*agent.stream_fields, "key", "updates")
    learned = [getattr(state, name) for name in state._fields if name not in others]
    memory = "memory.output_size"
    stored = (memory,) if agent.windows.start == "stored" else ()
    return {
        "parameters": Part(bytes_of(learned), "kept", (memory,)),
        **of_streams(state.streams),
        "replay": Part(
            bytes_of((state.replay, state.marks)),
            "experience",
            ("agent.replay_size", *stored),
        ),
        "rollout": Part(
            bytes_of(rollout),
            "training",
            ("agent.num_envs", "agent.rollout_length", memory),
        ),
        "learning": Part(
            bytes_of((window, learning)),
            "training",
            ("agent.batch_size", "agent.sequence_length", memory),
        ),
    }
