"""Labyrinths against the POPGym package, and their mazes against hunt and kill."""

import collections
import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.popgym.navigation import hunt_and_kill, labyrinth
from envs.popgym.navigation.labyrinth import (
    DOWN,
    LEFT,
    NO_ACTION,
    RIGHT,
    UP,
    LabyrinthState,
)
from tests.envs.popgym.navigation import mazes
from tests.envs.popgym.parity import (
    NOTHING,
    assert_equal,
    at_every_level,
    popgym_trace,
)

both = pytest.mark.parametrize("task", ["Escape", "Explore"])
PACKAGE = dict(zip(("Escape", "Explore"), mazes.popgym_labyrinths(), strict=True))
EPISODES = 2**12


def popgym_env(task, level, start_side, seed):
    """POPGym's task at the start of an episode that begins on a given side."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no memory is needed
        theirs = getattr(PACKAGE[task], f"Labyrinth{task}{level}")()
    for draw in range(100):
        observation, _ = theirs.reset(seed=seed + 1000 * draw)
        row, column = theirs.position
        size = len(theirs.maze.grid) - 1
        sides = [column == 0, column == size, row == 0, row == size]
        if sides[start_side] and mazes.complete(theirs.maze.grid):
            return theirs, observation
    raise AssertionError("no maze starts there")


def transplanted(env, theirs):
    """Our state for POPGym's maze; what the oracle follows is left out."""
    grid = np.array(theirs.maze.grid, np.int8)
    state = jax.eval_shape(env.reset, jax.random.key(0))[1]
    plan = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), state.plan)
    free = int((grid == 0).sum())
    grid[theirs.position] += 8
    numbers = (*theirs.position, free, 0, NO_ACTION)
    return LabyrinthState(jnp.asarray(grid), plan, *map(jnp.int32, numbers))


def plays(task, theirs, rng):
    """Random actions; a way to the end, with bumps; the same at the last moment."""
    grid = theirs.maze.grid
    inwards = [1, 0, 3, 2]
    ends = {theirs.maze.end}
    if task == "Escape":
        solution = mazes.way(grid, theirs.position, ends)
    else:
        solution = mazes.cover(grid, theirs.position)
    bump = inwards[solution[0]]
    late = [bump] * (1023 - len(solution)) + solution
    return [list(rng.integers(0, 4, 1023)), [bump, *solution], late]


def our_traces(env, states, actions):
    """What `env` returns in each stream at each step."""

    def body(state, action):
        step = jax.vmap(env.step, (None, 0, 0))(jax.random.key(0), state, action)
        return step[1], (step[0], *step[2:5])

    run = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1], compiler_options=NOTHING)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    trace = run(stacked, jnp.asarray(actions, jnp.int32).T)
    trace = [np.asarray(leaf).swapaxes(0, 1) for leaf in trace]
    return [list(zip(*stream, strict=True)) for stream in zip(*trace, strict=True)]


@both
@at_every_level
def test_agrees_with_popgym_step_by_step(task, level):
    """From all four sides: the window, rewards and both ends."""
    env = envs.make(f"Labyrinth{task}{level}-v0")
    rng = np.random.default_rng(0)
    states, actions, traces, seen = [], [], [], []
    for side in range(4):
        for which in range(3):
            theirs, observation = popgym_env(task, level, side, seed=side)
            states.append(transplanted(env, theirs))
            assert np.array_equal(env._observe(states[-1]), observation)
            chosen = iter(plays(task, theirs, rng)[which])
            done, trace = popgym_trace(theirs, lambda _, c=chosen: int(next(c)))
            actions.append(done + [0] * (1023 - len(done)))
            traces.append(trace)
            seen.append((which, len(done), *map(bool, trace[-1][2:])))
    for trace, expected in zip(our_traces(env, states, actions), traces, strict=True):
        assert_equal(trace[: len(expected)], expected)
    assert all(end[2:] == (True, False) for end in seen if end[0] == 1)
    assert all(end[1:] == (1023, True, True) for end in seen if end[0] == 2)
    assert any(end == (0, 1023, False, True) for end in seen)


@functools.cache
def starts():
    """Many starts of LabyrinthEscapeEasy, and on which side each is."""
    env = envs.make("LabyrinthEscapeEasy-v0")
    keys = jax.random.split(jax.random.key(0), 2000)
    observation, state = jax.tree.map(np.asarray, jax.jit(jax.vmap(env.reset))(keys))
    row, column = state.row, state.column
    return observation, state, [column == 0, column == 10, row == 0, row == 10]


@pytest.mark.parametrize(
    "side, own", [(LEFT, (1, 0)), (RIGHT, (1, 1)), (UP, (0, 1)), (DOWN, (1, 1))]
)
def test_the_window_is_shifted_at_two_borders(side, own):
    """As in the package: at the left and the top it begins with one's own square."""
    observations, _, sides = starts()
    for observation in observations[sides[side]]:
        window = observation[:9].reshape(3, 3)
        assert window[own] == labyrinth.START and (window == labyrinth.START).sum() == 1
        beyond = window[:, 2] if side in (LEFT, RIGHT) else window[2]
        assert (beyond == 1).all()
        assert observation[9] == NO_ACTION


def drawn(side, count, seed=0):
    def maze(key):
        return hunt_and_kill.grid_of(*hunt_and_kill.carve(key, side), side)

    return np.asarray(
        jax.jit(jax.vmap(maze))(jax.random.split(jax.random.key(seed), count))
    )


def test_small_mazes_have_the_exact_distribution():
    expected = mazes.exact_mazes(3)
    assert len(expected) == 174 and sum(expected.values()) == pytest.approx(1)
    between = [(y, x) for y in range(1, 6) for x in range(1, 6) if (y + x) % 2]
    counts = collections.Counter(
        frozenset(square for square in between if grid[square] == 0)
        for grid in drawn(3, 20_000)
    )
    assert set(counts) <= set(expected)
    hopes = {maze: 20_000 * chance for maze, chance in expected.items()}
    total = sum((counts[maze] - hope) ** 2 / hope for maze, hope in hopes.items())
    # Some are rare, which widens the distribution of the statistic.
    variance = 2 * 173 + sum(1 / hope for hope in hopes.values()) - 174**2 / 20_000
    assert abs(total - 173) < 5 * np.sqrt(variance)


def statistics(grid):
    """Dead ends, crossings of 3 and 4, way from corner to corner, straight cells."""
    degree = mazes.degrees(grid)
    size = len(grid) - 1
    walls = np.asarray(grid)
    straight = (walls[1::2, :-2:2] == 0) & (walls[1::2, 2::2] == 0) & (degree == 2)
    return [
        *(float((degree == n).sum()) for n in (1, 2, 3, 4)),
        float(straight.sum()),
        float(len(mazes.way(walls, (1, 1), {(size - 1, size - 1)}))),
        float(len(mazes.way(walls, (1, size // 2 | 1), {(size - 1, size // 2 | 1)}))),
        float(degree[0, 0] == 1),
    ]


@at_every_level
def test_mazes_look_like_hunt_and_kill(level):
    """Degrees, dead ends and ways; also of mazelib's, where that is installed."""
    side = envs.make(f"LabyrinthEscape{level}-v0").size // 2
    ours = drawn(side, 250)
    assert (ours[:, 1::2, 1::2] == 0).all()
    assert ((ours == 0).sum((1, 2)) == 2 * side**2 - 1).all()
    one = np.array([statistics(grid) for grid in ours])
    for generate in mazes.generators(seed=0):
        theirs = [generate(side) for _ in range(250)]
        theirs = [grid for grid in theirs if mazes.complete(grid)]
        assert len(theirs) > 240  # the limit on draws can leave cells out
        other = np.array([statistics(grid) for grid in theirs])
        sigma = np.sqrt(one.var(0) / len(one) + other.var(0) / len(other))
        assert (np.abs(one.mean(0) - other.mean(0)) < 5 * sigma + 1e-9).all()


def test_openings_are_uniform_and_opposite():
    _, state, _ = starts()
    counts = collections.Counter()
    for grid, row, column in zip(state.grid, state.row, state.column, strict=True):
        assert grid[row, column] == labyrinth.START + 8
        (goal,) = np.argwhere(grid == labyrinth.GOAL)
        border = [(row, goal[0]), (column, goal[1])]
        (across,) = [k for k, pair in enumerate(border) if set(pair) == {0, 10}]
        counts["side", across, int(border[across][0])] += 1
        counts["places", *map(int, border[1 - across])] += 1
    assert len(counts) == 4 + 25
    for key, count in counts.items():
        chance = 0.25 if key[0] == "side" else 0.04
        assert abs(count - 2000 * chance) < 5 * np.sqrt(2000 * chance * (1 - chance))


def hand_on_the_wall(observation):
    """Keep the right hand on the wall: a map from one observation to an action."""
    window, last = observation[:9].reshape(3, 3), observation[9]
    window = jnp.where(window == labyrinth.START, 1, window)
    right_of = jnp.array([UP, DOWN, RIGHT, LEFT, 0], jnp.int32)
    back_of = jnp.array([RIGHT, LEFT, DOWN, UP, 0], jnp.int32)
    around = jnp.stack([window[1, 0], window[1, 2], window[0, 1], window[2, 1]])
    wishes = jnp.stack(
        [right_of[last], last % 4, back_of[right_of[last]], back_of[last]]
    )
    walk = wishes[(around[wishes] != 1).argmax()]
    # At first on the border, perhaps with a shifted window: inwards.
    start = observation[:9].reshape(3, 3) == labyrinth.START
    inwards = jnp.where(start[1, 0], RIGHT, jnp.where(start[0, 1], DOWN, UP))
    inwards = jnp.where(start[1, 1] & (observation[3] == 0), LEFT, inwards)
    return jnp.where(last == NO_ACTION, inwards, walk).astype(jnp.int32)


def play(env, episodes, steps, seed=1):
    """Returns, lengths and starts of episodes by each of four policies.

    They come in groups of `episodes`: random, oracle, hand on the wall, and the oracle
    after a hundred random steps.
    """

    def choose(key, policy, observation, state):
        drawn = jax.random.randint(key, (), 0, 4, jnp.int32)
        best = env.oracle(key, state)
        late = jnp.where(state.time < 100, drawn, best)
        return jnp.stack([drawn, best, hand_on_the_wall(observation), late])[policy]

    def run(key):
        reset_key, key = jax.random.split(key)
        policies = jnp.arange(4, dtype=jnp.int32).repeat(episodes)
        start = jax.vmap(env.reset)(jax.random.split(reset_key, policies.size))

        def body(carry, key):
            observation, state, running, total, length = carry
            keys = jax.random.split(key, policies.size)
            action = jax.vmap(choose)(keys, policies, observation, state)
            step = jax.vmap(env.step)(keys, state, action)
            total = total + jnp.where(running, step[2], 0)
            length = length + running.astype(jnp.int32)
            return (*step[:2], running & ~(step[3] | step[4]), total, length), None

        running = jnp.ones(policies.size, bool)
        zeros = jnp.zeros(policies.size, jnp.int32)
        carry = (*start, running, zeros.astype(labyrinth.float_dtype()), zeros)
        carry, _ = jax.lax.scan(body, carry, jax.random.split(key, steps))
        return carry[2:], start[1]

    (running, total, length), start = jax.jit(run)(jax.random.key(seed))
    assert not running.any()
    total = np.asarray(total, np.float64).reshape(4, episodes)
    return total, np.asarray(length).reshape(4, episodes), start


@both
@at_every_level
def test_policies(task, level):
    """The oracle is shortest, also after mistakes; a hand on the wall does as well.

    The latter is a map from window and last action to action, as the package warns.
    """
    env = envs.make(f"Labyrinth{task}{level}-v0")
    side = env.size // 2
    free = 2 * side**2 - 1
    returns, lengths, start = play(env, 64, 1023)
    grids, rows, columns = map(np.asarray, (start.grid, start.row, start.column))
    for i in range(64, 128):
        grid, here = grids[i] & 7, (int(rows[i]), int(columns[i]))
        squares = [tuple(map(int, s)) for s in np.argwhere(grid != 1)]
        if task == "Escape":
            goals = {s for s in squares if grid[s] == labyrinth.GOAL}
            expected = len(mazes.way(grid, here, goals))
        else:
            # Dead ends are the deepest.
            ends = [s for s in squares if mazes.is_dead_end(grid, s) and s != here]
            expected = 2 * free - max(len(mazes.way(grid, here, {s})) for s in ends)
        assert lengths[1, i - 64] == expected
    paid, unpaid = (1, 0) if task == "Escape" else (1, free)
    np.testing.assert_allclose(
        returns[1], paid - (lengths[1] - unpaid) / 1024, atol=1e-5
    )
    card = env.card
    for claim, values in ((card.floor, returns[0]), (card.oracle, returns[1])):
        error = 4 * values.std() / np.sqrt(64) + 2 * claim.half_width
        assert abs(values.mean() - claim.value) < error
    assert lengths[2].max() <= 2 * free + 1
    assert lengths[3].max() <= 100 + 4 * side**2 + 2 * side**2


HAND = {
    "Escape": {"Easy": 0.95, "Medium": 0.90, "Hard": 0.84},
    "Explore": {"Easy": 0.97, "Medium": 0.93, "Hard": 0.86},
}  # as the docstrings have it


@pytest.mark.slow
@both
@pytest.mark.parametrize("level", ["Easy", "Medium", "Hard"])
def test_simulated_returns(task, level):
    """What the cards and docstrings quote, again with other keys."""
    env = envs.make(f"Labyrinth{task}{level}-v0")
    returns, _, _ = play(env, EPISODES, 1023, seed=7)
    error = returns.std(1) / np.sqrt(EPISODES)
    for i, claim in enumerate((env.card.floor, env.card.oracle)):
        assert abs(returns[i].mean() - claim.value) < 3 * error[i] + claim.half_width
        expected = 1.96 * error[i] * np.sqrt(EPISODES / 2**14)
        assert claim.half_width == pytest.approx(expected, rel=0.15, abs=1e-4)
    assert abs(returns[2].mean() - HAND[task][level]) < 0.005 + 3 * error[2]


def test_what_cards_know_of_other_parameters():
    card = envs.make("LabyrinthEscapeEasy-v0", steps=2048).card
    assert card.floor.value is None and card.oracle.value == pytest.approx(
        1 - 21.594 / 2048
    )
    for steps in (40, 90):
        assert (
            envs.make("LabyrinthExploreEasy-v0", steps=steps).card.oracle.value is None
        )
    assert envs.make("LabyrinthExploreEasy-v0", size=6).card.floor.value is None


def test_hidden_and_picture():
    env = envs.make("LabyrinthEscapeEasy-v0")
    state = jax.tree.map(lambda x: jnp.asarray(x[0]), starts()[1])
    step = jax.jit(env.step, compiler_options=NOTHING)
    for _ in range(3):
        action = env.oracle(jax.random.key(0), state)
        state = step(jax.random.key(0), state, action)[1]
    known, age = env.hidden(state)["map"]
    assert age == 3 and (known != labyrinth.HIDDEN).sum() == 4
    assert known[state.row, state.column] == labyrinth.FREE
    for size in (10, 18, 32):
        env = envs.make("LabyrinthEscapeEasy-v0", size=size)
        _, state = jax.eval_shape(env.reset, jax.random.key(0))
        assert jax.eval_shape(env.render, state).shape[0] == 64


@both
@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"size": 11}, "even"),
        ({"size": 4}, "from 6"),
        ({"size": 34}, "to 32"),
        ({"steps": 2}, "at least 3"),
        ({"steps": 2**31}, "clocks wrap"),
    ],
)
def test_parameters_are_checked(task, parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make(f"Labyrinth{task}Easy-v0", **parameters)
