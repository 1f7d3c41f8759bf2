"""MiniGrid-Memory against its rules in plain Python, and the returns on its card."""

import collections

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.grids.egocentric import BALL, EMPTY, KEY, UNSEEN, WALL
from envs.grids.memory import MiniGridMemory, MiniGridMemoryState

SIZES = [7, *(pytest.param(n, marks=pytest.mark.slow) for n in (9, 11, 13)), 17]
NOTHING = {"xla_backend_optimization_level": 0}
EAST, SOUTH, WEST, NORTH = range(4)
AHEAD = ((1, 0), (0, 1), (-1, 0), (0, -1))


def build(size, end, cue, top):
    """The grid `[x][y]`, drawn wall by wall as MiniGrid does."""
    grid = [[EMPTY] * size for _ in range(size)]
    middle = size // 2
    for k in range(size):
        grid[k][0] = grid[k][size - 1] = grid[0][k] = grid[size - 1][k] = WALL
    for x in range(1, 5):
        grid[x][middle - 2] = grid[x][middle + 2] = WALL
    grid[4][middle - 1] = grid[4][middle + 1] = WALL
    for x in range(5, end):
        grid[x][middle - 1] = grid[x][middle + 1] = WALL
    for y in range(size):
        if y != middle:
            grid[end][y] = WALL
        grid[end + 2][y] = WALL
    grid[1][middle - 1] = cue
    grid[end + 1][middle - 2] = top
    grid[end + 1][middle + 2] = KEY + BALL - top
    return grid


def view_of(grid, x, y, direction):
    """The kinds in view `[i][j]`: a piece cut out, turned and cleared of the unseen."""
    size = len(grid)
    left, upper = {
        EAST: (x, y - 3),
        SOUTH: (x - 3, y),
        WEST: (x - 6, y - 3),
        NORTH: (x - 3, y - 6),
    }[direction]
    piece = [[WALL] * 7 for _ in range(7)]
    for i in range(7):
        for j in range(7):
            if 0 <= left + i < size and 0 <= upper + j < size:
                piece[i][j] = grid[left + i][upper + j]
    for _ in range(direction + 1):
        turned = [[WALL] * 7 for _ in range(7)]
        for i in range(7):
            for j in range(7):
                turned[j][6 - i] = piece[i][j]
        piece = turned
    seen = [[False] * 7 for _ in range(7)]
    seen[3][6] = True
    for j in range(6, -1, -1):
        for columns, side in ((range(6), 1), (range(6, 0, -1), -1)):
            for i in columns:
                if seen[i][j] and piece[i][j] != WALL:
                    seen[i + side][j] = True
                    if j:
                        seen[i + side][j - 1] = seen[i][j - 1] = True
    return [[piece[i][j] if seen[i][j] else UNSEEN for j in range(7)] for i in range(7)]


def follow(size, start, actions):
    """Observation, reward and both ends after each action, to the end."""
    x, y, direction, end, cue, top = start
    grid = build(size, end, cue, top)
    middle, steps = size // 2, 5 * size**2
    up, down = (end + 1, middle - 1), (end + 1, middle + 1)
    match, other = (up, down) if cue == top else (down, up)
    trace = []
    for time, action in enumerate(actions, start=1):
        if action == 0:
            direction = (direction - 1) % 4
        elif action == 1:
            direction = (direction + 1) % 4
        elif action == 2:
            ahead = x + AHEAD[direction][0], y + AHEAD[direction][1]
            if grid[ahead[0]][ahead[1]] == EMPTY:
                x, y = ahead
        reward = 1 - 0.9 * time / steps if (x, y) == match else 0
        ends = (x, y) in (match, other), time >= steps
        trace.append((view_of(grid, x, y, direction), direction, reward, *ends))
        if any(ends):
            break
    return trace


def starts(env, count, seed=0):
    reset = jax.jit(jax.vmap(env.reset), compiler_options=NOTHING)
    return reset(jax.random.split(jax.random.key(seed), count))


def straight(size, start, right):
    """Actions from the start to a side of the junction."""
    x, _, _, end, cue, top = start
    up = (cue == top) == right
    return [2] * (end + 1 - x) + [0 if up else 1, 2]


def chosen(size, start, which, rng):
    """Random; to the right or wrong side; the right one at the last moment."""
    steps = 5 * size**2
    if which in (0, 1):
        chances = [(1, 1, 2, 0.2, 0.2, 0.2, 0.2), (1, 1, 1, 1, 1, 1, 1)][which]
        return list(rng.choice(7, steps, p=np.array(chances) / sum(chances)))
    way = straight(size, start, right=which != 3)
    wait = steps - len(way) if which == 4 else 0
    turns = [0] * (wait // 4 * 4)
    way = turns + [6] * (wait - len(turns)) + way
    return way + [6] * (steps - len(way))


@pytest.mark.parametrize("size", SIZES)
def test_agrees_with_the_rules(size):
    env = MiniGridMemory(size)
    rng = np.random.default_rng(size)
    first, states = starts(env, 10)
    numbers = [tuple(map(int, row[:6])) for row in zip(*states, strict=True)]
    actions = [chosen(size, s, i % 5, rng) for i, s in enumerate(numbers)]

    def body(state, action):
        step = jax.vmap(env.step, (None, 0, 0))(jax.random.key(0), state, action)
        return step[1], (step[0]["view"], step[0]["direction"], *step[2:5])

    run = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1], compiler_options=NOTHING)
    trace = run(states, jnp.asarray(np.array(actions).T, jnp.int32))
    trace = [np.asarray(x) for x in trace]
    endings = set()
    for i, start in enumerate(numbers):
        grid = build(size, *start[3:])
        before = view_of(grid, *start[:3])
        assert np.array_equal(first["view"][i], np.ravel(before))
        expected = follow(size, start, actions[i])
        for t, (view, *rest) in enumerate(expected):
            assert np.array_equal(trace[0][t, i], np.ravel(view)), (i, t)
            np.testing.assert_allclose([x[t, i] for x in trace[1:]], rest, atol=1e-6)
        endings.add((i % 5, *rest[2:], rest[1] > 0))
    assert {(2, True, False, True), (3, True, False, False)} <= endings
    assert (4, True, True, True) in endings


@pytest.mark.parametrize("size", [7, 17])
def test_views_from_everywhere(size):
    """Every square that is free, in every direction, with both objects each way."""
    env = MiniGridMemory(size)
    poses, expected = [], []
    for end in (4, size - 3):
        for cue, top in ((KEY, BALL), (BALL, BALL)):
            grid = build(size, end, cue, top)
            for x, y in np.argwhere(np.array(grid) == EMPTY):
                for direction in range(4):
                    poses.append((x, y, direction, end, cue, top, 0, -1))
                    expected.append(np.ravel(view_of(grid, x, y, direction)))
    state = MiniGridMemoryState(*jnp.asarray(np.array(poses).T, jnp.int32))
    look = jax.jit(jax.vmap(env._look), compiler_options=NOTHING)
    assert np.array_equal(look(state)[0]["view"], expected)


def test_starts():
    env = MiniGridMemory(13, random_length=True)
    _, state = starts(env, 4000)
    state = [np.asarray(leaf) for leaf in state]
    x, y, direction, end, cue, top = state[:6]
    assert (y == 6).all() and (direction == 0).all()
    counts = collections.Counter(zip(cue, top, strict=True))
    assert len(counts) == 4
    assert all(abs(n - 1000) < 5 * np.sqrt(750) for n in counts.values())
    for length in range(4, 11):
        here = end == length
        assert abs(here.mean() - 1 / 7) < 5 * np.sqrt(6 / 49 / 4000)
        counts = np.bincount(x[here], minlength=12)[1 : length + 1]
        assert counts.sum() == here.sum()
        hope = here.sum() / length
        assert (abs(counts - hope) < 5 * np.sqrt(hope)).all()


def fewest_steps(grid, start, goal, cue_wanted):
    """Fewest actions to the goal, with the cue and an object at the end in view."""
    middle, end = len(grid) // 2, goal[0] - 1

    def known(x, y, direction):
        view = view_of(grid, x, y, direction)
        squares = square_numbers(x, y, direction)
        return tuple(
            any(
                view[i][j] != UNSEEN and squares[i][j] in wanted
                for i in range(7)
                for j in range(7)
            )
            for wanted in (
                [(1, middle - 1)],
                [(end + 1, middle - 2), (end + 1, middle + 2)],
            )
        )

    def join(pose, flags):
        now = known(*pose)
        return pose, (flags[0] or now[0] or not cue_wanted, flags[1] or now[1])

    first = join((*start, EAST), (False, False))
    distance, queue = {first: 0}, collections.deque([first])
    while queue:
        node = queue.popleft()
        (x, y, direction), flags = node
        if (x, y) == goal:
            if all(flags):
                return distance[node]
            continue  # the end, too early
        ahead = x + AHEAD[direction][0], y + AHEAD[direction][1]
        poses = [(x, y, (direction + 1) % 4), (x, y, (direction - 1) % 4)]
        if grid[ahead[0]][ahead[1]] == EMPTY:
            poses.append((*ahead, direction))
        for pose in poses:
            following = join(pose, flags)
            if following not in distance:
                distance[following] = distance[node] + 1
                queue.append(following)
    raise AssertionError("no way")


def square_numbers(x, y, direction):
    """The square that each element of the view shows."""
    (dx, dy), (rx, ry) = AHEAD[direction], AHEAD[(direction + 1) % 4]
    return [
        [
            (x + (6 - j) * dx + (i - 3) * rx, y + (6 - j) * dy + (i - 3) * ry)
            for j in range(7)
        ]
        for i in range(7)
    ]


@pytest.mark.parametrize("size, random_length", [(7, False), (9, False), (11, True)])
def test_oracle_and_recall_by_search(size, random_length):
    """Over all starts; whichever the side, so no plan can beat them."""
    env = MiniGridMemory(size, random_length)
    middle = size // 2
    for fetch, claim in ((False, env.card.oracle), (True, env.card.recall)):
        means = []
        for end in env._ends:
            grid = build(size, end, KEY, KEY)
            up, down = (
                [
                    fewest_steps(grid, (x, middle), (end + 1, middle + side), fetch)
                    for x in range(1, end + 1)
                ]
                for side in (-1, 1)
            )
            assert up == down
            means.append(np.mean(up))
        expected = 1 - 0.9 * np.mean(means) / (5 * size**2)
        assert claim.value == pytest.approx(expected)


def remembering(size, start):
    """Steps of a policy with memory that knows nothing but what it has seen."""
    cue, direction, actions = None, EAST, []
    view = view_of(build(size, *start[3:]), *start[:3])
    while True:
        # Looking back, and to the left of it, the only object is the cue; at the very
        # start it can lie beside the agent.
        if cue is None and (direction != EAST or not actions):
            rows = range(2, 3) if direction == EAST else range(7)
            rows = range(3) if direction == NORTH else rows
            columns = [6] if direction == EAST else range(7)
            found = [view[i][j] for i in rows for j in columns if view[i][j] >= KEY]
            cue = found[0] if found else None
        if cue is None:
            action = 2 if direction == WEST else 0
        elif direction != EAST:
            action = 1 if direction == NORTH else 0
        elif view[3][5] != WALL:
            action = 2
        else:
            actions += [0 if view[1][6] == cue else 1, 2]
            return follow(size, start, actions)
        actions.append(action)
        view, direction, *_ = follow(size, start, actions)[-1]


@pytest.mark.parametrize("size", [11, 17])
def test_recall_is_attained(size):
    env = MiniGridMemory(size)
    end, middle = size - 3, size // 2
    paid = []
    for x in range(1, end + 1):
        trace = remembering(size, (x, middle, EAST, end, KEY, BALL))
        assert trace[-1][3]
        paid.append(trace[-1][2])
    assert np.mean(paid) == pytest.approx(env.card.recall.value)


@pytest.mark.parametrize("size", [11, 17])
def test_stationary_policy(size):
    """Forward until a wall, then left: half of the oracle, as on the card."""
    env = MiniGridMemory(size)

    def run(key):
        observation, state = jax.vmap(env.reset)(jax.random.split(key, 4000))

        def body(carry, _):
            observation, state, running, total = carry
            wall = observation["view"].reshape(-1, 7, 7)[:, 3, 5] == WALL
            action = jnp.where(wall, 0, 2).astype(jnp.int32)
            step = jax.vmap(env.step, (None, 0, 0))(key, state, action)
            total = total + jnp.where(running, step[2], 0)
            return (*step[:2], running & ~step[3], total), None

        carry = (observation, state, jnp.ones(4000, bool), jnp.zeros(4000))
        return jax.lax.scan(body, carry, length=size)[0][2:]

    running, total = jax.jit(run, compiler_options=NOTHING)(jax.random.key(0))
    total = np.asarray(total)
    assert not running.any()
    assert abs(total.mean() - env.card.memoryless.value) < 4 * total.std() / 4000**0.5


@pytest.mark.parametrize("random_length", [False, True])
def test_floor_is_what_random_play_returns(random_length):
    env, count = MiniGridMemory(7, random_length), 8192

    def run(key):
        start_key, key = jax.random.split(key)
        _, state = jax.vmap(env.reset)(jax.random.split(start_key, count))

        def body(carry, key):
            state, running, total = carry
            actions = jax.random.randint(key, (count,), 0, 7, jnp.int32)
            step = jax.vmap(env.step, (None, 0, 0))(key, state, actions)
            total = total + jnp.where(running, step[2], 0)
            return (step[1], running & ~(step[3] | step[4]), total), None

        carry = (state, jnp.ones(count, bool), jnp.zeros(count))
        keys = jax.random.split(key, env.card.max_episode_steps)
        return jax.lax.scan(body, carry, keys)[0][1:]

    running, total = map(np.asarray, jax.jit(run)(jax.random.key(0)))
    assert not running.any()
    error = total.std() / count**0.5
    assert error < 0.005
    assert abs(total.mean() - env.card.floor.value) < 4 * error


def test_small_grids_show_all_at_the_junction():
    for size, reaches in ((7, True), (9, True), (11, False)):
        end, middle = size - 3, size // 2
        view = view_of(build(size, end, KEY, BALL), end + 1, middle, WEST)
        assert (sum(kind >= KEY for row in view for kind in row) == 3) == reaches
        card = MiniGridMemory(size).card
        assert (card.memoryless.value is None) == reaches


def test_hidden_and_picture():
    env = MiniGridMemory(11)
    state = MiniGridMemoryState(*map(jnp.int32, (8, 5, EAST, 8, KEY, BALL, 0, -1)))
    step = jax.jit(env.step, compiler_options=NOTHING)
    ages = []
    for action in [0, 0, 2, 1, 1]:  # back to the room, one step, and around again
        state = step(jax.random.key(0), state, jnp.int32(action))[1]
        cue, age = env.hidden(state)["cue"]
        assert cue == KEY
        ages.append(int(age))
    assert ages == [-1, -1, 0, 1, 2]
    assert jax.eval_shape(env.render, state).shape[0] == 64


@pytest.mark.parametrize("size", [8, 5, 1003])
def test_parameters_are_checked(size):
    with pytest.raises(ValueError, match="odd size from 7"):
        envs.make("MiniGridMemory-v0", size=size)
