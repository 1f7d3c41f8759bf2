"""BatteriesChecker."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import returns
from envs.robot.groups.batteries_checker import (
    CONFIRM,
    FREEZE,
    INSERT,
    RETURN,
    WORKING,
    BatteriesChecker,
    Events,
)
from tests.envs.robot.playing import after, oracle, same, start, step, with_task

HARD = BatteriesChecker(easy=False, reward_mode="dense", max_steps=1080)
ORIGINAL = dataclasses.replace(HARD, committed=False)
EASY = dataclasses.replace(HARD, easy=True)
IDS = tuple(
    f"BatteriesChecker{level}-v0" for level in ("Easy3", "Easy6", "Hard3", "Hard6")
)


def put(state, row, place, held=-1):
    position = state.world.position.at[row].set(jnp.asarray(place, jnp.float32))
    return state.world._replace(position=position, held=jnp.int32(held))


def socket(env, state):
    return np.array([*np.asarray(state.world.position[env.batteries, :2]), 0.03])


def hand(env, world, height=0.08):
    place = world.position[env.batteries + 1].at[2].set(height)
    return world._replace(gripper=world.gripper._replace(position=place))


def insert(env, state, row):
    return after(env, state, put(state, row, socket(env, state)))


def test(env, state, row, aside=0.0):
    """All of a test: inserted, put back so far beside its slot, confirmed."""
    state, outcome = insert(env, state, row)
    if outcome.failure or outcome.success:
        return state, outcome
    if not env.easy:
        slot = np.add(state.task.slots[row], [aside, 0, 0])
        state, _ = after(env, state, put(state, row, slot))
    return after(env, state, hand(env, state.world))


def thawed(env, state):
    """The state when the hand moves again."""
    while not env.acts(state):
        state = after(env, state)[0]
    return state


def lit(env, state):
    return int(env._looks(state.task, state.world, state.time).colour[-1]) == 3


test.__test__ = False


def test_stages_of_a_test():
    for works in (True, False):
        state = with_task(thawed(HARD, start(HARD, 0)[1]), works=jnp.array([works] * 3))
        state, _ = after(
            HARD, state, put(state, 1, np.add(socket(HARD, state), [0.009, 0, 0]))
        )
        assert int(state.task.stage) == RETURN and int(state.task.battery) == 1
        np.testing.assert_allclose(
            state.world.position[1], socket(HARD, state), atol=1e-7
        )
        assert lit(HARD, state) == works
        slot = np.asarray(state.task.slots[1])
        state, _ = after(HARD, state, put(state, 1, np.add(slot, [0, 0.0225, 0.02])))
        assert int(state.task.stage) == CONFIRM
        assert np.array_equal(state.world.position[1], state.task.slots[1])
        state, outcome = after(HARD, state, hand(HARD, state.world))
        assert int(state.task.stage) == INSERT and not any(outcome[:2])
        assert np.asarray(state.task.checked).tolist() == [False, True, False]
        assert not lit(HARD, state)


def test_all_once_is_success_and_one_twice_is_failure():
    for order in itertools.product(range(3), repeat=3):
        state = thawed(HARD, start(HARD, 1)[1])
        for number, row in enumerate(order):
            state, outcome = test(HARD, state, row)
            again = row in order[:number]
            assert bool(outcome.failure) == again
            assert bool(outcome.success) == (number == 2 and not again)
            if again:
                break
            state = thawed(HARD, state)


def test_in_the_original_one_may_be_tested_again():
    state = start(ORIGINAL, 1)[1]
    for row, ends in ((0, False), (0, False), (2, False), (1, True)):
        state, outcome = test(ORIGINAL, state, row)
        assert not outcome.failure and bool(outcome.success) == ends
        state = after(ORIGINAL, state, hand(ORIGINAL, state.world, 0.2))[0]


def test_each_test_begins_with_the_same_sight():
    """Whatever the hand has moved meanwhile."""
    observation, state = start(HARD, 2)
    first = thawed(HARD, state)
    for row in (2, 0):
        moved = put(state, 1, [0.1, -0.2, 0.03])
        state = thawed(HARD, state._replace(world=moved))
        state, _ = insert(HARD, state, row)
        state, _ = after(HARD, state, put(state, row, state.task.slots[row], held=1))
        state, _ = after(
            HARD, state, hand(HARD, state.world)._replace(held=jnp.int32(1))
        )
        assert same(HARD._observe(state), observation)
        assert int(state.world.held) == -1
        state = thawed(HARD, state)
        assert same(HARD._observe(state), HARD._observe(first))
        assert jax.tree.all(
            jax.tree.map(np.array_equal, state.world.gripper, first.world.gripper)
        )


def test_the_hand_stays_at_home_at_first_and_after_each_confirmation():
    state = start(HARD, 0)[1]
    home = np.asarray(state.world.gripper.position)
    np.testing.assert_allclose(home, [-0.07, 0, 0.25], atol=1e-7)
    for begin in (state, test(HARD, thawed(HARD, state), 0)[0]):
        now = begin
        for number in range(FREEZE + 1):
            assert bool(HARD.acts(now)) == (number == FREEZE)
            now = step(HARD, now, np.ones(5))[1]
            same_place = np.array_equal(now.world.gripper.position, home)
            assert same_place == (number < FREEZE)


def test_in_the_original_places_are_kept():
    state = start(ORIGINAL, 0)[1]
    state, _ = test(ORIGINAL, state, 0, aside=0.02)
    away = np.asarray(state.world.position[0] - state.task.slots[0])
    np.testing.assert_allclose(away, [0.02, 0, 0], atol=1e-6)
    tool = np.asarray(state.world.gripper.position)
    np.testing.assert_allclose(tool[:2], state.world.position[4, :2], atol=1e-6)


def test_what_counts_as_inserted_and_returned():
    state = thawed(HARD, start(HARD, 0)[1])
    goal = socket(HARD, state)
    for offset, held, counts in (
        ([0.0099, 0, 0], -1, True),
        ([0.0101, 0, 0], -1, False),
        ([0, 0, 0.0249], -1, True),
        ([0, 0, 0.0251], -1, False),
        ([0, 0, 0], 0, False),
        ([0, 0, 0], 1, True),
    ):
        now, _ = after(HARD, state, put(state, 0, goal + offset, held))
        assert (int(now.task.stage) == RETURN) == counts
    state, _ = insert(HARD, state, 0)
    slot = np.asarray(state.task.slots[0])
    for offset, held, counts in (
        ([0.0229, 0, 0], -1, True),
        ([0.0231, 0, 0], -1, False),
        ([0, 0, 0.0239], -1, True),
        ([0, 0, 0.0241], -1, False),
        ([0, 0, 0], 0, False),
    ):
        now, _ = after(HARD, state, put(state, 0, slot + offset, held))
        assert (int(now.task.stage) == CONFIRM) == counts


def test_an_easy_battery_returns_by_itself():
    state = with_task(thawed(EASY, start(EASY, 0)[1]), works=jnp.ones(3, bool))
    state, _ = insert(EASY, state, 2)
    assert int(state.task.stage) == CONFIRM
    assert np.array_equal(state.world.position[2], state.task.slots[2])
    glows = []
    for _ in range(10):
        glows.append(lit(EASY, state))
        state = after(EASY, state)[0]
    assert glows == [True] * 7 + [False] * 3


def test_one_battery_is_tested_at_a_time():
    """Others may light the lamp meanwhile, but do not count."""
    state = thawed(HARD, start(HARD, 0)[1])
    state, _ = insert(HARD, state, 0)
    state, _ = after(HARD, state, put(state, 0, state.task.slots[0]))
    state, outcome = insert(HARD, state, 1)
    state, _ = after(HARD, state, hand(HARD, state.world))
    assert np.asarray(state.task.checked).tolist() == [True, False, False]
    assert not outcome.failure


def test_a_press_in_another_stage_confirms_nothing():
    state = thawed(HARD, start(HARD, 0)[1])
    for _ in range(2):
        state, _ = after(HARD, state, hand(HARD, state.world))
        assert not state.task.checked.any()
        state, _ = after(HARD, state, hand(HARD, state.world, 0.2))
        state, _ = insert(HARD, state, 0)
    assert int(state.task.stage) == RETURN


def test_all_must_be_near_their_slots():
    for away, solves in ((0.068, True), (0.070, False)):
        state = with_task(start(ORIGINAL, 0)[1], checked=jnp.array([True, True, False]))
        place = np.add(state.task.slots[0], [0, -away, 0])
        state = state._replace(world=put(state, 0, place))
        assert bool(test(ORIGINAL, state, 2)[1].success) == solves


@pytest.mark.parametrize("count", sorted(WORKING))
def test_trays(count):
    env = BatteriesChecker(batteries=count)
    keys = jax.random.split(jax.random.key(count), 200)
    task, position, _ = jax.jit(jax.vmap(env._deal))(keys)
    works, slots = np.asarray(task.works), np.asarray(task.slots)
    assert (works.sum(1) == {3: 1, 6: 3, 9: 5, 12: 7, 15: 9}[count]).all()
    assert (works.mean(0) > 0).all() and np.array_equal(slots, position[:, :count])
    tray = np.asarray(position)[:, count, :2] - [0.2, 0]
    expected = [[0.05 * (1 - i % 3), 0.052 * (i // 3 - 2)] for i in range(count)]
    shifts = slots[..., :2] - tray[:, None]
    np.testing.assert_allclose(shifts, [expected] * 200, atol=1e-6)


@pytest.mark.parametrize(("env", "passed"), [(HARD, 3), (EASY, 2), (ORIGINAL, 3)])
def test_dense_reward_by_the_formula(env, passed):
    state, ended = start(env, 0)[1], False
    seen = set()
    while not ended:
        action = oracle(env, state)
        moves = bool(env.acts(state))
        was, (_, now, reward, ended, _, info) = state, step(env, state, action)
        done = np.asarray(action, np.float64) * moves
        expected, stage = reference_reward(env, was, now, done)
        if info["success"]:
            expected = 40.0 * (env.max_steps - int(state.time))
        seen.add(stage)
        if stage[1:] == (False, False, False):  # else the script has moved things
            assert float(reward) == pytest.approx(expected, abs=1e-2)  # of 12,960
        state = now
    assert info["success"] and len({stage for stage, *_ in seen}) == passed


def reference_reward(env, was, now, action):
    """The dense reward of a step without events, in numpy; and what happened."""
    world, task = now.world, now.task
    place = np.asarray(world.position, np.float64)
    stage = int(task.stage)
    if env.committed:
        reward = 0.3 * env.max_steps * 40 * (share(env, now) - share(env, was))
    else:
        reward = original(env, now, place)
    change = np.linalg.norm(action - np.asarray(was.action, np.float64))
    speed = np.linalg.norm(np.asarray(world.gripper.velocity, np.float64))
    rough = 0.01 * np.tanh(2 * np.linalg.norm(action)) + 0.02 * np.tanh(5 * change)
    reward -= rough + 0.01 * np.tanh(2 * speed / 0.75)
    changed = int(was.task.stage) != stage
    return reward, (stage, changed, bool(task.inserts), bool(task.clears.any()))


def share(env, now):
    """Of stages that are done."""
    place = np.asarray(now.world.position, np.float64)
    tool = np.asarray(now.world.gripper.position, np.float64)
    task, stage = now.task, int(now.task.stage)
    checked = np.asarray(task.checked)
    many = 2 if env.easy else 3

    def close(one, other, scale=4):
        return 1 - np.tanh(scale * np.linalg.norm(np.subtract(one, other)))

    if checked.all():
        on = 0.0
    elif stage == INSERT:
        left = np.flatnonzero(~checked)
        row = min(left, key=lambda row: np.linalg.norm(place[row] - tool))
        on = 0.2 * close(place[row], tool) + 0.2 * (int(now.world.held) == row)
        on += 0.6 * close(place[row], [*place[3, :2], 0.03])
    elif stage == RETURN:
        row = int(task.battery)
        on = 0.3 * close(place[row], tool)
        on += 0.7 * close(place[row], np.asarray(task.slots[row]), 6)
    else:
        cap = np.array([*place[4, :2], 0.0831])
        over = np.linalg.norm(tool[:2] - cap[:2]) <= 0.075
        depth = over * np.clip(0.088 - tool[2], 0, 0.014) / 0.014
        on = (close(tool, cap) + depth) / 2
    before = {INSERT: 0, RETURN: 1, CONFIRM: many - 1}[stage]
    return (many * checked.sum() + before + 0.8 * on) / (3 * many)


def original(env, now, place):
    """The original's terms but for events."""
    world, task = now.world, now.task
    tool = np.asarray(world.gripper.position, np.float64)
    stage, held = int(task.stage), int(world.held)
    left = place[:3][~np.asarray(task.checked)]
    reward = 0.0
    if stage == INSERT and len(left):
        reward += 1.2 * (1 - np.tanh(4 * np.linalg.norm(left - tool, axis=1).min()))
    if stage == INSERT and held >= 0:
        goal = np.array([*place[3, :2], 0.03])
        reward += 2 * (1 - np.tanh(4 * np.linalg.norm(place[held] - goal)))
    if stage == RETURN:
        row = int(task.battery)
        away = np.linalg.norm(place[row] - np.asarray(task.slots[row]))
        reward += 3 * (1 - np.tanh(6 * away))
    if stage == CONFIRM:
        cap = np.array([*place[4, :2], 0.0831])
        over = np.linalg.norm(tool[:2] - cap[:2]) <= 0.075
        reward += 1.8 * (1 - np.tanh(8 * np.linalg.norm(tool - cap)))
        reward += 2.5 * over * np.clip(0.088 - tool[2], 0, 0.014) / 0.014
    return reward


def test_what_events_pay():
    """Beside what the same step pays without the event."""
    works = jnp.array([True, False, False])
    state = with_task(thawed(ORIGINAL, start(ORIGINAL, 0)[1]), works=works)

    def paid(now, world, env=ORIGINAL):
        now, outcome = after(env, now, world)
        quiet = env._shaped(now.task, world, nothing)
        return float(outcome.shaped - outcome.fine - quiet)

    no = jnp.zeros((), bool)
    nothing = Events(no, no, no, no)
    for env in (ORIGINAL, HARD):
        wrong = paid(thawed(env, start(env, 0)[1]), hand(env, state.world), env)
        assert wrong == pytest.approx(-2, abs=1e-5)
    for row, found in ((0, 12), (1, 0)):
        world = put(state, row, socket(ORIGINAL, state))
        assert paid(state, world) == pytest.approx(5, abs=1e-5)
        now = after(ORIGINAL, state, world)[0]
        world = put(now, row, now.task.slots[row])
        assert paid(now, world) == pytest.approx(6, abs=1e-5)
        now = after(ORIGINAL, now, world)[0]
        world = hand(ORIGINAL, now.world)
        assert paid(now, world) == pytest.approx(7 + found, abs=1e-5)


def test_what_is_confirmed_is_a_third_of_the_way():
    state = thawed(HARD, start(HARD, 0)[1])
    before = float(HARD._progress(state.task, state.world))
    state, _ = test(HARD, state, 1)
    assert int(state.task.stage) == INSERT
    gained = float(HARD._progress(state.task, state.world)) - before
    assert gained == pytest.approx(1 / 3, abs=0.01)


def test_what_is_hidden():
    state = thawed(HARD, start(HARD, 0)[1])
    state, _ = test(HARD, state, 1)
    checked, since = HARD.hidden(state)["checked"]
    assert np.asarray(checked).tolist() == [False, True, False] and int(since) == 0
    checked, since = HARD.hidden(after(HARD, state)[0])["checked"]
    assert int(since) == 1
    assert np.asarray(HARD._secret(state.task)).tolist() == [0, 1, 0]


def test_the_ceiling_by_enumeration():
    """Each test begins alike: the best of all choices by chance, told through."""
    for id in IDS:
        env = envs.make(id)
        count = env.batteries
        orders = itertools.product(range(count), repeat=count)
        once = sum(len(set(order)) == count for order in orders)
        assert env.card.memoryless.value == pytest.approx(once / count**count)
        assert not env.card.outside_memory
    shares = np.linspace(0, 1, 41)
    orders = list(itertools.permutations(range(3)))
    best = 0.0
    for first, second in itertools.product(shares, shares):
        chance = np.array([first, second, max(1 - first - second, 0)])
        chance = chance / chance.sum()
        best = max(best, sum(chance[list(order)].prod() for order in orders))
    assert best <= 6 / 27 + 1e-9 and best > 6 / 27 - 1e-2


def collected(count, draws):
    """The chance that so many draws with replacement find all; by states."""
    known = np.eye(1, count + 1)[0]
    for _ in range(draws):
        stay = known * np.arange(count + 1) / count
        known = stay + np.append(0, (known * (1 - np.arange(count + 1) / count))[:-1])
    return known[-1]


def test_coupons():
    signs = (math.comb(3, k) * (-1) ** k * (1 - k / 3) ** 9 for k in range(4))
    assert collected(3, 9) == pytest.approx(sum(signs))
    assert collected(3, 3) == pytest.approx(6 / 27)


@pytest.mark.parametrize(
    "id", [IDS[2], *(pytest.param(i, marks=pytest.mark.slow) for i in IDS)]
)
def test_at_random_within_the_original_time(id):
    """What was played, against draws with replacement at the script's pace.

    Not every test takes the same, so that the last draw may come too late.
    """
    env = envs.make(id, committed=False, reward_mode="sparse")
    state, ended = start(env, 0)[1], False
    while not ended:
        action = oracle(env, state)
        _, state, _, ended, _, info = step(env, state, action)
    assert info["success"]
    pace = int(state.time) / env.batteries
    draws = int(env.max_steps // pace)
    played = env.card.memoryless
    least, most = (collected(env.batteries, n) for n in (draws - 1, draws))
    assert played.how == "simulated" and env.card.outside_memory
    half = played.half_width
    assert least - half <= played.value <= most + half


def test_bad_parameters():
    with pytest.raises(ValueError, match="batteries to be one of 3, 6, 9, 12, 15"):
        BatteriesChecker(batteries=4)


@pytest.mark.slow
@pytest.mark.parametrize("id", IDS)
@pytest.mark.parametrize("committed", [True, False])
def test_the_script_solves(id, committed):
    env = envs.make(id, committed=committed)
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99
