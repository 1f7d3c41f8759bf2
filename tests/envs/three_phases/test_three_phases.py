"""The three-phase tasks against their rules in plain Python, step by step."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.three_phases import KeyToDoor, VisualMatch, orchard
from tests.envs.three_phases.reference import COLOURS, PADS, RGB, Reference

NOTHING = {"xla_backend_optimization_level": 0}
STREAMS = 48
TVT = {"distractor": 90, "apple_low": 1.0, "apple_high": 10.0, "final_reward": 10.0}
TASKS = {
    "passive": VisualMatch(),
    "active": VisualMatch(active=True, shuffle_pads=True, **TVT),
    "key": KeyToDoor(apples=22),
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
    "odd match": VisualMatch(
        explore=1,
        distractor=50,
        reward=7,
        apples=22,
        respawn=2,
        apple_low=0.0,
        partial_obs=False,
    ),
}


@pytest.fixture(scope="module", params=TASKS)
def played(request):
    """A task and its episodes: by the oracle, at random, and half by half, in turn."""
    env = TASKS[request.param]
    random = np.random.default_rng(0)
    size = env.card.max_episode_steps, STREAMS
    drawn = random.integers(0, 4, size, np.int32)
    by_oracle = random.random(size) >= np.arange(STREAMS) % 3 / 2
    first, start = starts(env, STREAMS)

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
    return env, (*jax.device_get((first, start)), trace)


def starts(env, count):
    """Not compiled as a whole: its parts are, once for all tasks."""
    return jax.vmap(env.reset)(jax.random.split(jax.random.key(0), count))


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
    env, (first, start, trace) = played
    action, window, reward, terminated, truncated, info, hidden = trace
    assert not truncated.any() and window.dtype == np.uint8
    [(value, age)] = hidden.values()
    endings = set()
    for i in range(0, STREAMS, 2 if env.apple_draw == "episode" else 1):
        slow = reference(env, start, i)
        assert np.array_equal(first[i], slow.window())
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
            what = slow.cue[1] if slow.cue else slow.had_key + slow.opened
            assert value[i, t] == what
            assert age[i, t] == (slow.time - since if env.partial_obs else 0), (i, t)
        endings.add(bool(info["success"][i, -1]))
    assert endings == {True, False}


def test_oracle(played):
    env, (*_, trace) = played
    returns = np.asarray(trace[2])[::3].sum(1)
    assert trace[5]["success"][::3, -1].all()
    if env.card.oracle.value is None:
        assert env.apples == 10 or env.respawn == 0
    elif env.apple_low == env.apple_high:
        np.testing.assert_allclose(returns, env.card.oracle.value)
    else:  # 0 or 1 for each of 25 apples
        assert set(returns) == {5.0, 30.0} and env.card.oracle.value == 17.5


def test_what_apples_pay(played):
    env, (_, start, trace) = played
    paid = trace[5]["apple_reward"]
    if env.apple_draw == "apple":
        some = paid[paid > 0]
        assert len(set(some.tolist())) > 0.9 * len(some)
        assert abs(some.mean() - 2) < 4 * np.sqrt(1 / 3 / len(some))
    elif env.apple_low < env.apple_high:
        assert 10 < start.rich.sum() < 38
        for episode, rich in zip(paid, start.rich, strict=True):
            pay = env.apple_high if rich else env.apple_low
            assert set(episode.tolist()) <= {0, pay}


def test_in_the_closet_nothing_can_be_done(played):
    env, (first, _, trace) = played
    shown = trace[1][:, : env.explore - 1]
    if isinstance(env, VisualMatch) and not env.active:
        assert (shown == first[:, None]).all()
    else:
        assert (shown != first[:, None]).any()


@pytest.mark.parametrize("respawn, seen, eaten", [(20, 21, 22), (1, 2, 3), (0, 0, 0)])
def test_an_apple_is_back_one_step_late(respawn, seen, eaten):
    """Eaten in step 5, it is seen after step 5 + seen, and eaten in 5 + eaten."""
    five, row, column = jnp.int32(5), jnp.int32(4), jnp.int32(4)
    apples = orchard.plant(jax.random.key(0), 22)
    apples, ate = orchard.eat(apples, five - 1, row, column, respawn)
    assert ate
    if respawn == 0:
        assert apples[4, 4] == orchard.NEVER
        return
    visible = [n for n in range(60) if apples[4, 4] <= 5 + n]
    edible = [
        n for n in range(1, 60) if orchard.eat(apples, five + n - 1, row, column, 1)[1]
    ]
    assert (visible[0], edible[0]) == (seen, eaten)


def test_starts():
    count = 2000
    _, state = starts(VisualMatch(active=True, shuffle_pads=True), count)
    state = jax.device_get(state)
    task, order = state.task, state.task.pads @ [9, 3, 1]

    def uniform(numbers, kinds):
        found = np.unique(numbers, return_counts=True)[1]
        assert len(found) == kinds
        assert (abs(found - count / kinds) < 5 * np.sqrt(count / kinds)).all()

    uniform(state.row * 11 + state.column, 10)
    uniform(task.cue_row * 11 + task.cue_column, 26)
    uniform(order, 6)
    uniform(task.target * 100 + order, 18)
    bears = state.apples == 0
    assert (bears.sum((1, 2)) == 10).all()
    each = bears.sum(0)[tuple(orchard.TREES.T)]
    assert (abs(each - count * 10 / 22) < 5 * np.sqrt(count / 4)).all()


def test_pictures_show_the_cue_to_the_agent_only_while_in_view():
    env = VisualMatch(active=True)
    state = jax.tree.map(lambda x: x[0], starts(env, 2)[1])
    render = jax.jit(env.render, compiler_options=NOTHING)
    state = state._replace(row=jnp.int32(5), column=jnp.int32(3))
    pictures = []
    for cue in ((0, 8), (6, 3)):
        square = [jnp.int32(x) for x in cue]
        for target in (0, 1):
            task = state.task._replace(
                cue_row=square[0], cue_column=square[1], target=jnp.int32(target)
            )
            pictures.append(np.asarray(render(state._replace(task=task))))
    assert pictures[0].shape == (64, 66, 3)
    far = pictures[0][:45] == pictures[1][:45]
    near = pictures[2][:45] == pictures[3][:45]
    assert far.all() and not near.all()
    assert (pictures[0][48:] != pictures[1][48:]).any()


def test_pixels_tell_everything_apart():
    assert len({tuple(rgb) for rgb in RGB.values()}) == len(RGB) == 10
    assert len(COLOURS) == len(PADS) == 3


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
