"""The three-phase tasks against their rules in plain Python, step by step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.three_phases import KeyToDoor, VisualMatch, orchard
from envs.three_phases.base import ThreePhasesState
from envs.three_phases.key_to_door import Key
from envs.three_phases.visual_match import Match
from tests.envs.three_phases.reference import (
    CLOSET,
    LOWER_ROOM,
    TREES,
    TWO_ROOMS,
    UPPER_ROOM,
    Reference,
)

NOTHING = {"xla_backend_optimization_level": 0}
STREAMS = 24
TVT = {"distractor": 90, "apple_low": 1.0, "apple_high": 10.0, "final_reward": 10.0}
TASKS = {
    "passive": VisualMatch(),
    "active": VisualMatch(active=True, shuffle_pads=True, **TVT),
    "key": KeyToDoor(apples=22),
    "odd match": VisualMatch(
        explore=3,
        distractor=50,
        reward=7,
        apples=22,
        respawn=2,
        apple_low=0.0,
        partial_obs=False,
    ),
    "odd key": KeyToDoor(
        explore=8,
        distractor=30,
        reward=30,
        apples=15,
        respawn=0,
        apple_high=3.0,
        apple_draw="apple",
        partial_obs=False,
    ),
}


SLOW = ("passive", "odd key")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in TASKS
    ],
)
def played(request):
    """A task and its episodes: by the oracle, at random, and half by half, in turn."""
    env = TASKS[request.param]
    random = np.random.default_rng(0)
    size = env.card.max_episode_steps, STREAMS
    drawn = random.integers(0, 4, size, np.int32)
    by_oracle = random.random(size) >= np.arange(STREAMS) % 3 / 2
    start = some_starts(env, random)

    def step(key, state, drawn, by_oracle):
        action = jnp.where(by_oracle, env.oracle(key, state), drawn)
        window, state, *rest = env.step(key, state, action)
        return state, (action, window, *rest, env.hidden(state))

    def body(state, now):
        key, *now = now
        keys = jax.random.split(key, STREAMS)
        return jax.vmap(step)(keys, state, *now)

    play = jax.jit(lambda s, x: jax.lax.scan(body, s, x)[1], compiler_options=NOTHING)
    keys = jax.random.split(jax.random.key(1), len(drawn))
    trace = play(start, (keys, drawn, by_oracle))
    trace = jax.tree.map(lambda x: np.asarray(x).swapaxes(0, 1), trace)
    return env, start, trace


def some_starts(env, random):
    """Starts drawn by numpy: what `reset` draws is a test of its own."""

    def among(squares):
        chosen = random.integers(len(squares), size=STREAMS)
        return np.array(squares, np.int32)[chosen].T

    apples = np.full((STREAMS, 7, 11), orchard.NEVER)
    for board in apples:
        trees = random.permutation(TREES)[: env.apples].reshape(-1, 2)
        board[tuple(trees.T)] = 0
    zero = np.zeros(STREAMS, np.int32)
    place = among([(2, 5)] if closet(env) else LOWER_ROOM)
    if isinstance(env, KeyToDoor):
        task = Key(*among(UPPER_ROOM), zero, zero)
    else:
        cue = among(sorted(CLOSET if closet(env) else TWO_ROOMS))
        seen = np.abs(cue - place).max(0) <= 2
        pads = np.tile(np.arange(3, dtype=np.int32), (STREAMS, 1))
        if env.shuffle_pads:
            pads = random.permuted(pads, axis=1)
        target = random.integers(3, size=STREAMS, dtype=np.int32)
        task = Match(target, *cue, seen.astype(np.int32) - 1, pads, zero - 1)
    rich = random.random(STREAMS) < 0.5
    return ThreePhasesState(zero, *place, apples, rich, task)


def closet(env):
    return isinstance(env, VisualMatch) and not env.active


def reference(env, state, i):
    """The slow task in the state that stream i starts in."""
    trees = [tuple(map(int, p)) for p in np.argwhere(state.apples[i] == 0)]
    place = int(state.row[i]), int(state.column[i])
    pay = env.apple_high if state.rich[i] else env.apple_low
    task = state.task
    if isinstance(env, KeyToDoor):
        key = int(task.row[i]), int(task.column[i])
        return Reference(env, trees, place, pay, key=key)
    square = int(task.cue_row[i]), int(task.cue_column[i])
    cue = square, int(task.target[i]), tuple(map(int, task.pads[i]))
    return Reference(env, trees, place, pay, cue=cue)


def test_agrees_with_the_rules(played):
    env, start, trace = played
    action, window, reward, terminated, truncated, info, hidden = trace
    assert not truncated.any() and window.dtype == np.uint8
    [(value, age)] = hidden.values()
    endings = set()
    for i in range(STREAMS):
        slow = reference(env, start, i)
        for t, a in enumerate(action[i]):
            phase, over = slow.phase, slow.opened or slow.chosen is not None
            apples, final, last = slow.step(int(a))
            assert np.array_equal(window[i, t], slow.window()), (i, t)
            if env.apple_draw == "apple":
                paid = info["apple_reward"][i, t]
                assert (1 <= paid <= 3) if apples else (paid == 0)
                apples = paid
            np.testing.assert_allclose(info["apple_reward"][i, t], apples)
            np.testing.assert_allclose(reward[i, t], apples + final)
            assert terminated[i, t] == last
            assert info["phase"][i, t] == phase
            assert info["decision"][i, t] == (phase == 2 and not over)
            assert info["success"][i, t] == (last and slow.success())
            since = slow.last_seen if slow.cue else slow.key_since
            old = -1 if since is None else slow.time - since
            what = slow.cue[1] if slow.cue else slow.had_key + slow.opened
            assert value[i, t] == what
            assert age[i, t] == (old if env.partial_obs else 0), (i, t)
        endings.add(bool(info["success"][i, -1]))
    assert endings == {True, False}


def test_oracle(played):
    env, _, trace = played
    returns = np.asarray(trace[2])[::3].sum(1)
    assert trace[5]["success"][::3, -1].all()
    if env.card.oracle.value is None:
        assert env.apples == 10 or env.respawn == 0
    elif env.apple_low == env.apple_high:
        np.testing.assert_allclose(returns, env.card.oracle.value)
    else:  # 0 or 1 for each of 25 apples
        assert set(returns) == {5.0, 30.0} and env.card.oracle.value == 17.5


def test_what_apples_pay(played):
    env, start, trace = played
    paid = trace[5]["apple_reward"]
    if env.apple_draw == "apple":
        some = paid[paid > 0]
        assert len(set(some.tolist())) > 0.9 * len(some)
        assert abs(some.mean() - 2) < 4 * np.sqrt(1 / 3 / len(some))
    elif env.apple_low < env.apple_high:
        assert 0 < start.rich.sum() < STREAMS
        for episode, rich in zip(paid, start.rich, strict=True):
            pay = env.apple_high if rich else env.apple_low
            assert set(episode.tolist()) <= {0, pay}


def test_in_the_closet_nothing_can_be_done(played):
    env, _, trace = played
    shown = trace[1][:, : env.explore - 1]
    assert (shown == shown[:, :1]).all() == closet(env)


def test_an_apple_is_back_one_step_late():
    """Eaten in step 5, it is seen after step 26, and can be eaten in step 27."""
    eat = jax.jit(orchard.eat, static_argnums=4, compiler_options=NOTHING)
    row, column = np.int32(4), np.int32(4)
    apples, ate = eat(np.zeros((7, 11), np.int32), np.int32(4), row, column, 20)
    due = np.asarray(apples)[4, 4]
    edible = [
        n for n in range(6, 40) if eat(apples, np.int32(n - 1), row, column, 20)[1]
    ]
    assert ate and due == 26 and edible[0] == 27


@pytest.mark.parametrize(
    "id",
    ["ActiveVisualMatch-v0", pytest.param("KeyToDoor-v0", marks=pytest.mark.slow)],
)
def test_starts(id):
    count, match = 2000, id != "KeyToDoor-v0"
    env = envs.make(id, **({"shuffle_pads": True} if match else {}))
    keys = jax.random.split(jax.random.key(0), count)
    reset = jax.jit(jax.vmap(env.reset), compiler_options=NOTHING)
    window, state = jax.device_get(reset(keys))
    task = state.task

    def uniform(numbers, kinds):
        found = np.unique(numbers, return_counts=True)[1]
        assert len(found) == kinds
        assert (abs(found - count / kinds) < 5 * np.sqrt(count / kinds)).all()

    uniform(state.row * 11 + state.column, 10)
    uniform(state.rich, 2)
    if match:
        order = task.pads @ [9, 3, 1]
        uniform(task.cue_row * 11 + task.cue_column, 26)
        uniform(order, 6)
        uniform(task.target * 100 + order, 18)
    else:
        uniform(task.row * 11 + task.column, 10)
    bears = state.apples == 0
    assert (bears.sum((1, 2)) == 10).all()
    each = bears.sum(0)[tuple(orchard.TREES.T)]
    assert (abs(each - count * 10 / 22) < 5 * np.sqrt(count / 4)).all()
    for i in range(30):
        slow = reference(env, state, i)
        assert np.array_equal(window[i], slow.window())
        if match:
            assert task.cue_time[i] == (0 if slow.near(slow.cue[0]) else -1)


def test_pictures_show_the_cue_only_while_in_view():
    env = TASKS["active"]
    start = some_starts(env, np.random.default_rng(0))
    state = jax.tree.map(lambda x: x[0], start)
    state = state._replace(row=np.int32(5), column=np.int32(3))
    render = jax.jit(env.render, compiler_options=NOTHING)
    pictures = []
    for cue in ((0, 8), (6, 3)):
        row, column = map(np.int32, cue)
        for target in (np.int32(0), np.int32(1)):
            task = state.task._replace(cue_row=row, cue_column=column, target=target)
            pictures.append(np.asarray(render(state._replace(task=task))))
    assert pictures[0].shape == (64, 66, 3)
    far = pictures[0][:45] == pictures[1][:45]
    near = pictures[2][:45] == pictures[3][:45]
    assert far.all() and not near.all()
    assert (pictures[0][48:] != pictures[1][48:]).any()


@pytest.mark.parametrize(
    "id, parameters, message",
    [
        ("PassiveVisualMatch-v0", {"explore": 0}, "explore of at least 1"),
        ("ActiveVisualMatch-v0", {"explore": 8}, "explore of at least 9"),
        ("PassiveVisualMatch-v0", {"reward": 6}, "reward of at least 7"),
        (
            "PassiveVisualMatch-v0",
            {"reward": 8, "shuffle_pads": True},
            "reward of at least 9",
        ),
        ("KeyToDoor-v0", {"explore": 7}, "explore of at least 8"),
        ("KeyToDoor-v0", {"reward": 1}, "reward of at least 2"),
        ("KeyToDoor-v0", {"apples": 23}, "at most 22"),
        ("KeyToDoor-v0", {"distractor": 2**30}, "at most 500,000,000"),
        ("KeyToDoor-v0", {"respawn": -1}, "respawn of at least 0"),
        ("KeyToDoor-v0", {"apple_low": 2.0}, "apple_low <= apple_high"),
        ("KeyToDoor-v0", {"final_reward": 0.0}, "final_reward above 0"),
    ],
)
def test_parameters_are_checked(id, parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make(id, **parameters)


def test_apple_draw_is_checked():
    wrong: Any = "day"  # refused by the type checker already, where there is one
    with pytest.raises((ValueError, TypeError), match="episode"):
        KeyToDoor(apple_draw=wrong)
