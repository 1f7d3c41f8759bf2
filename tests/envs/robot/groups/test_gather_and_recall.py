"""GatherAndRecall."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import returns
from envs.robot.groups.gather_and_recall import GatherAndRecall
from tests.envs.robot.playing import after, oracle, same, start, step, with_task

GATHER = GatherAndRecall(cubes=3, reward_mode="dense")
ORIGINAL = dataclasses.replace(GATHER, committed=False)
COUNTS = (1, 3, 5, 7, 9)


def brought(env, state, *rows, at=(0.0, 0.0), height=0.02):
    """The world with cubes on the disc."""
    position = state.world.position
    disc = np.asarray(position[env.cubes])
    for number, row in enumerate(rows):
        x, y = disc[0] + at[0] + 0.045 * (number % 3 - 1), disc[1] + at[1]
        y = y + 0.045 * (number // 3 - 1) * (len(rows) > 3)
        position = position.at[row].set(jnp.array([x, y, height]))
    return state.world._replace(position=position)


def hand(world, place, height):
    at = jnp.asarray([*np.asarray(place)[:2], height], jnp.float32)
    return world._replace(gripper=world.gripper._replace(position=at))


def lamp(env, state):
    looks = env._looks(state.task, state.world, state.time)
    return int(looks.colour[-1])


def flashed(env, seed=0):
    """All cubes on the disc, and the lamp dark again."""
    state = start(env, seed)[1]
    state = after(env, state, brought(env, state, *range(env.cubes)))[0]
    for _ in range(int(state.task.length)):
        state = after(env, state, state.world)[0]
    return state


def test_the_flash_begins_when_enough_are_there_and_lasts_its_steps():
    state = with_task(start(GATHER, 0)[1], enough=jnp.int32(2))
    state, _ = after(GATHER, state, brought(GATHER, state, 0))
    assert lamp(GATHER, state) == 3
    state, _ = after(GATHER, state, brought(GATHER, state, 0, 1))
    seen = []
    for _ in range(16):
        seen.append(lamp(GATHER, state))
        state, _ = after(GATHER, state, state.world)
    colour, length = int(state.task.colour), int(state.task.length)
    assert seen == [colour] * length + [3] * (16 - length)
    assert 8 <= length <= 14


def test_what_is_drawn():
    keys = jax.random.split(jax.random.key(0), 400)
    for env in (GATHER, ORIGINAL, *(GatherAndRecall(cubes=n) for n in (1, 9))):
        task = jax.jit(jax.vmap(lambda key, env=env: env._deal(key)[0]))(keys)
        enough = set(np.asarray(task.enough).tolist())
        assert enough == set(range(1, env.cubes)) or (env.cubes, enough) == (1, {0})
        assert set(np.asarray(task.length).tolist()) == set(range(8, 15))
        assert set(np.asarray(task.colour).tolist()) == {0, 1, 2}
    one = GatherAndRecall(cubes=1)
    begins = jax.jit(jax.vmap(lambda key: one._deal(key)[0].begins))(keys)
    assert not np.asarray(begins).any()
    one = GatherAndRecall(cubes=1, committed=False)
    task = jax.jit(jax.vmap(lambda key: one._deal(key)[0]))(keys)
    assert (np.asarray(task.enough) == 1).all() and (np.asarray(task.begins) > 0).all()


def test_places():
    for cubes in COUNTS:
        env = GatherAndRecall(cubes=cubes)
        position = np.asarray(jax.jit(env._deal)(jax.random.key(cubes))[1])
        disc, apart = position[cubes], position[: cubes + 1, None] - position[None]
        assert 0 <= disc[0] <= 0.08 and 0.1 <= disc[1] <= 0.18
        cluster = position[:cubes] - [disc[0] - 0.08, -0.26, 0.02]
        expected = np.array(
            [
                [0.09 * (k - (min(3, cubes - 3 * r) - 1) / 2), 0.09 * r, 0]
                for r in range(-(-cubes // 3))
                for k in range(min(3, cubes - 3 * r))
            ]
        )
        expected[:, 1] -= 0.09 * (-(-cubes // 3) - 1) / 2
        assert np.abs(cluster - expected).max() <= 0.005 + 1e-6
        shifts = position[cubes + 1 : cubes + 4, :2] - disc[:2]
        np.testing.assert_allclose(
            shifts, [[-0.22, -0.14], [-0.22, 0], [-0.22, 0.14]], atol=1e-6
        )
        assert apart.shape[0] == cubes + 1


@pytest.mark.parametrize("env", [GATHER, ORIGINAL])
def test_what_counts_as_on_the_disc(env):
    state = start(env, 1)[1]
    for away, counts in ((0.0999, True), (0.1001, False)):
        world = state.world
        disc = world.position[3]
        world = world._replace(
            position=world.position.at[0].set(disc + jnp.array([away, 0, 0.02]))
        )
        assert bool(env._on_disc(world)[0]) == counts
    world = brought(env, state, 0)
    for speed, counts in ((0.149, True), (0.151, False)):
        fast = world._replace(velocity=world.velocity.at[0, 1].set(speed))
        assert bool(env._on_disc(fast)[0]) == counts
    held = world._replace(held=jnp.int32(0))
    assert bool(env._on_disc(held)[0]) != env.committed
    high = brought(env, state, 0, height=0.51)
    assert not bool(env._on_disc(high)[0])


def test_a_cube_that_was_taken_away_counts_for_the_flash_in_the_original_alone():
    for env in (GATHER, ORIGINAL):
        state = with_task(start(env, 0)[1], enough=jnp.int32(2))
        first = state.world
        state, _ = after(env, state, brought(env, state, 0))
        state = state._replace(world=first)
        state, _ = after(env, state, brought(env, state, 1))
        assert (lamp(env, state) == 3) == env.committed


def test_nothing_moves_while_the_lamp_flashes():
    for env, moves in ((GATHER, False), (ORIGINAL, True)):
        state = with_task(start(env, 0)[1], begins=jnp.int32(0))
        moved = step(env, state, np.ones(5))[1].world.gripper.position
        assert np.array_equal(moved, state.world.gripper.position) != moves
        dark = state._replace(time=state.task.length)
        moved = step(env, dark, np.ones(5))[1].world.gripper.position
        assert not np.array_equal(moved, state.world.gripper.position)


@pytest.mark.parametrize("env", [GATHER, ORIGINAL])
def test_first_press_is_the_answer(env):
    state = flashed(env)
    assert bool(env.acts(state))
    for which in range(3):
        place = state.world.position[4 + which]
        for height, aside, presses in (
            (0.0832, 0.0, False),
            (0.083, 0.0, True),
            (0.083, 0.0399, True),
            (0.083, 0.0401, False),
        ):
            world = hand(state.world, place + jnp.array([aside, 0, 0]), height)
            _, outcome = after(env, state, world)
            right = which == int(state.task.colour)
            assert bool(outcome.success) == (presses and right)
            assert bool(outcome.failure) == (presses and not right)


def test_presses_count_when_all_are_there_and_the_lamp_is_dark():
    for env in (GATHER, ORIGINAL):
        state = start(env, 0)[1]
        button = state.world.position[4 + int(state.task.colour)]
        two = hand(brought(env, state, 0, 1), button, 0.08)
        assert not any(after(env, state, two)[1][:2])
        all_there = hand(brought(env, state, 0, 1, 2), button, 0.08)
        # The flash begins now.
        assert bool(after(env, state, all_there)[1].success) != env.committed
        state = after(env, state, all_there)[0]
        assert bool(after(env, state, all_there)[1].success) != env.committed
        state = flashed(env)
        lifted = hand(brought(env, state, 0, 1, 2), button, 0.08)
        lifted = lifted._replace(position=lifted.position.at[2, :2].set(0.3))
        assert not any(after(env, state, lifted)[1][:2])


def test_the_colour_leaves_no_trace():
    state = start(GATHER, 2)[1]
    lit = after(GATHER, state, brought(GATHER, state, 0, 1))[0]
    for now, alike in ((state, True), (lit, False), (flashed(GATHER, 2), True)):
        seen = [GATHER._observe(with_task(now, colour=jnp.int32(c))) for c in range(3)]
        assert all(same(seen[0], other) for other in seen[1:]) == alike


def test_what_is_hidden():
    state = start(GATHER, 0)[1]
    assert int(GATHER.hidden(state)["colour"][0]) == 3
    state = after(GATHER, state, brought(GATHER, state, 0, 1, 2))[0]
    colour, unseen = GATHER.hidden(state)["colour"]
    assert int(colour) == int(state.task.colour) and int(unseen) == 0
    colour, unseen = GATHER.hidden(flashed(GATHER))["colour"]
    assert int(colour) == int(state.task.colour) and int(unseen) == 1
    assert GATHER._secret(state.task).argmax() == int(state.task.colour)


def test_phases():
    state = start(GATHER, 0)[1]
    lit = after(GATHER, state, brought(GATHER, state, 0, 1))[0]
    phases = [int(GATHER._phase(s.task, s.time)) for s in (state, lit, flashed(GATHER))]
    assert phases == [0, 1, 2]


def seen_by_hand(env, state):
    """Hand, cubes, disc, right button and how far it is pressed, in double precision;
    which cubes are on the disc now."""
    world = state.world
    tool = np.asarray(world.gripper.position, np.float64)
    place = np.asarray(world.position, np.float64)
    cubes, disc = place[: env.cubes], place[env.cubes]
    velocity = np.asarray(world.velocity, np.float64)[: env.cubes]
    on = np.linalg.norm(cubes[:, :2] - disc[:2], axis=1) < 0.1
    on &= np.linalg.norm(velocity, axis=1) < 0.15
    if int(world.held) >= 0 and env.committed:
        on[int(world.held)] = False
    button = place[env.cubes + 1 + int(state.task.colour)]
    over = np.linalg.norm(tool[:2] - button[:2]) <= 0.04
    depth = over * np.clip(0.088 - tool[2], 0, 0.014) / 0.014
    cap, disc = np.array([*button[:2], 0.063]), np.array([*disc[:2], 0.026])
    return tool, cubes, disc, cap, depth, on


def share(env, state):
    """Of the way that is behind."""
    tool, cubes, disc, cap, depth, on = seen_by_hand(env, state)

    def close(one, other):
        return 1 - np.tanh(4 * np.linalg.norm(one - other))

    if on.all():
        come = (close(cap, tool) + depth) / 2
    else:
        away = np.where(on, np.inf, np.linalg.norm(cubes - tool, axis=1))
        nearest = cubes[np.argmin(away)]
        come = 0.3 * close(nearest, tool) + 0.7 * close(nearest, disc)
    return (on.sum() + 0.8 * come) / (env.cubes + 1)


def original(env, state, after):
    """The original's terms; having been on the disc counts."""
    tool, cubes, disc, cap, depth, on = seen_by_hand(env, after)
    together = on.all()
    on |= np.asarray(state.task.there)
    away = np.where(on, np.inf, np.linalg.norm(cubes - tool, axis=1))
    if together:
        goal = cap
    elif on.all():
        goal = tool
    else:
        goal = disc if away.min() < 0.05 else cubes[np.argmin(away)]
    near = 1 - np.tanh(8 * np.linalg.norm(goal - tool))
    return 2 * near + 10 * on.mean() + together * (3 * near + 5 * depth)


def reference_reward(env, state, after, action):
    """The dense reward of a step that ends nothing, in numpy."""
    if env.committed:
        reward = 0.3 * 400 * 50 * (share(env, after) - share(env, state))
    else:
        reward = original(env, state, after)
    change = np.linalg.norm(action - np.asarray(state.action, np.float64))
    speed = np.linalg.norm(np.asarray(after.world.gripper.velocity, np.float64))
    rough = 0.01 * np.tanh(2 * np.linalg.norm(action)) + 0.03 * np.tanh(5 * change)
    return reward - rough - 0.01 * np.tanh(2 * speed / 0.75)


@pytest.mark.parametrize("env", [GATHER, ORIGINAL])
def test_dense_reward_by_the_formula(env):
    state, ended = start(env, 0)[1], False
    most = 0
    while not ended:
        action = oracle(env, state)
        lit = bool(state.task.lit(state.time)) and env.committed
        _, now, reward, ended, _, info = step(env, state, action)
        done = np.asarray(action, np.float64) * (not lit)
        expected = reference_reward(env, state, now, done)
        if info["success"]:
            expected = 50.0 * (env.max_steps - int(state.time))
        assert float(reward) == pytest.approx(expected, abs=1e-2)  # of 6,000
        most = max(most, int(now.task.there.sum()))
        state = now
    assert info["success"] and most == env.cubes


def test_a_wrong_press_costs_its_price_once():
    state = flashed(GATHER)
    wrong = (int(state.task.colour) + 1) % 3
    state = state._replace(
        world=hand(state.world, state.world.position[4 + wrong], 0.08)
    )
    *_, reward, terminated, _, info = step(GATHER, state)
    assert terminated and info["fail"] and float(reward) == -25.0


def test_the_card_is_of_a_guess_among_three():
    for cubes in COUNTS:
        env = envs.make(f"GatherAndRecall{cubes}-v0")
        right = [guess == colour for guess in range(3) for colour in range(3)]
        assert env.card.memoryless.value == pytest.approx(sum(right) / len(right))
        assert not env.card.outside_memory
        original = dataclasses.replace(env, committed=False).card
        assert original.outside_memory and original.memoryless.value >= 1 / 3
    sweep = returns.shares(envs.make("GatherAndRecall1-v0", committed=False))[2]
    assert sweep > 0.8


def test_bad_parameters():
    with pytest.raises(ValueError, match="cubes from 1 to 9"):
        GatherAndRecall(cubes=10)
    with pytest.raises(ValueError, match="flash to be the fewest and the most"):
        GatherAndRecall(flash=(0, 4))


@pytest.mark.slow
@pytest.mark.parametrize("cubes", COUNTS)
@pytest.mark.parametrize("committed", [True, False])
def test_the_script_solves(cubes, committed):
    env = envs.make(f"GatherAndRecall{cubes}-v0", committed=committed)
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99
