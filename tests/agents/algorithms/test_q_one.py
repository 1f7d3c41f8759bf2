"""The learner of DQN recomputes exactly the action values that acted, and its targets
are those of a plain loop over the steps.

With parameters redrawn and a replay that has wrapped, over terminations, truncations
and both. Mistakes that other implementations make are planted to see that the test sees
them.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from agents.algorithms.dqn import DQN
from agents.base import Inputs
from agents.experience.normalize import split_trainable
from agents.experience.rollout import play
from agents.experience.tape import at_places
from tests.agents.algorithms.test_ratio_one import (
    first_state,
    flipped,
    redrawn,
    some_of,
)
from tests.agents.toy import MaskedToy, Toy, task_and_memory

ROLLOUTS, TIME, BATCH = 8, 8, 6
KEY = jax.random.key(0)


def make_agent(memory="gru", env=None, **settings):
    defaults = {
        "num_envs": BATCH,
        "rollout_length": TIME,
        "replay_size": BATCH * 6 * TIME,
        "learning_starts": 0,
        "batch_size": 24,
        "sequence_length": 12,
        "burn_in": 0,
        "replay_period": 4,
        "replay_start": "stored",
        "exploration_last": 0.3,
        "encoder_size": 8,
        "head_size": 32,
    }
    return DQN(**{**task_and_memory(memory, env), **defaults, **settings})


class Case(NamedTuple):
    """An agent, its state after some rollouts, what it valued then, and windows.

    `step` takes parameters, memory states and inputs; `finals_of` a row's number.
    """

    agent: DQN
    state: Any
    acted: np.ndarray
    window: Any
    step: Callable[..., Any]
    finals_of: Callable[..., Any]


def new_case(memory="gru", env=None, **settings):
    agent = make_agent(memory, env, **settings)
    params = redrawn(agent)
    # With a target network of its own.
    target = flipped(split_trainable(params)[0])
    state = first_state(agent, params=params, target=target)

    @jax.jit
    def played(state):
        streams, rollout = play(agent, state)
        replay, marks = agent.windows.write(
            state.replay, state.marks, rollout, state.updates
        )
        state = state._replace(
            streams=streams, replay=replay, marks=marks, updates=state.updates + 1
        )
        return state, rollout.transitions.extras.values

    acted = []
    for _ in range(ROLLOUTS):
        state, values = played(state)
        acted.append(values)
    window = jax.jit(
        lambda state: agent.windows.sample(
            state.replay, state.marks, state.updates, key=jax.random.key(2)
        )
    )(state)

    @jax.jit
    def step(params, state, inputs):
        return agent.network(params).step(state, inputs)

    @jax.jit
    def finals_of(row):
        at = jnp.full((1, window.stream.shape[0]), row)
        finals = agent.windows.ring.finals_of(state.replay, window, at)
        return jax.tree.map(operator.itemgetter(0), finals)

    return Case(agent, state, np.concatenate(acted), window, step, finals_of)


_shared_case = functools.cache(new_case)


def case_of(memory="gru", env=None, **settings):
    """A case, which is made once for all tests that ask for the same."""
    return _shared_case(memory, env, **settings)


def first_rows(case):
    """The absolute number of each window's first row."""
    ring = case.agent.windows.ring
    first = np.asarray(case.window.item) * ring.period
    written = ROLLOUTS * TIME
    return first + ring.capacity * ((written - 1 - first) // ring.capacity)


def learned_values(case, window=None, params=None):
    """What the learner computes: values by place, its tape, rows, layout, by row."""
    agent, state = case.agent, case.state
    window = case.window if window is None else window

    @jax.jit
    def compute(params, replay, window):
        tape, rows, layout = agent.windows.tape(replay, window)
        values = agent._values(params, window, tape)
        return values, tape, rows, layout, at_places(values, layout.place)

    return compute(state.params if params is None else params, state.replay, window)


def gap(case, window=None):
    """Largest difference to the values that acted, over the rows of all windows."""
    found = np.asarray(learned_values(case, window)[-1])
    row = first_rows(case)[None] + case.agent.windows.burn_in
    row = row + np.arange(found.shape[0])[:, None]
    acted = case.acted[row, np.asarray(case.window.stream)[None]]
    return np.abs(found - acted).max()


def stepped(case, params):
    """Values of windows' rows, and of what each led to before any reset, by steps."""
    agent, window = case.agent, case.window
    state, windows = window.memory_states, window.stream.shape[0]
    if state is None:
        state = agent.network(params).initial_state(windows)
    rows, of_rows, of_finals = jax.tree.map(np.asarray, window.rows), [], []
    for t in range(agent.windows.ring.length):
        inputs = jax.tree.map(operator.itemgetter(t), rows.inputs)
        state, values = case.step(params, state, inputs)
        of_rows.append(values)
        finals = case.finals_of(jnp.asarray(t, jnp.int32))
        if finals is None:
            continue
        seen = Inputs(
            observation=finals.observation,
            start=np.zeros(windows, bool),
            previous_action=None if inputs.previous_action is None else rows.action[t],
            previous_reward=None if inputs.previous_reward is None else rows.reward[t],
            action_mask=finals.action_mask,
        )
        allowed = agent.choices.allowed(seen.action_mask)
        of_finals.append((case.step(params, state, seen)[1], allowed))
    return of_rows, of_finals


def targets_by_hand(case):
    """n-step double-Q targets `[rows, windows]`, nan where what follows is gone."""
    agent, rows = case.agent, jax.tree.map(np.asarray, case.window.rows)
    fixed = split_trainable(case.state.params)[1]
    own, own_finals = stepped(case, case.state.params)
    other, other_finals = stepped(case, eqx.combine(case.state.target, fixed))
    masks = agent.choices.allowed(case.window.rows.inputs.action_mask)
    burn, length = agent.windows.burn_in, agent.windows.ring.length

    def best(own, other, allowed, i):
        options = np.asarray(own[i], np.float64)
        if allowed is not None:
            options[~np.asarray(allowed[i])] = -np.inf
        return float(other[i][options.argmax()])

    def value_behind(t, i):
        if rows.cut[t, i]:
            (one, allowed), (two, _) = own_finals[t], other_finals[t]
            return best(one, two, allowed, i) if case.window.kept[t, i] else np.nan
        mask = None if masks is None else masks[t + 1]
        return best(own[t + 1], other[t + 1], mask, i)

    def target(t, i, steps):
        reward = float(rows.reward[t, i])
        if rows.terminated[t, i]:
            return reward
        if steps == 1 or rows.truncated[t, i] or t + 1 == length - 1:
            return reward + agent.gamma * value_behind(t, i)
        return reward + agent.gamma * target(t + 1, i, steps - 1)

    found = [
        [target(t, i, agent.n_step) for i in range(agent.batch_size)]
        for t in range(burn, length - 1)
    ]
    taken = [np.asarray(own[t]) for t in range(burn, length - 1)]
    return np.array(found), np.stack(taken)


def errors(case, window=None):
    """The errors that the loss is made of, and which of them count."""
    window = case.window if window is None else window
    state = case.state
    compute = jax.jit(case.agent.loss)
    _, ((error, known), _) = compute(state.params, state, window, KEY)
    return np.asarray(error), np.asarray(known)


CASES = {
    "masked multi, tuple, previous action and reward": {
        "env": MaskedToy("multi", "tuple"),
        "previous_action": True,
        "previous_reward": True,
        "n_step": 2,
    },
    "masked offset, dict, dueling": {
        "env": MaskedToy("offset", "dict"),
        "dueling": True,
    },
    "pixels": {"env": Toy("discrete", "pixels")},
    "normalised": {"env": Toy(observations="dict"), "normalize_observation": True},
    "never truncates": {"env": Toy(truncates=False), "n_step": 2},
}


@pytest.mark.shows("a memory of every mechanism", "dqn")
@pytest.mark.shows("Discrete actions", "dqn")
@pytest.mark.parametrize("memory", some_of("gru", "attention"))
def test_every_mechanism(memory):
    case = case_of(memory)
    rows = case.window.rows
    assert rows.terminated.any() and rows.cut.any()
    assert (rows.terminated & rows.truncated).any()
    assert gap(case) <= 1e-4


@pytest.mark.shows("MultiDiscrete actions", "dqn")
@pytest.mark.shows("Dict and Tuple observations", "dqn")
@pytest.mark.shows("pixels", "dqn")
@pytest.mark.shows("previous action and reward", "dqn")
@pytest.mark.parametrize("case", CASES)
def test_every_space_and_setting(case):
    assert gap(case_of(**CASES[case])) <= 1e-4


@pytest.mark.parametrize("memory", ["ffm", pytest.param("gru", marks=pytest.mark.slow)])
def test_double_precision(memory, x64):
    case = new_case(memory)
    assert case.acted.dtype == jnp.float64
    assert gap(case) <= 1e-9


@pytest.mark.shows("all 42 memories", "dqn")
@pytest.mark.slow
@pytest.mark.parametrize("memory", memory_models.names())
def test_every_memory(memory, x64):
    assert gap(new_case(memory)) <= 1e-9


@pytest.mark.parametrize("memory", ["frame_stack", "none"])
def test_a_finite_context_needs_no_stored_state(memory):
    """Zero state and a burn-in of the context: values are those that acted."""
    case = case_of(memory, replay_start=None, burn_in=None)
    windows = case.agent.windows
    assert windows.start == "zero" and case.window.memory_states is None
    assert windows.burn_in == case.agent.windows.burn_in >= (memory != "none")
    assert gap(case) <= 1e-4
    if memory != "none":
        short = case_of(memory, replay_start="zero", burn_in=0)
        assert gap(short) > 1e-2


def test_episodes_from_their_start_need_no_stored_state():
    case = case_of("gru", replay_start="episode", burn_in=None)
    assert case.window.rows.inputs.start[0].all()
    assert case.window.memory_states is None and gap(case) <= 1e-4


@pytest.mark.shows("exact truncation", "dqn")
@pytest.mark.parametrize(
    "settings",
    [
        {"n_step": 1},
        pytest.param({"n_step": 3}, marks=pytest.mark.slow),
        {"n_step": 3, "burn_in": 3},
        CASES["masked multi, tuple, previous action and reward"],
        CASES["never truncates"],
    ],
)
def test_targets_are_those_of_a_loop_over_the_steps(settings):
    case = case_of("gru", **settings)
    expected, taken = targets_by_hand(case)
    error, known = errors(case)
    number = case.agent.choices.number(case.window.rows.action)
    number = np.asarray(number)[case.agent.windows.burn_in : -1]
    taken = np.take_along_axis(taken, number[..., None], axis=-1)[..., 0]
    assert known.mean() > 0.5
    np.testing.assert_allclose(error[known], (expected - taken)[known], atol=1e-4)
    assert (error[~known] == 0).all()
    # What is left out: only what followed was gone, or found no place on the tape.
    assert (
        known[~np.isnan(expected)].mean() > 0.9 and not np.isnan(expected[known]).any()
    )


# Planted mistakes, each in the learner's pass only ------------------------------


def changed(window, **inputs):
    """A window with other inputs."""
    rows = window.rows
    return window._replace(rows=rows._replace(inputs=rows.inputs._replace(**inputs)))


@pytest.mark.parametrize("memory", some_of("gru", "attention")[1:])
def test_planted_mistakes_are_seen(memory):
    case = case_of(memory)
    start = case.window.rows.inputs.start
    assert gap(case, changed(case.window, start=jnp.roll(start, 1, axis=0))) > 1e-2
    assert gap(case, changed(case.window, start=jnp.zeros_like(start))) > 1e-2
    # The state stored after the step instead of before it.
    first = jax.tree.map(operator.itemgetter(0), case.window.rows.inputs)
    after = case.step(case.state.params, case.window.memory_states, first)[0]
    assert gap(case, case.window._replace(memory_states=after)) > 1e-2


def test_the_current_action_for_the_previous_one_is_seen():
    case = case_of(**CASES["masked multi, tuple, previous action and reward"])
    rows = case.window.rows
    assert gap(case, changed(case.window, previous_action=rows.action)) > 1e-2
    assert gap(case, changed(case.window, previous_reward=rows.reward)) > 1e-2


def test_bootstrapping_across_a_truncation_is_seen():
    """What follows is the final observation, not the next episode's first."""
    case = case_of("gru")
    values, _, rows, layout, _ = learned_values(case)
    cut = np.asarray(rows.cut & layout.known)[:-1]
    behind = np.asarray(at_places(values, layout.place + 1)).max(-1)[:-1]
    following = np.asarray(at_places(values, layout.place)).max(-1)[1:]
    difference = np.abs(behind - following)
    assert cut.any() and difference[cut].min() > 1e-2
    going_on = ~np.asarray(rows.terminated | rows.truncated)[:-1]
    assert difference[going_on].max() == 0


def test_an_end_that_nothing_tells_of_is_left_out():
    """An episode begins behind a step that did not end one: a run was resumed there."""
    case = case_of("gru", n_step=1)
    error, known = errors(case)
    rows = case.window.rows
    untold = rows._replace(
        truncated=jnp.zeros_like(rows.truncated),
        final=jnp.full_like(rows.final, -1),
    )
    window = case.window._replace(rows=untold, kept=jnp.zeros_like(case.window.kept))
    planted, counted = errors(case, window)
    cut = np.asarray(rows.cut[:-1])
    assert not counted[cut].any() and counted[~cut].all()
    np.testing.assert_allclose(planted[known & ~cut], error[known & ~cut], atol=1e-5)


def test_a_final_observation_seen_with_the_memory_after_the_reset_is_seen():
    case = case_of("gru")
    values, tape, _, layout, _ = learned_values(case)
    network = case.agent.network(case.state.params)
    reset = tape._replace(start=tape.start | layout.final)
    planted = jax.jit(lambda state, tape: network.sequence(state, tape))(
        case.window.memory_states, reset
    )[1]
    difference = np.abs(planted - values).max(-1)
    final = np.asarray(layout.final)
    assert final.any() and difference[final].min() > 1e-2
    assert difference[~final].max() <= 1e-5


def test_targets_that_never_saw_the_first_row_are_seen():
    """The stream of next observations, run as a sequence of its own."""
    case = case_of("gru", n_step=1)
    values, tape, _, layout, _ = learned_values(case)
    network = case.agent.network(case.state.params)
    following = jax.tree.map(lambda x: x[1:], tape)
    alone = jax.jit(lambda state, tape: network.sequence(state, tape))(
        case.window.memory_states, following
    )[1]
    row = np.asarray(layout.row)
    same = np.asarray(case.window.rows.inputs.start).cumsum(0) == 0  # first episode
    first = np.take_along_axis(same, row, axis=0)[1:] & ~np.asarray(layout.final)[1:]
    assert first.any()
    assert np.abs(alone - values[1:]).max(-1)[first].max() > 1e-2


def test_no_gradient_reaches_what_came_before():
    """Of the first row's observation, which only the burn-in saw."""
    case = case_of("gru", n_step=3, burn_in=3)
    agent, state, window = case.agent, case.state, case.window
    first = jnp.zeros_like(window.rows.inputs.observation).at[0].set(1.0)

    def loss(scale):
        observation = window.rows.inputs.observation + scale * first
        seen = changed(window, observation=observation)
        return agent.loss(state.params, state, seen, KEY)[0]

    assert jax.jit(jax.grad(loss))(0.0) == 0
    assert jax.jit(loss)(1.0) != jax.jit(loss)(0.0)


def test_what_is_not_known_weighs_nothing():
    """Rewards of such rows change neither the loss nor its gradient."""
    case = case_of("gru", n_step=2)
    agent, state, window = case.agent, case.state, case.window
    window = window._replace(kept=jnp.zeros_like(window.kept))
    _, known = errors(case, window)
    cut = np.asarray(window.rows.cut[:-1])
    assert cut.any() and not known[cut].any()
    before = np.roll(cut, -1, axis=0)
    before[-1] = False
    stops = np.asarray(window.rows.terminated[:-1])
    assert not known[before & ~stops].any()
    assert known[~cut & ~(before & ~stops)].all()

    @jax.jit
    def gradient(reward):
        rows = window.rows._replace(reward=reward)
        trainable, fixed = split_trainable(state.params)
        return jax.grad(
            lambda p: agent.loss(
                eqx.combine(p, fixed), state, window._replace(rows=rows), KEY
            )[0]
        )(trainable)

    reward = window.rows.reward
    noisy = jnp.where(jnp.asarray(np.pad(cut, ((0, 1), (0, 0)))), reward + 100, reward)
    for x, y in zip(
        jax.tree.leaves(gradient(reward)), jax.tree.leaves(gradient(noisy)), strict=True
    ):
        np.testing.assert_array_equal(x, y)
