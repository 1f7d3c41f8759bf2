"""BlinkCountButtonPress, and buttons."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot.groups.blink_count import BlinkCount
from envs.robot.hand import button
from tests.envs.robot.playing import (
    go_to,
    observed,
    oracle,
    same,
    start,
    step,
    until_acting,
)

EASY = BlinkCount(reward_mode="sparse")
HIGH, LOW = button.PRESSED_AT + button.LIFT + 0.02, button.PRESSED_AT - 0.02


def blue(observation):
    """Whether the lamp is on, and whether the other is green."""
    rows = np.asarray(observation["things"])
    assert rows[:, 0].all()
    return rows[2, 8:].argmax() == 3, rows[3, 8:].argmax() == 4


def watch(env, seed):
    """The lamp at each step until presses count, and the state then."""
    observation, state = start(env, seed)
    lamp = []
    while not env.acts(state):
        on, green = blue(observation)
        assert not green
        lamp.append(bool(on))
        observation, state, *_ = step(env, state)
    assert blue(observation) == (False, True)
    return lamp, state


def test_blinks_by_their_lengths():
    numbers = set()
    for seed in range(12):
        lamp, state = watch(EASY, seed)
        text = "".join("-#"[on] for on in lamp)
        dark, *blinks = text.split("###")
        assert 5 <= len(dark) <= 10 and set(dark) == {"-"}
        assert all(3 <= len(off) <= 5 and set(off) == {"-"} for off in blinks)
        assert len(blinks) == int(state.task.blinks)
        numbers.add(len(blinks))
    assert numbers == {1, 2, 3}


def strokes(env, state, count, which=0, high=HIGH):
    """Press a button so often, lifting to a height: the last result."""
    place = np.asarray(state.world.position[which])[:2]
    result = go_to(env, state, np.append(place, high), 20)
    for _ in range(count):
        for height in (LOW, high):
            result = go_to(env, result[1], np.append(place, height), 14)
            if result[3]:
                return result
    return result


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_as_many_presses_as_blinks(over):
    for seed in range(12):
        state = watch(EASY, seed)[1]
        blinks = int(state.task.blinks)
        if blinks == 2:
            break
    _, state, _, terminated, _, info = strokes(EASY, state, blinks + over)
    if over == 1:
        assert terminated and info["fail"]
        return
    assert not terminated and int(state.task.presses) == blinks + over
    _, state, reward, terminated, _, info = strokes(EASY, state, 1, which=1)
    assert terminated and bool(info["success"]) == (over == 0) == bool(reward)
    assert bool(info["fail"]) == (over != 0)


@pytest.mark.parametrize(("high", "counts"), [(HIGH, 3), (HIGH - 0.05, 1)])
def test_strokes_count_when_the_tool_was_lifted(high, counts):
    env = BlinkCount(blinks=(5, 5), max_steps=300, reward_mode="sparse")
    state = until_acting(env, start(env, 0)[1])[1]
    _, state, *_ = strokes(env, state, 3, high=high)
    assert int(state.task.presses) == counts


def test_button_by_a_slow_reference():
    """A walk of heights beside the middle, followed by a loop of its own."""
    rng = np.random.default_rng(0)
    place = np.array([0.05, -0.1, 0.03], np.float32)
    follow = jax.jit(lambda b, tool: b.advance(tool, jnp.asarray(place)))
    state, down, total = button.fresh(), False, [0, 0]
    for _ in range(400):
        height = rng.choice([0.06, 0.075, 0.0825, 0.0835, 0.086, 0.15, 0.172, 0.175])
        aside = rng.choice([0.0, 0.04, 0.08])
        tool = np.array([0.05 + aside, -0.1, height], np.float32)
        depth = 0.0 if aside > 0.065 else min(max(0.088 - height, 0.0), 0.014)
        pressed = not down and depth >= 0.35 * 0.014
        lifted = down and depth <= 0.2 * 0.014 and height >= 0.0831 + 0.09
        down = (down and not lifted) or pressed
        state, told_pressed, told_lifted = follow(state, jnp.asarray(tool))
        assert (bool(told_pressed), bool(told_lifted)) == (pressed, lifted)
        assert bool(state.down) == down
        total[0] += pressed
        total[1] += lifted
    assert min(total) > 20


def near(tool, place):
    cap = np.array([*place[:2], 0.0831])
    return 1 - np.tanh(8 * np.linalg.norm(tool - cap))


def depth(tool, place):
    over = np.linalg.norm(tool[:2] - place[:2]) <= 0.065
    return over * np.clip(0.088 - tool[2], 0, 0.014) / 0.014


def reference_reward(env, state, after, action, pressed, lifted):
    """The dense reward of a step that ends nothing, in numpy."""
    red, black = np.asarray(after.world.position, np.float64)[:2]
    blinks = int(state.task.blinks)

    def original():
        tool = np.asarray(after.world.gripper.position, np.float64)
        above = tool[2] - 0.0831
        down, count = bool(state.task.press.down), int(state.task.presses)
        aside = np.linalg.norm(tool[:2] - red[:2])
        reward = 0.25 * near(tool, red)
        if down:
            reward += 5 * np.clip(above / 0.09, 0, 1) + 2 * (1 - np.tanh(8 * aside))
            reward += 6 * lifted + (2 if depth(tool, red) <= 0.2 else -2)
        elif count == blinks:
            reward += 1.5 * near(tool, black) + 2 * depth(tool, black)
        else:
            reward += (
                1.5 * near(tool, red)
                + 2 * depth(tool, red)
                + count / blinks
                + 4 * pressed
            )
            reward -= 1.5 * (above > 0.2) + 3 * (aside > 0.06)
        return reward

    def share(state):
        tool = np.asarray(state.world.gripper.position, np.float64)
        down, count = bool(state.task.press.down), int(state.task.presses)
        if down:
            done, on = 2 * count - 1, np.clip((tool[2] - 0.0831) / 0.09, 0, 1)
        else:
            place = black if count == blinks else red
            done, on = 2 * count, (near(tool, place) + depth(tool, place)) / 2
        return (done + 0.8 * on) / (2 * blinks + 1)

    if env.committed:
        reward = 0.3 * 150 * 30 * (share(after) - share(state))
    else:
        reward = original() * bool(env._acting(state.task, state.time))
    change = np.linalg.norm(action - np.asarray(state.action, np.float64))
    speed = np.linalg.norm(np.asarray(after.world.gripper.velocity, np.float64))
    rough = 0.01 * np.tanh(2 * np.linalg.norm(action)) + 0.03 * np.tanh(5 * change)
    return reward - rough - 0.01 * np.tanh(2 * speed / 0.75)


@pytest.mark.parametrize("committed", [True, False])
def test_dense_reward_by_the_formula(committed):
    env = BlinkCount(blinks=(2, 2), reward_mode="dense", committed=committed)
    state, ended = until_acting(env, start(env, 0)[1])[1], False
    stages = set()
    while not ended:
        action = np.asarray(oracle(env, state), np.float64)
        _, after, reward, ended, _, info = step(env, state, action)
        was, now = state.task, after.task
        pressed = int(now.presses) > int(was.presses)
        lifted = bool(was.press.down) and not bool(now.press.down)
        expected = reference_reward(env, state, after, action, pressed, lifted)
        if info["success"]:
            expected = 30.0 * (env.max_steps - int(state.time))
        assert float(reward) == pytest.approx(expected, abs=2e-3)  # of 1,350
        stages.add((bool(was.press.down), int(was.presses)))
        state = after
    assert stages == {(False, 0), (True, 1), (False, 1), (True, 2), (False, 2)}


def test_a_press_too_many_costs_its_price_once():
    env = BlinkCount(blinks=(1, 1), reward_mode="normalized_dense")
    state = until_acting(env, start(env, 0)[1])[1]
    *_, reward, terminated, _, info = strokes(env, state, 2)
    assert terminated and info["fail"]
    assert float(reward) == pytest.approx(-25 / 30)


def test_the_number_of_blinks_leaves_no_trace():
    states = {int(s.task.blinks): s for s in (watch(EASY, k)[1] for k in range(12))}
    one, other = states[1], states[3]
    other = other._replace(world=one.world)
    assert same(observed(EASY, one), observed(EASY, other))


def test_nothing_moves_while_the_lamp_blinks():
    state = start(EASY, 0)[1]
    moved = step(EASY, state, np.ones(5))[1]
    assert np.array_equal(moved.world.gripper.position, state.world.gripper.position)
    original = BlinkCount(committed=False)
    moved = step(original, start(original, 0)[1], np.ones(5))[1]
    assert not np.array_equal(
        moved.world.gripper.position, state.world.gripper.position
    )


def test_the_card_counts_the_numbers_that_there_may_be():
    for level in ("Easy", "Medium", "Hard", "EasyLong", "MediumLong", "HardLong"):
        env = envs.make(f"BlinkCountButtonPress{level}-v0")
        card = env.card
        drawn = range(env.blinks[0], env.blinks[1] + 1)
        best = max(sum(n == guess for n in drawn) for guess in drawn) / len(drawn)
        assert card.memoryless.value == pytest.approx(best)


def test_bad_parameters():
    with pytest.raises(ValueError, match="blinks to be the fewest and the most"):
        BlinkCount(blinks=(0, 3))
    with pytest.raises(ValueError, match="blinks for up to 170 steps"):
        BlinkCount(blinks=(1, 20))
