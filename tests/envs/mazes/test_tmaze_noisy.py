"""RATE's T-maze against its rules written out as a plain loop, and its card."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs.mazes.corridor import DOWN, LEFT, RIGHT, UP
from envs.mazes.tmaze_noisy import TMazeNoisy, random_return

MOVES = {RIGHT: (1, 0), UP: (0, 1), LEFT: (-1, 0), DOWN: (0, -1)}


def reference(length, goal, actions):
    """[y, cue, flag], reward and end by the rules of RATE's evaluation.

    Its environment calls this an episode_length of corridor_length + 2, oracle_length
    0, goal_reward 1 and penalty 0; the flag is added by the loop around it.
    """
    free = {(x, 0) for x in range(length + 1)} | {(length, 1), (length, -1)}
    place, visited = (0, 0), False

    def look():
        nonlocal visited
        cue = 0
        if place[0] == 0 and not visited:
            visited, cue = True, goal
        return (place[1], cue, int(place[0] == length))

    trace = [(look(), None, False)]
    for time, action in enumerate(actions, start=1):
        dx, dy = MOVES[int(action)]
        if (place[0] + dx, place[1] + dy) in free:
            place = (place[0] + dx, place[1] + dy)
        ended = time >= length + 2 or (place[0] == length and place[1] != 0)
        reward = float(ended and place[1] == goal)
        trace.append((look(), reward, ended))
        if ended:
            break
    return trace


@pytest.fixture(scope="module", params=[1, 5])
def played(request):
    """300 episodes of mixed play with their observations `[time, stream, 4]`."""
    env = TMazeNoisy(request.param)
    steps = env.card.max_episode_steps
    rng = np.random.default_rng(steps)
    actions = rng.choice(4, (300, steps), p=(0.7, 0.1, 0.1, 0.1))
    actions[::3] = RIGHT
    actions[::3, -1] = rng.choice([UP, DOWN], 100)  # with the spare step
    actions[1::3] = RIGHT
    actions[1::3, -2] = rng.choice([UP, DOWN], 100)  # at once
    keys = jax.random.split(jax.random.key(0), 300)
    first, state = jax.jit(jax.vmap(env.reset))(keys)

    def body(state, inputs):
        key, action = inputs
        keys = jax.random.split(key, 300)
        step = jax.vmap(env.step)(keys, state, action)
        return step[1], (step[0], *step[2:], jax.vmap(env.hidden)(state)["goal"])

    inputs = (jax.random.split(jax.random.key(1), steps), jnp.asarray(actions.T))
    trace = jax.jit(lambda s, i: jax.lax.scan(body, s, i)[1])(state, inputs)
    goals = np.asarray(state.goal)
    return env, actions, goals, np.asarray(first), jax.tree.map(np.asarray, trace)


def test_agrees_with_the_rules(played):
    env, actions, goals, first, trace = played
    observation, reward, terminated, truncated, info, (value, age) = trace
    assert not truncated.any() and set(goals) == {-1, 1}
    lengths = set()
    for i in range(300):
        expected = reference(env.length, goals[i], actions[i])
        assert tuple(first[i, :3]) == expected[0][0]
        for t, (seen, paid, ended) in enumerate(expected[1:]):
            assert tuple(observation[t, i, :3]) == seen, (i, t)
            assert (reward[t, i], terminated[t, i]) == (paid, ended), (i, t)
            assert info["success"][t, i] == (paid == 1)
            before = expected[t][0]
            at_junction = before[2] == 1
            assert info["decision"][t, i] == at_junction
            assert info["phase"][t, i] == (2 if at_junction else 0 if t == 0 else 1)
            assert (value[t, i], age[t, i]) == (goals[i], t)
        lengths.add(len(expected) - 1)
    # The shortest way and the one with the spare step, both paid.
    assert lengths == {env.length + 1, env.length + 2}
    for t in (env.length, env.length + 1):
        assert (reward[t] == 1).any()
    assert env.card.horizon == (env.length, env.length + 1)


def test_noise_is_uniform_and_tells_nothing(played):
    _, _, goals, first, trace = played
    noise = np.concatenate([first[None], trace[0]])[:, :, 3]
    assert set(np.unique(noise)) == {-1, 0, 1}
    for given in (1, -1):  # three values, 5 sigma, whichever the goal
        drawn = noise[:, goals == given].ravel()
        deviation = 5 * np.sqrt(2 / 9 / drawn.size)
        assert all(abs((drawn == v).mean() - 1 / 3) < deviation for v in (-1, 0, 1))
    # Anew at each step: two in a row agree one time in three.
    same = (noise[1:] == noise[:-1]).mean()
    assert abs(same - 1 / 3) < 5 * np.sqrt(2 / 9 / noise[1:].size)


def test_goals_are_fair():
    keys = jax.random.split(jax.random.key(2), 4000)
    goals = jax.jit(jax.vmap(lambda key: TMazeNoisy().reset(key)[1].goal))(keys)
    assert abs(np.asarray(goals).mean()) < 5 / np.sqrt(4000)


@pytest.mark.parametrize("length", [1, 2, 4])
def test_floor_by_enumeration(length):
    paid = [
        sum(reward or 0 for _, reward, _ in reference(length, 1, actions))
        for actions in itertools.product(range(4), repeat=length + 2)
    ]
    assert random_return(length) == pytest.approx(np.mean(paid))
    assert TMazeNoisy(length).card.floor.value == random_return(length)


def stationary_returns(length, start, corridor, junction):
    """Exact returns of many stochastic stationary policies by dynamic programming.

    Probabilities of right, up, left, down: `start` `[policies, cue, 4]`, of the first
    observation; `corridor` and `junction` `[policies, 4]`. A policy may use the noise:
    as it is drawn anew at each step, that is one more way to be stochastic.
    """
    total = np.zeros(len(corridor))
    for cue, side in ((0, UP), (1, DOWN)):
        cells = np.zeros((len(corridor), length + 1))
        cells[:, 0] = 1.0
        for time in range(length + 2):
            policy = np.repeat(corridor[:, None], length + 1, 1)
            policy[:, -1] = junction
            if time == 0:
                policy[:, 0] = start[:, cue]
            flow = cells[:, :, None] * policy
            total += flow[:, -1, side] / 2
            cells = flow[:, :, UP] + flow[:, :, DOWN]
            cells[:, -1] = 0.0
            cells[:, 1:] += flow[:, :-1, RIGHT]
            cells[:, -1] += flow[:, -1, RIGHT]
            cells[:, :-1] += flow[:, 1:, LEFT]
            cells[:, 0] += flow[:, 0, LEFT]
    return total


@pytest.mark.parametrize("length", [1, 3])
def test_memoryless_by_search(length):
    """No stationary policy beats one half: the spare step cannot carry the cue."""
    rng = np.random.default_rng(0)
    corners = np.array(list(itertools.product(range(4), repeat=4)))
    one_hot = np.eye(4)[corners]
    spread = rng.dirichlet(np.full(4, 0.3), (20_000, 4))
    # Near the best: walk on, idle on one cue, turn or wait at the junction.
    spread[::2, 2] = spread[::2, 0] = np.eye(4)[RIGHT]
    policies = np.concatenate([one_hot, spread])
    returns = stationary_returns(
        length, policies[:, :2], policies[:, 2], policies[:, 3]
    )
    memoryless = TMazeNoisy(length).card.memoryless.value
    assert returns.max() == pytest.approx(memoryless) == 0.5
    uniform = np.full((1, 4, 4), 0.25)
    value = stationary_returns(length, uniform[:, :2], uniform[:, 2], uniform[:, 3])
    assert value[0] == pytest.approx(random_return(length))


def test_length_is_checked():
    with pytest.raises(ValueError, match=r"TMazeNoisy needs .* not 0"):
        TMazeNoisy(length=0)
