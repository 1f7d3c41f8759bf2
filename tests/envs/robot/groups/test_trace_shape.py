"""Paths to trace."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.robot import returns
from envs.robot.episodes import paths
from envs.robot.groups.trace_shape import TASKS, TraceShape, _path
from tests.envs.robot.playing import compiled, observed, same, start, step, with_task

SEQ = TraceShape(
    shapes=3,
    sequence=(2, 2),
    confirm=True,
    wait=(2, 4),
    max_steps=450,
    reward_mode="dense",
)
ONE = TraceShape(shapes=3, wait=(2, 4))
ORIGINAL = TraceShape(shapes=3, committed=False)
REACH = 0.035


@functools.cache
def judged(env):
    return jax.jit(env._judge)


@functools.cache
def begun(env, seed=0):
    """What was drawn, the world, and the first time at which tracing counts."""
    state = jax.jit(env.reset)(jax.random.key(seed))[1]
    return state.task, state.world, state.task.clock.asks


def way_of(task, index=0):
    """The points of a path, in their order."""
    return np.asarray(_path(task, jnp.int32(index)))


def moved(env, task, world, place, time):
    """The cube is at a place, seen from above: what is kept, and the outcome."""
    place = jnp.asarray(place, jnp.float32)
    world = world._replace(position=world.position.at[0, :2].set(place))
    task, outcome = judged(env)(task, world, time)
    return task, bool(outcome.success), bool(outcome.failure)


def outline(kind, radius, share):
    """Where a share of the way along a path is, untouched by `paths`."""
    if kind == 0:
        return radius * np.array([np.cos(2 * np.pi * share), np.sin(2 * np.pi * share)])
    if kind == 1:
        corners = radius * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1.0]])
    else:
        turns = 2 * np.pi * np.arange(4) / 3
        corners = radius * np.stack([np.cos(turns), np.sin(turns)], axis=1)
    sides = len(corners) - 1
    side = int(share * sides)
    part = share * sides - side
    return corners[side] + part * (corners[side + 1] - corners[side])


def test_what_is_shown():
    """The red cube waits, runs along both paths, and is hidden."""
    state = start(SEQ, 1)[1]
    task, wait = state.task, int(state.task.begins)
    assert int(task.clock.asks) == wait + 128

    @jax.jit
    def shown(state, time):
        world = SEQ._scripted(state.task, state.world, time)
        return SEQ._observe(state._replace(time=time, world=world))["things"]

    for time in range(wait + 130):
        rows = np.asarray(shown(state, jnp.int32(time)))
        lamp = ["white", "red", "green"][(time >= wait) + (time >= wait + 128)]
        assert SEQ._appearance.colours[rows[2, 8:].argmax()] == lamp
        assert rows[1, 0] == (time < wait + 128)
        since = max(time - wait, 0)
        index = since // 64
        if index < 2 and time % 7 < 2:
            kept = task.shapes, task.radius, task.turn
            kind, radius, turn = (float(x[index]) for x in kept)
            flat = outline(int(kind), radius, since % 64 / 64)
            turned = np.array(
                [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
            )
            expected = np.asarray(task.centre) + turned @ flat
            np.testing.assert_allclose(rows[1, 1:3], expected, atol=1e-5)


def test_nothing_moves_while_the_path_is_shown():
    for env, free in ((ONE, False), (ORIGINAL, True)):
        task, world, asks = begun(env)
        command = jnp.ones(5)
        for time, moves in ((asks - 1, free), (asks, True)):
            obeyed = env._obeyed(task, world, time, command)
            assert np.array_equal(obeyed, command if moves else jnp.zeros(5))


@pytest.mark.parametrize("env", [ONE, ORIGINAL])
def test_tracing_from_anywhere_all_round_and_back_to_the_first_point(env):
    task, world, asks = begun(env)
    way = way_of(task)
    task, success, failure = moved(env, task, world, way[30], asks - 1)
    assert not task.visited.any() and not success and not failure
    seen = set()
    for number in range(30, 30 + 2 * 64):
        there = way[number % 64]
        task, success, failure = moved(env, task, world, there, asks)
        apart = np.linalg.norm(way[np.arange(12) * 5] - there, axis=1)
        seen |= set(np.flatnonzero(apart < REACH))
        assert set(np.flatnonzero(task.visited)) == seen and not failure
        assert success == (len(seen) == 12 and apart[0] < REACH)
        if success:
            break
    assert success


def test_leaving_a_path_once_begun_fails():
    for env in (ONE, ORIGINAL):
        task, world, asks = begun(env)
        way, centre = way_of(task), np.asarray(task.centre)
        task, _, failure = moved(env, task, world, centre + 1.0, asks)
        assert not failure and not task.visited.any()
        out = (way[10] - centre) / np.linalg.norm(way[10] - centre)
        task, _, failure = moved(env, task, world, way[10], asks)
        assert not failure and task.visited[2]
        for far in np.linspace(0.0, 0.1, 41):
            place = way[10] + far * out
            away = np.linalg.norm(way - place, axis=1).min()
            if abs(away - REACH) > 1e-4:
                _, _, failure = moved(env, task, world, place, asks)
                assert failure == (away > REACH and env is ONE)


def test_paths_in_their_order_and_then_the_button():
    task, world, asks = begun(SEQ, 1)
    ways = [way_of(task, index) for index in (0, 1)]
    button = world.position[3]
    low = world.gripper._replace(position=button.at[2].set(0.08))
    pressing = world._replace(gripper=low)

    def traced(task, order):
        for index in order:
            for place in np.concatenate([ways[index], ways[index][:2]]):
                task, success, failure = moved(SEQ, task, world, place, asks)
                assert not success
                if failure:
                    break
        return task

    for order, right in (((), False), ((0,), False), ((1, 0), False), ((0, 1), True)):
        after = traced(task, order)
        here = ways[order[-1]][1] if order else ways[0][0] + 1.0
        _, success, failure = moved(SEQ, after, pressing, here, asks)
        assert success == right and failure == (not right), order
    done = traced(task, (0, 1))
    assert int(done.closed) == 2
    _, success, failure = moved(SEQ, done, pressing, ways[0][0] + 1.0, asks - 1)
    assert not success and not failure


def test_where_things_stand_tells_nothing_of_the_path():
    keys = jax.random.split(jax.random.key(1), 2000)
    for env in (SEQ, TraceShape(**{"confirm": True, "committed": False})):
        tasks, positions, _ = jax.jit(jax.vmap(env._deal))(keys)
        centres = np.asarray(tasks.centre)
        for row in (0, 2, 3):
            place = np.asarray(positions)[:, row, :2]
            for axis in (0, 1):
                alike = np.corrcoef(centres[:, axis], place[:, axis])[0, 1]
                assert abs(alike) < 0.08 if env is SEQ else alike > 0.999
        if env is SEQ:
            ways = jax.jit(jax.vmap(lambda task: _path(task, jnp.int32(0))))(tasks)
            cubes = np.asarray(positions)[:, :1, :2]
            assert np.linalg.norm(np.asarray(ways) - cubes, axis=2).min() > REACH


def test_hidden_paths_leave_no_trace():
    state = start(SEQ, 1)[1]
    task = state.task
    for time, alike in ((task.clock.asks, True), (task.clock.asks - 1, False)):
        seen = []
        for turned in (0, 1):
            changes = {
                "shapes": task.shapes * 0 + turned,
                "turn": task.turn + turned,
                "centre": task.centre + 0.01 * turned,
                "radius": task.radius + 0.01 * turned,
            }
            other = with_task(state, **changes)._replace(time=time)
            world = SEQ._scripted(other.task, other.world, time)
            seen.append(observed(SEQ, other._replace(world=world)))
        assert same(*seen) == alike


def played(env, places, laps, episodes):
    """The share of episodes that a fixed tour of places solves, by the rules alone."""
    tour = jnp.asarray(np.tile(places, (laps, 1)), jnp.float32)

    def episode(key):
        _, state = env.reset(key)

        def go(carry, place):
            task, won, lost = carry
            position = state.world.position.at[0, :2].set(place)
            world = state.world._replace(position=position)
            task, outcome = env._judge(task, world, task.clock.asks)
            solved = task.closed >= task.number
            return (task, won | (solved & ~lost), lost | outcome.failure), None

        no = jnp.zeros((), bool)
        return jax.lax.scan(go, (state.task, no, no), tour)[0][1]

    keys = jax.random.split(jax.random.key(5), episodes)
    return float(jax.jit(jax.vmap(episode))(keys).mean())


CIRCLE = np.array([-0.1, 0.0]) + 0.104 * np.stack(
    [np.cos(np.arange(60) * np.pi / 30), np.sin(np.arange(60) * np.pi / 30)], axis=1
)


@pytest.mark.parametrize(
    "shapes, most",
    [
        (1, 1),
        pytest.param(3, 1, marks=pytest.mark.slow),
        pytest.param(1, 5, marks=pytest.mark.slow),
    ],
)
def test_what_a_fixed_circle_solves(shapes, most):
    """The card's share, by the rules as they are and other draws."""
    several = most > 1
    env = TraceShape(
        shapes=shapes, sequence=(2 if several else 1, most), max_steps=1500
    )
    share = paths.share_of_a_circle(shapes, *env.sequence)
    found = played(env, CIRCLE, 2 * most + 1, 4000)
    assert found == pytest.approx(share, abs=4 * np.sqrt(share / 4000))


def test_what_a_fixed_circle_solves_of_circles_by_an_integral():
    """Within reach is the centre by what the radius leaves of it."""
    radii = np.linspace(0.078, 0.13, 2001)
    room = REACH - np.abs(radii - 0.104)
    share = (np.pi * room**2).mean() / (0.1 * 0.2)
    assert paths.share_of_a_circle(1, 1, 1) == pytest.approx(share, abs=0.006)


def test_paths_are_as_they_are_named():
    for kind in range(3):
        wanted = [outline(kind, 1.0, number / 64) for number in range(64)]
        np.testing.assert_allclose(paths.UNIT[kind], wanted, atol=1e-12)


def test_a_circle_solves_what_it_visits_and_never_leaves():
    """Path by path, in loops: both rules decide some of them."""
    random = np.random.default_rng(3)
    drawn, solved, visited = [], [], []
    middle = np.array([-0.1, 0.0])
    circle = [middle + outline(0, 0.104, number / 64) for number in range(64)]
    for _ in range(3000):
        kind, radius = random.integers(3), random.uniform(0.078, 0.13)
        centre = middle + random.uniform(-1, 1, 2) * np.array([0.02, 0.04])
        turn = random.uniform(0, 2 * np.pi)
        cos, sin = np.cos(turn), np.sin(turn)
        turned = np.array([[cos, -sin], [sin, cos]])
        way = [centre + turned @ outline(kind, radius, k / 64) for k in range(64)]
        way = np.array(way)
        far = np.linalg.norm(way[:60:5] - middle, axis=1)
        visited.append(bool((abs(far - 0.104) < REACH).all()))
        stays = all(np.linalg.norm(way - x, axis=1).min() <= REACH for x in circle)
        solved.append(visited[-1] and stays)
        drawn.append(way)
    assert np.mean(visited) > np.mean(solved) > 0.05
    np.testing.assert_array_equal(paths._solved_by_a_circle(np.array(drawn)), solved)


def test_sequences_of_all_lengths_are_as_likely():
    each = [paths.share_of_a_circle(1, length, length) for length in range(1, 6)]
    assert all(np.diff(each) < 0)
    assert paths.share_of_a_circle(1, 2, 5) == pytest.approx(np.mean(each[1:]))


def test_a_sweep_is_of_no_use_where_leaving_the_path_fails():
    rows = np.linspace(-0.19, 0.19, 9)
    raster = []
    for number, x in enumerate(rows):
        across = np.linspace(-0.19, 0.19, 20) * (-1) ** number
        raster += [(x - 0.1, y) for y in across]
    raster = np.array([*raster, *raster[::-1]])
    share = []
    for committed in (True, False):
        env = TraceShape(shapes=3, committed=committed)
        share.append(played(env, raster, 1, 500))
    assert share[0] == 0 and share[1] > 0.1


def test_dense_reward_by_the_formula():
    """Until the button is pressed, along what the scripted policy does."""
    state, ended = start(SEQ, 4)[1], False
    state = state._replace(time=state.task.clock.asks - 2)
    while not ended:
        acting = bool(SEQ.acts(state))
        action = compiled(SEQ)[2](jax.random.key(0), state)
        _, after, reward, ended, _, info = step(SEQ, state, action)
        world, task = after.world, after.task
        tool = np.asarray(world.gripper.position, np.float64)
        cube, button = np.asarray(world.position)[[0, 3]]
        away = np.linalg.norm(tool - cube)
        expected = 0.5 * (1 - np.tanh(5 * away))
        if acting:
            way = way_of(task, min(int(task.closed), 1))
            apart = np.linalg.norm(way[0] - cube[:2])
            expected = 2 * expected + 1.8 * (away < 0.05)
            expected += (
                2.5 * np.asarray(task.visited).mean() + 3.0 * int(task.closed) / 2
            )
            expected += 2 * bool(task.visited.all()) * (1 - np.tanh(5 * apart))
        if int(task.closed) == 2:
            top = np.array([*button[:2], 0.058 + 0.005])
            depth = np.clip(0.058 + 0.03 - tool[2], 0, 0.014) / 0.014
            over = np.linalg.norm((tool - button)[:2]) <= 0.065
            expected += 1.5 * (1 - np.tanh(8 * np.linalg.norm(tool - top)))
            expected += 2.5 * depth * over
        now, was = np.asarray(after.action), np.asarray(state.action)
        expected -= 0.01 * np.tanh(2 * np.linalg.norm(now))
        expected -= 0.03 * np.tanh(5 * np.linalg.norm(now - was))
        speed = np.linalg.norm(np.asarray(world.gripper.velocity)) / 0.75
        expected -= 0.01 * np.tanh(2 * speed)
        if info["success"]:
            expected = 40.0 * (SEQ.max_steps - int(state.time))
        assert float(reward) == pytest.approx(expected, abs=2e-4)
        state = after
    assert info["success"]


def test_dense_terms_of_one_path():
    task, world, _ = begun(ONE)
    way = way_of(task)
    for seen in ([], [2], range(12)):
        visited = np.isin(np.arange(12), list(seen))
        cube = np.array([*way[12], 0.1])
        there = world.position.at[0].set(jnp.asarray(cube, jnp.float32))
        hand = world.gripper._replace(
            position=jnp.asarray(cube + np.array([0.02, 0, 0]), jnp.float32)
        )
        after = world._replace(position=there, gripper=hand)
        told = float(
            ONE._shaped(
                task._replace(visited=jnp.asarray(visited)), after, jnp.bool_(1)
            )
        )
        apart = np.linalg.norm(way[np.arange(12) * 5] - cube[:2], axis=1)
        left = apart[~visited].min() if not visited.all() else 1000.0
        expected = 1 - np.tanh(5 * 0.02) + 2.0 + 3.0 * visited.mean()
        expected += 2 * (1 - np.tanh(5 * left))
        expected += 2 * visited.all() * (1 - np.tanh(5 * apart[0]))
        assert told == pytest.approx(expected, abs=1e-5)


def test_what_is_drawn_and_must_be_remembered():
    env = envs.make("TraceShapeSeqMedium-v0")
    keys = jax.random.split(jax.random.key(2), 1000)
    tasks = jax.jit(jax.vmap(lambda key: env._deal(key)[0]))(keys)
    counts = np.bincount(np.asarray(tasks.number))
    assert counts[:2].sum() == 0 and counts[2:].min() > 200 and len(counts) == 6
    assert set(np.asarray(tasks.shapes).ravel()) == {0, 1}
    assert np.ptp(np.asarray(tasks.turn)) > 6
    asks = np.asarray(tasks.begins + 64 * tasks.number)
    assert np.array_equal(asks, np.asarray(tasks.clock.asks))
    state = start(SEQ, 0)[1]._replace(time=jnp.int32(150))
    hidden = SEQ.hidden(state)
    assert np.array_equal(hidden["shapes"][0], state.task.shapes)
    assert int(hidden["shapes"][1]) == 151 - int(state.task.clock.asks)


def test_bad_parameters():
    with pytest.raises(ValueError, match="shapes to be how many of circle"):
        TraceShape(shapes=4)
    with pytest.raises(ValueError, match="shows and hides for up to 328 steps"):
        TraceShape(sequence=(2, 5))
    with pytest.raises(ValueError, match="sequence to be the fewest"):
        TraceShape(sequence=(0, 1))


@pytest.mark.slow
@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("id", TASKS)
def test_the_script_solves(id, committed):
    env = envs.make(id, committed=committed, reward_mode="sparse")
    assert returns.success(env, returns._by_script(env), 1000) >= 0.99
