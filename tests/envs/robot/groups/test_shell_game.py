"""Shell games."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot.groups.shell_game import MUGS, ShellGame, _swapped
from tests.envs.robot.playing import (
    go_to,
    observed,
    oracle,
    same,
    start,
    step,
    until,
    until_acting,
    with_task,
)

TOUCH = ShellGame(cue=(2, 2), reward_mode="sparse")
SHUFFLE = ShellGame(
    cue=(2, 2), swaps=(3, 3), shuffle=(30, 30), max_steps=60, reward_mode="sparse"
)
LAMP = ShellGame(cue=(2, 2), lamp=True, reward_mode="sparse")


@pytest.mark.parametrize("env", [TOUCH, LAMP, SHUFFLE])
@pytest.mark.parametrize("right", [True, False])
def test_first_touch_is_the_answer(env, right):
    state = until_acting(env, start(env, 3)[1])[1]
    mug = (int(state.task.target) + (not right)) % MUGS
    *_, reward, terminated, _, info = go_to(env, state, state.world.position[mug])
    assert terminated and bool(info["success"]) == right == bool(reward)
    assert bool(info["fail"]) == (not right)


def test_what_is_seen():
    observation, state = start(TOUCH, 1)
    shown = []
    for _ in range(3):
        shown.append(np.asarray(observation["things"])[:, 0].tolist())
        observation, state, *_ = step(TOUCH, state)
    assert shown == [[0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 0]]
    ball, place = state.world.position[3], state.task.places[int(state.task.target)]
    np.testing.assert_allclose(ball[:2], place)


@pytest.mark.parametrize("env", [TOUCH, LAMP, SHUFFLE])
def test_covered_balls_leave_no_trace(env):
    """Until the lamp asks, all targets look alike; without one, to the end."""
    state = start(env, 2)[1]
    for time in range(34):
        others = [with_task(state, target=jnp.int32(t)) for t in range(3)]
        if env is LAMP:
            orders = ([0, 1, 2], [2, 0, 1])
            others = [with_task(state, colours=jnp.asarray(o)) for o in orders]
        elif time < 2:
            balls = [state.world.position.at[3, :2].set(p) for p in state.task.places]
            others = [
                o._replace(world=o.world._replace(position=ball))
                for o, ball in zip(others, balls, strict=True)
            ]
        seen = [observed(env, other) for other in others]
        alike = all(same(seen[0], other) for other in seen[1:])
        asked = env is LAMP and bool(env.acts(state))
        assert alike == (time >= 2 and not asked)
        state = step(env, state)[1]
        if env is not SHUFFLE and time == 4:
            break


def test_rows_do_not_tell_which_mug_is_which():
    state = until_acting(SHUFFLE, start(SHUFFLE, 4)[1])[1]
    order = jnp.array([2, 0, 1])
    position = state.world.position.at[:3].set(state.world.position[order])
    other = state._replace(world=state.world._replace(position=position))
    assert same(observed(SHUFFLE, state), observed(SHUFFLE, other))
    rows = np.asarray(observed(SHUFFLE, state)["things"])[:3]
    assert rows[:, 0].all() and (np.diff(rows[:, 2]) < 0).all()


def test_swaps_end_where_the_composed_permutation_says():
    keys = jax.random.split(jax.random.key(0), 50)
    tasks = jax.jit(jax.vmap(lambda key: SHUFFLE._deal(key)[0]))(keys)
    ends = jax.vmap(_swapped)(tasks, tasks.clock.asks)
    for i in range(50):
        task = jax.tree.map(lambda x, i=i: np.asarray(x[i]), tasks)
        at = [0, 1, 2]  # the mug at each place
        for first, second in task.moves:
            at[first], at[second] = at[second], at[first]
        for place, mug in enumerate(at):
            np.testing.assert_allclose(ends[i][mug], task.places[place], atol=1e-6)
            assert task.stands[-1][mug] == place


def test_half_way_two_mugs_stand_across_at_the_distance_they_had():
    task = SHUFFLE._deal(jax.random.key(1))[0]
    for swap in range(3):
        time = int(task.clock.hides) + 10 * swap + 5
        places = np.asarray(_swapped(task, jnp.int32(time)), np.float64)
        stands = np.asarray(task.stands[swap])
        pair = np.asarray(task.moves[swap])
        one, other = (int(np.argmax(stands == place)) for place in pair)
        start_at = np.asarray(task.places, np.float64)[pair]
        apart, was = places[one] - places[other], start_at[0] - start_at[1]
        assert np.linalg.norm(apart) == pytest.approx(np.linalg.norm(was), abs=1e-5)
        assert apart @ was == pytest.approx(0, abs=1e-5)
        third = 3 - one - other
        still = np.asarray(task.places)[stands[third]]
        np.testing.assert_allclose(places[third], still, atol=1e-6)


def test_swaps_begin_and_end_slowly():
    task = SHUFFLE._deal(jax.random.key(2))[0]
    times = jnp.arange(10, dtype=jnp.int32) + task.clock.hides
    places = np.asarray(jax.vmap(lambda t: _swapped(task, t))(times))
    moved = np.linalg.norm(np.diff(places, axis=0), axis=2).max(1)
    assert moved[0] < 0.4 * moved.max() and moved[-1] < 0.75 * moved.max()


def test_one_swap_makes_every_place_as_likely():
    env = ShellGame(cue=(1, 1), swaps=(1, 1), shuffle=(5, 5), max_steps=60)
    keys = jax.random.split(jax.random.key(3), 3000)
    tasks = jax.jit(jax.vmap(lambda key: env._deal(key)[0]))(keys)
    rows = np.arange(3000)
    first = np.asarray(tasks.stands)[rows, 0, np.asarray(tasks.target)]
    last = np.asarray(tasks.stands)[rows, 1, np.asarray(tasks.target)]
    for place in range(3):
        shares = np.bincount(last[first == place], minlength=3) / (first == place).sum()
        np.testing.assert_allclose(shares, 1 / 3, atol=0.05)


def test_colours_are_drawn_and_in_the_original_are_not():
    keys = jax.random.split(jax.random.key(4), 600)
    deal = jax.vmap(lambda key: LAMP._deal(key)[0].colours)
    orders = {tuple(row) for row in np.asarray(deal(keys))}
    assert len(orders) == 6
    original = ShellGame(lamp=True, committed=False)
    deal = jax.vmap(lambda key: original._deal(key)[0].colours)
    assert {tuple(row) for row in np.asarray(deal(keys))} == {(0, 1, 2)}


def test_the_lamp_is_white_until_it_asks():
    observation, state = start(LAMP, 0)
    told = []
    while not bool(LAMP.acts(state)):
        told.append(int(np.asarray(observation["things"])[-1, 8:].argmax()))
        observation, state, *_ = step(LAMP, state)
    assert told == [3, 3]
    asked = int(np.asarray(observation["things"])[-1, 8:].argmax())
    assert asked == int(state.task.colours[int(state.task.target)])


def test_dense_reward_by_the_formula():
    env = ShellGame(cue=(2, 2), reward_mode="dense")
    state = until(env, start(env, 7)[1], lambda s: int(s.time) == 1)[1]
    ended = False
    while not ended:
        acting = bool(env.acts(state))
        action = np.asarray(oracle(env, state))
        _, after, reward, ended, _, info = step(env, state, action)
        mug = np.asarray(after.world.position)[int(after.task.target)]
        distance = np.linalg.norm(mug - np.asarray(after.world.gripper.position))
        speed = np.linalg.norm(np.asarray(after.world.gripper.velocity))
        placed, rests = distance <= 0.08, speed <= 0.15
        shaped = 1 - np.tanh(5 * distance) + placed * (1 - np.tanh(5 * speed / 0.75))
        expected = (shaped + placed * rests) * acting
        if info["success"]:
            expected = 3.0 * (env.max_steps - int(state.time))
        assert float(reward) == pytest.approx(expected, abs=2e-5)
        state = after
    assert info["success"]


def test_in_the_originals_long_variant_the_gripper_moves_meanwhile():
    for committed in (True, False):
        env = envs.make("ShellGameShuffleTouchLong-v0", committed=committed)
        state = start(env, 0)[1]
        moved = step(env, state, np.ones(5))[1]
        distance = moved.world.gripper.position - state.world.gripper.position
        assert bool((np.asarray(distance) != 0).any()) != committed


def test_bad_parameters():
    with pytest.raises(ValueError, match="swaps to be the fewest and the most"):
        ShellGame(swaps=(2, 4))
    with pytest.raises(ValueError, match="shows and hides for up to 40 steps"):
        ShellGame(swaps=(2, 4), shuffle=(20, 35))
