"""The T-maze against its rules written out as a plain loop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.mazes.corridor import DOWN, LEFT, RIGHT, UP
from envs.mazes.tmaze import TMaze, random_return


def reference(length, active, goal, actions):
    """Observations, rewards and ends by Ni et al.'s rules."""
    offset = 1 if active else 0
    steps = length + 2 * offset + 1
    x, y, cue_seen = offset, 0, False
    cells = {(i, 0) for i in range(length + offset + 1)}
    cells |= {(length + offset, 1), (length + offset, -1)}

    def observe():
        nonlocal cue_seen
        if x == 0 and not cue_seen:
            cue_seen = True
            return (0, goal)
        return (1, y) if x == length + offset else (0, 0)

    trace = [(observe(), None, False)]
    for time, action in enumerate(actions[:steps], start=1):
        move = {0: (1, 0), 1: (0, 1), 2: (-1, 0), 3: (0, -1)}[int(action)]
        if (x + move[0], y + move[1]) in cells:
            x, y = x + move[0], y + move[1]
        if time == steps:
            reward = float(y == goal)
        else:
            reward = -1 / length if x < time - offset else 0.0
        trace.append((observe(), reward, time == steps))
    return trace


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7])
def test_agrees_with_the_rules(length, active):
    env = TMaze(length, active)
    steps = env.card.max_episode_steps
    rng = np.random.default_rng(length)
    # From aimless to always right, so that junction and arms are reached.
    probabilities = [(0.25,) * 4, (0.8, 0.1, 0.05, 0.05), (0.6, 0.1, 0.2, 0.1)]
    actions = np.stack(
        [rng.choice(4, steps, p=probabilities[i % 3]) for i in range(300)]
    )
    actions[::5, :] = RIGHT
    if active:
        actions[::5, 0] = LEFT
    actions[::5, -1] = rng.choice([UP, DOWN], 60)
    keys = jax.random.split(jax.random.key(0), 300)
    first, state = jax.jit(jax.vmap(env.reset))(keys)
    first, goals = np.asarray(first), np.asarray(state.goal)
    assert set(goals) == {-1, 1}

    def body(state, action):
        observation, state, reward, terminated, truncated, info = jax.vmap(
            env.step, (None, 0, 0)
        )(jax.random.key(0), state, action)
        return state, (observation, reward, terminated, truncated, info)

    _, trace = jax.jit(lambda s, a: jax.lax.scan(body, s, a))(
        state, jnp.asarray(actions.T, jnp.int32)
    )
    observation, reward, terminated, truncated, info = jax.tree.map(np.asarray, trace)
    assert not truncated.any()
    for i in range(300):
        expected = reference(length, active, goals[i], actions[i])
        assert tuple(first[i]) == expected[0][0]
        for t, (seen, paid, ended) in enumerate(expected[1:]):
            assert tuple(observation[t, i]) == seen, (i, t)
            assert abs(reward[t, i] - paid) < 1e-6, (i, t)
            assert terminated[t, i] == ended, (i, t)
    assert (info["success"] == (reward == 1)).all()
    assert info["decision"].any() and (info["decision"] <= terminated).all()


@pytest.mark.parametrize("length, active", [(1, False), (3, False), (2, True)])
def test_floor_by_enumeration(length, active):
    steps = length + 2 * active + 1
    total = 0.0
    for code in range(4**steps):
        actions = [(code >> (2 * t)) & 3 for t in range(steps)]
        total += sum(r or 0 for _, r, _ in reference(length, active, 1, actions))
    assert random_return(length, active) == pytest.approx(total / 4**steps)


def best_stationary(length, active):
    """The best deterministic map from observations to actions, by enumeration."""
    views = [(0, 1), (0, -1), (0, 0), (1, 0), (1, 1), (1, -1)]
    env_steps = length + 2 * active + 1
    best = -np.inf
    for code in range(4**6):
        policy = {v: (code >> (2 * i)) & 3 for i, v in enumerate(views)}
        total = 0.0
        for goal in (1, -1):
            actions = []
            for _ in range(env_steps):
                last = reference(length, active, goal, actions)[-1]
                actions.append(policy[last[0]])
            total += sum(r or 0 for _, r, _ in reference(length, active, goal, actions))
        best = max(best, total / 2)
    return best


@pytest.mark.parametrize("length, active", [(1, False), (2, False), (1, True)])
def test_memoryless_by_enumeration(length, active):
    """Neither position nor delay stores the cue: no stationary map beats one half."""
    assert best_stationary(length, active) == pytest.approx(0.5)
    assert TMaze(length, active).card.memoryless.value == 0.5


def test_card_and_hidden():
    assert envs.make("TMaze-v0", length=9).card.horizon == (9, 9)
    env = envs.make("TMazeActive-v0", length=9)
    assert env.card.horizon == (10, 10)
    _, state = env.reset(jax.random.key(0))
    assert int(env.hidden(state)["goal"][1]) == -1  # the cue has not been seen
    step = jax.jit(lambda s, a: env.step(jax.random.key(0), s, a))
    ages, phases = [], []
    for action in [LEFT, *[RIGHT] * 10, UP]:
        _, state, *_, info = step(state, jnp.int32(action))
        ages.append(int(env.hidden(state)["goal"][1]))
        phases.append(env.card.phases[int(info["phase"])])
    assert ages == list(range(12))  # 0 when the cue is on show, 10 at the decision
    assert phases == ["corridor", "cue", *["corridor"] * 9, "junction"]
    _, state = TMaze().reset(jax.random.key(0))
    info = TMaze().step(jax.random.key(0), state, jnp.int32(RIGHT))[-1]
    assert TMaze().card.phases[int(info["phase"])] == "cue"  # passive: at once


def test_length_is_checked():
    with pytest.raises(ValueError, match="not 0"):
        TMaze(length=0)
