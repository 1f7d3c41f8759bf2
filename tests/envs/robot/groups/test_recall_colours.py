"""BunchOfColors, SeqOfColors and ChainOfColors."""

import math

import numpy as np
import pytest

import envs
from envs.robot.groups.recall_colours import CUBES, RecallColours
from envs.robot.hand import button
from tests.envs.robot.playing import go_to, oracle, start, step, until_acting

QUICK = {"each": (2, 2), "empty": (2, 2), "reward_mode": "sparse"}
TASKS = {
    (kind, confirm): RecallColours(kind=kind, confirm=confirm, **QUICK)
    for kind, confirm in (("bunch", True), ("seq", False), ("chain", False))
}
BUNCH, SEQ, CHAIN = TASKS.values()
UP = np.array([0.0, 0.0, 1.0])


def point(state, colour):
    """The point to touch of the cube of a colour."""
    slot = int(np.argmax(np.asarray(state.task.items) == colour))
    return np.asarray(state.world.position[slot]) + 0.025 * UP


def touch(env, state, colour):
    """Go to a cube from above, so that nothing else is touched on the way."""
    place = point(state, colour)
    result = go_to(env, state, place + 0.12 * UP, 14)
    return go_to(env, result[1], place, 12)


def sequence(state):
    return [int(colour) for colour in state.task.sequence]


def wrong(state):
    return next(c for c in range(CUBES) if c not in sequence(state))


def test_what_is_shown():
    for env, shown in ((BUNCH, 2), (SEQ, 6), (CHAIN, 6)):
        observation, state = start(env, 1)
        seen = []
        for _ in range(shown + 2):
            rows = np.asarray(observation["things"])
            seen.append([int(row[8:].argmax()) for row in rows if row[0] > 0])
            observation, state, *_ = step(env, state)
        colours = sequence(state)
        assert len(set(colours)) == 3
        if env is BUNCH:
            assert seen[:2] == [colours, colours]
        else:
            assert seen[:6] == [[c] for c in colours for _ in range(2)]
        assert seen[shown:] == [[], []]
        rows = np.asarray(observation["things"])[:CUBES]
        assert rows[:, 0].all() and set(rows[:, 8:].argmax(1)) == set(range(CUBES))


@pytest.mark.parametrize("env", [SEQ, CHAIN])
@pytest.mark.parametrize("order", ["shown", "reversed"])
def test_only_a_chain_asks_for_the_order(env, order):
    state = until_acting(env, start(env, 2)[1])[1]
    colours = sequence(state)[:: 1 if order == "shown" else -1]
    for count, colour in enumerate(colours, 1):
        _, state, reward, terminated, _, info = touch(env, state, colour)
        if env is CHAIN and order == "reversed":
            assert terminated and info["fail"] and not float(reward)
            return
        assert int(state.task.count) == count
        assert bool(terminated) == bool(info["success"]) == (count == 3)
    assert float(reward) == 1


def test_a_wrong_touch_ends_and_by_the_originals_rules_spoils():
    state = until_acting(SEQ, start(SEQ, 2)[1])[1]
    *_, terminated, _, info = touch(SEQ, state, wrong(state))
    assert terminated and info["fail"]
    original = RecallColours(kind="seq", confirm=False, committed=False, **QUICK)
    state = until_acting(original, start(original, 2)[1])[1]
    _, state, _, terminated, _, info = touch(original, state, wrong(state))
    assert not terminated and not info["fail"]
    for colour in sequence(state):
        _, state, _, terminated, _, info = touch(original, state, colour)
        assert not terminated and not info["success"]
    assert int(state.task.count) == 3 and state.task.spoiled


def test_touching_twice_is_nothing_new():
    state = until_acting(CHAIN, start(CHAIN, 4)[1])[1]
    first = sequence(state)[0]
    for _ in range(2):
        _, state, _, terminated, *_ = touch(CHAIN, state, first)
        assert not terminated and int(state.task.count) == 1


def test_a_press_counts_when_all_have_been_touched():
    state = until_acting(BUNCH, start(BUNCH, 5)[1])[1]
    place = np.asarray(state.world.position[-1])
    low = np.append(place[:2], button.PRESSED_AT - 0.02)
    high = np.append(place[:2], button.PRESSED_AT + button.LIFT + 0.02)
    for spot in (high, low, high):  # an early press is harmless
        _, state, _, terminated, *_ = go_to(BUNCH, state, spot, 14)
        assert not terminated
    for colour in sequence(state)[::-1]:
        _, state, _, terminated, *_ = touch(BUNCH, state, colour)
        state = go_to(BUNCH, state, point(state, colour) + 0.2 * UP, 10)[1]
        assert not terminated
    state = go_to(BUNCH, state, high, 16)[1]
    _, state, _, terminated, *_ = go_to(BUNCH, state, low, 14)
    assert state.task.confirmed and not terminated
    *_, terminated, _, info = go_to(BUNCH, state, high, 14)
    assert terminated and info["success"]


def test_dense_reward_by_the_formula():
    env = RecallColours(kind="seq", each=(1, 1), empty=(1, 1), reward_mode="dense")
    state = start(env, 6)[1]
    counts = set()
    ended = False
    while not ended:
        acting = bool(env.acts(state))
        action = np.asarray(oracle(env, state), np.float64) * acting
        _, after, reward, ended, _, info = step(env, state, action)
        task = after.task
        hand = np.asarray(after.world.gripper.position, np.float64)
        speed = np.linalg.norm(np.asarray(after.world.gripper.velocity, np.float64))
        left = [c for c in sequence(after) if not task.touched[c]]
        if left and not info["success"]:
            distance = np.linalg.norm(point(after, left[0]) - hand)
            shaped = 1 - np.tanh(10 * distance) + 0.5 * (1 - np.tanh(5 * speed / 0.75))
            shaped += 0.5 * (distance <= 0.02 and speed <= 0.15)
            shaped = (shaped + 90 * int(task.count) / 3) * acting
            change = np.linalg.norm(action - np.asarray(state.action, np.float64))
            rough = 0.02 * np.tanh(2 * np.linalg.norm(action))
            rough += 0.05 * np.tanh(5 * change) + 0.01 * np.tanh(2 * speed / 0.75)
            assert float(reward) == pytest.approx(shaped - rough, abs=1e-4)
            counts.add(int(task.count))
        state = after
    assert info["success"] and counts == {0, 1, 2}
    assert float(reward) == 400 * (env.max_steps - int(after.time) + 1)


@pytest.mark.parametrize("kind", ["bunch", "seq", "chain"])
@pytest.mark.parametrize("number", [3, 5, 7])
def test_the_share_of_the_best_blind_guess(kind, number):
    """One answer, against all that may have been shown, counted one by one."""
    env = envs.make(f"{kind.capitalize()}OfColors{number}-v0")
    ways = 0
    for mask in range(2**CUBES):
        if mask.bit_count() == number:
            ways += math.factorial(number) if kind == "chain" else 1
    assert env.card.memoryless.value == pytest.approx(1 / ways)
    assert env.card.memoryless.how == "exact" and env.card.measure == "success"


def test_bad_parameters():
    with pytest.raises(ValueError, match="from 1 to 8; not 9"):
        RecallColours(number=9)
    with pytest.raises(ValueError, match="up to 305 steps"):
        RecallColours(kind="seq", each=(1, 100), max_steps=300)
