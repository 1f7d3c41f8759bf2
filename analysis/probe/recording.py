"""What is written down of every step: memory, inputs and hidden variables."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from agents.base import Agent, Inputs
from agents.convert import ConfigError
from agents.experience.normalize import with_statistics
from agents.keys import Use, key_for
from agents.running.configuration.config import Plan
from agents.running.output.plan import memories_of
from agents.spaces import flatten_leaf, named_leaves, observation_keys
from analysis.probe.geometry import saturated_share
from analysis.probe.playing import Player, Steps, View, memory_of

MOST = 512
"""Numbers that are kept of a state or an observation; larger ones are sketched."""

BUDGET = 2**26
"""Numbers that are kept in all; fewer steps of each episode where that is too few."""


class Recording(NamedTuple):
    """The steps of all episodes as rows, in the order of time.

    Attributes:
        episode: number of the episode, `[rows]`.
        time: steps since it began, `[rows]`.
        state: the memory's state, which has read the observation of that step.
        untrained: the same of a fresh network that read the same.
        observed: what the policy saw at that step alone.
        norm: of the whole state, `[rows]`.
        saturated: share of its bounded numbers nearly at their bound, `[rows]`; None
            where the memory has none.
        hidden: by name, value `[rows, ...]` and steps since it could be observed.
        unchanging: share of the whole state's numbers that were always the same.
        spread: the standard deviation of every number observed, in the structure of
            an observation.
        steps: rewards, actions and ends, `[time, streams]`; nothing told.
    """

    episode: Int[np.ndarray, " rows"]
    time: Int[np.ndarray, " rows"]
    state: Float[np.ndarray, "rows numbers"]
    untrained: Float[np.ndarray, "rows numbers"]
    observed: Float[np.ndarray, "rows features"]
    norm: Float[np.ndarray, " rows"]
    saturated: Float[np.ndarray, " rows"] | None
    hidden: dict[str, tuple[np.ndarray, np.ndarray]]
    unchanging: float
    spread: Any
    steps: Steps


class Sketch:
    """A fixed random projection to at most `MOST` numbers.

    Every number is added to one of them with a random sign (count sketch: Charikar et
    al. 2002, "Finding frequent items in data streams"), which keeps norms and inner
    products in expectation and costs one addition per number.
    """

    def __init__(self, width: int):
        """Draw it for vectors of a width; narrow ones stay as they are."""
        self.width, self.kept = width, min(width, MOST)
        rng = np.random.default_rng(0)
        self._order = rng.permutation(width).astype(np.int32)
        self._signs = rng.choice(np.array([-1, 1], np.float32), width)

    def __call__(self, x: Float[Array, "rows width"]) -> Float[Array, "rows kept"]:
        """Project rows."""
        if self.width <= MOST:
            return x
        x = (x * jnp.asarray(self._signs)[None])[:, self._order]
        x = jnp.pad(x, ((0, 0), (0, -self.width % MOST)))
        return x.reshape(x.shape[0], -1, MOST).sum(1)


class Recorder:
    """Plays episodes with a trained policy and writes down what it remembers.

    Attributes:
        numbers: of the memory's state; 0 without one.
        limit: steps of each episode that are written down at most.
    """

    def __init__(self, plan: Plan, *, episodes: int, limit: int):
        """Prepare for a run; compiling happens at first use.

        Raises:
            ConfigError: a task that runs on the host.
        """
        self._agent, self._env = plan.agent, plan.evaluation_env
        self._exploration = plan.config["evaluation"]["exploration"]
        self._episodes = episodes
        self.numbers, features = widths(plan)
        self._of_state, self._of_inputs = Sketch(self.numbers), Sketch(features)
        width = 2 * self._of_state.kept + self._of_inputs.kept
        self.limit = min(limit, max(1, BUDGET // (episodes * width)))
        self._fresh = jax.jit(lambda key: self._agent.init(key).params)
        self._player = Player(
            plan, self._choose, self._first, episodes=episodes, limit=self.limit
        )

    def __call__(self, params: Any, *, seed_key: Any) -> Recording:
        """Play and write down.

        Args:
            params: of one seed.
            seed_key: that seed's, from which episodes come as in its evaluations.
        """
        key = key_for(seed_key, Use.EVALUATION)
        fresh = as_standardised(self._fresh(jax.random.fold_in(key, 1)), params)
        steps, (_, (low, high)) = self._player((params, fresh), key=key, extra=None)
        rows, sums = steps.told
        time, episode = np.nonzero(steps.playing)
        rows = jax.tree.map(lambda x: x[steps.playing], rows)
        return Recording(
            episode=episode,
            time=time,
            unchanging=float(np.mean(low == high)),
            spread=jax.tree.map(_deviation, *sums),
            steps=steps._replace(told=None),
            **rows,
        )

    def _first(self, params: Any, streams: int) -> Any:
        states = tuple(self._agent.initial_memory(x, streams) for x in params)
        infinite = jnp.full(self.numbers, jnp.inf, jnp.float32)
        return states, (infinite, -infinite)

    def _choose(self, params: Any, carried: Any, view: View, extra: Any) -> Any:
        del extra
        (memory, other), (low, high) = carried
        agent, how = self._agent, {"key": view.keys, "exploration": self._exploration}
        action, memory, _ = agent.act(params[0], memory, view.inputs, **how)
        _, other, _ = agent.act(params[1], other, view.inputs, **how)
        raw, on = numbers_of(memory_of(memory)), view.playing
        low = jnp.minimum(low, jnp.where(on[:, None], raw, jnp.inf).min(0))
        high = jnp.maximum(high, jnp.where(on[:, None], raw, -jnp.inf).max(0))
        own = next(iter(memories_of(agent.network(params[0]))), None)
        row = {
            "state": self._of_state(raw),
            "untrained": self._of_state(numbers_of(memory_of(other))),
            "observed": self._of_inputs(features_of(agent, view.inputs)),
            "norm": jnp.linalg.norm(raw, axis=1),
            "saturated": saturated_share(own, memory_of(memory)),
            "hidden": hidden_of(self._env, view.env_state),
        }
        sums = _sums(view.inputs.observation, on)
        return action, ((memory, other), (low, high)), (row, sums)


def widths(plan: Plan) -> tuple[int, int]:
    """Numbers of one stream's memory state, and of what the policy sees."""
    agent, env = plan.agent, plan.evaluation_env

    def find(key: Any) -> Any:
        observation, state = jax.tree.map(lambda x: x[None], env.reset(key))
        mask = None if env.action_mask is None else jax.vmap(env.action_mask)(state)
        inputs = agent.first_inputs(observation, mask, 1)
        memory = agent.initial_memory(agent.init(key).params, 1)
        return numbers_of(memory_of(memory)), features_of(agent, inputs)

    state, features = jax.eval_shape(find, jax.random.key(0))
    return state.shape[1], features.shape[1]


def as_standardised(fresh: Any, trained: Any) -> Any:
    """Fresh parameters that standardise observations as the trained ones do."""
    statistics = getattr(trained, "statistics", None)
    return fresh if statistics is None else with_statistics(fresh, statistics)


def numbers_of(state: Any) -> Float[Array, "streams numbers"]:
    """All numbers of the states of some streams, as float32; no state has none."""
    parts = []
    for leaf in jax.tree.leaves(state):
        flat = leaf.reshape(leaf.shape[0], -1)
        both = [flat.real, flat.imag] if jnp.iscomplexobj(flat) else [flat]
        parts += [x.astype(jnp.float32) for x in both]
    return jnp.concatenate(parts, axis=1) if parts else jnp.zeros((1, 0), jnp.float32)


def features_of(agent: Agent, inputs: Inputs) -> Float[Array, "streams features"]:
    """All that the policy sees at one step, choices as one-hot."""
    space, start = agent.env.observation_space, inputs.start[:, None]
    leaves = named_leaves(space, inputs.observation)
    parts = [
        flatten_leaf(x, leaves[name]) for name, x in observation_keys(space).items()
    ]
    parts.append(start)
    if inputs.previous_action is not None:
        action = flatten_leaf(agent.env.action_space, inputs.previous_action)
        parts.append(jnp.where(start, 0, action))
    if inputs.previous_reward is not None:
        parts.append(jnp.where(start, 0, inputs.previous_reward[:, None]))
    if inputs.action_mask is not None:
        parts.append(inputs.action_mask)
    return jnp.concatenate([part.astype(jnp.float32) for part in parts], axis=1)


def hidden_of(env: Any, env_state: Any) -> dict[str, tuple[Array, Array]]:
    """Hidden variables of some streams with their ages; empty without any."""
    return {} if env.hidden is None else jax.vmap(env.hidden)(env_state)


def needs_state(plan: Plan, run: Any) -> None:
    """Refuse to probe what keeps nothing.

    Raises:
        ConfigError: the memory has no state.
    """
    if not widths(plan)[0]:
        raise ConfigError(
            f"{run} has no memory state to probe: {plan.memory_name} keeps nothing "
            "from one step to the next; probe a run with another memory, such as "
            "memory=ffm."
        )


def _sums(observation: Any, on: Array) -> Any:
    """Sums over streams of every number observed, of its square, and how many."""

    def total(x: Array) -> tuple[Array, Array, Array]:
        mask = on.reshape(-1, *(1,) * (x.ndim - 1))
        kept = jnp.where(mask, x.astype(jnp.float32), 0)
        count = on.sum(dtype=jnp.float32)
        return (
            kept.sum(0),
            jnp.square(kept).sum(0),
            jnp.broadcast_to(count, x.shape[1:]),
        )

    parts = jax.tree.map(total, observation)
    return jax.tree.transpose(
        jax.tree.structure(observation), jax.tree.structure((0, 0, 0)), parts
    )


def _deviation(total: np.ndarray, square: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Standard deviations from the sums of every step, `[time, ...]`."""
    total, square, count = (x.sum(0, dtype=np.float64) for x in (total, square, count))
    variance = square / count - np.square(total / count)
    return np.sqrt(np.maximum(variance, 0)).astype(np.float32)
