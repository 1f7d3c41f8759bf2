"""MineSweeper against the POPGym package: rules, mines, and the card's returns."""

import collections
import functools
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import draw
from envs.popgym.games import sweeping
from envs.popgym.games.minesweeper import MineSweeperState

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    package = pytest.importorskip("popgym.envs.minesweeper")

slow = pytest.mark.slow
LEVELS = ["Easy", pytest.param("Medium", marks=slow), pytest.param("Hard", marks=slow)]


def play(env, boards, actions):
    """Observations, rewards, both ends, info, what is known `[time, stream]`."""
    streams = len(boards)
    zero = jnp.zeros(streams, jnp.int32)
    state = MineSweeperState(
        board=jnp.asarray(boards.reshape(streams, -1), jnp.int8),
        left=zero + env.size**2 - env.mines,
        time=zero,
        last=zero - 1,
        count=zero,
    )

    def body(state, action):
        step = jax.vmap(env.step, (None, 0, 0))(jax.random.key(0), state, action)
        known = jax.vmap(env.hidden)(step[1])["known"][0]
        return step[1], (step[0], *step[2:], known)

    run = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1])
    trace = run(state, jnp.asarray(np.moveaxis(actions, 0, 1), jnp.int32))
    return jax.tree.map(np.asarray, trace)


@pytest.mark.parametrize("level", LEVELS)
def test_agrees_with_popgym_step_by_step(level):
    """Random clicks, clear cells only, a win, and a mine as the last click."""
    ours = envs.make(f"MineSweeper{level}-v0")
    rng = np.random.default_rng(0)
    steps = ours.size**2 - ours.mines
    theirs = [getattr(package, f"MineSweeper{level}")() for _ in range(40)]
    for seed, their in enumerate(theirs):
        assert their.reset(seed=seed)[0] == 0
    boards = np.stack([their.hidden_grid for their in theirs])
    actions = rng.integers(0, ours.size, (40, steps, 2))
    for i in range(20, 40):
        clear = rng.permutation(np.argwhere(boards[i] == 0))
        if i < 30:  # with repetitions, to the time limit
            clear = clear[rng.integers(len(clear), size=steps)]
        actions[i] = clear
    actions[35:, -1] = [np.argwhere(board == 1)[0] for board in boards[35:]]
    observation, reward, terminated, truncated, info, known = play(
        ours, boards, actions
    )
    ends = collections.Counter()
    for i, their in enumerate(theirs):
        for t in range(steps):
            expected = their.step(actions[i, t])
            assert observation[t, i] == expected[0], (i, t)
            assert abs(reward[t, i] - expected[1]) < 1e-6, (i, t)
            assert (terminated[t, i], truncated[t, i]) == expected[2:4], (i, t)
            assert info["success"][t, i] == (their.hidden_grid != 0).all()
            shown = np.where(their.hidden_grid == 2, their.neighbor_grid, -1)
            assert (known[t, i] == shown.ravel()).all(), (i, t)
            if expected[2] or expected[3]:
                break
        ends[bool(expected[2]), bool(expected[3]), t + 1 == steps] += 1
    # Won or hit by the last click; limits; and mines on the way.
    assert ends[True, False, True] >= 10 and ends[False, True, True] >= 10
    assert ends[True, False, False] >= 15
    assert reward[:, 30].sum() == pytest.approx(1)


def test_mines_are_a_uniformly_random_set():
    env = envs.make("MineSweeperEasy-v0", size=3)
    reset = jax.jit(jax.vmap(lambda key: env.reset(key)[1].board))
    boards = np.asarray(reset(jax.random.split(jax.random.key(0), 7200)))
    counts = collections.Counter(map(tuple, boards.tolist()))
    assert len(counts) == 36 and set(boards.sum(1)) == {2}
    total = sum((count - 200) ** 2 / 200 for count in counts.values())
    assert abs(total - 35) < 5 * np.sqrt(2 * 35)


@pytest.mark.parametrize("level", LEVELS)
def test_resets_look_like_the_packages(level):
    env = envs.make(f"MineSweeper{level}-v0")
    theirs = getattr(package, f"MineSweeper{level}")()
    drawn = []
    for seed in range(1000):
        theirs.reset(seed=0 if seed == 0 else None)
        drawn.append(theirs.hidden_grid.ravel())
    reset = jax.jit(jax.vmap(lambda key: env.reset(key)[1].board))
    boards = np.asarray(reset(jax.random.split(jax.random.key(1), 1000)))
    assert set(boards.sum(1)) == {env.mines}
    chance = env.mines / env.size**2
    sigma = np.sqrt(2 * chance * (1 - chance) / 1000)
    assert (np.abs(boards.mean(0) - np.mean(drawn, 0)) < 5 * sigma).all()


def test_floor_and_oracle():
    env = envs.make("MineSweeperEasy-v0")
    reset = jax.jit(jax.vmap(lambda key: env.reset(key)[1].board))
    boards = np.asarray(reset(jax.random.split(jax.random.key(2), 2000)))
    actions = np.random.default_rng(0).integers(0, 4, (2000, 14, 2))
    for i in range(1000, 2000):
        actions[i] = np.stack(np.divmod(np.flatnonzero(boards[i] == 0), 4), -1)
    _, reward, terminated, truncated, *_ = play(env, boards, actions)
    ended = np.cumsum(terminated | truncated, 0) - (terminated | truncated)
    returns = np.where(ended > 0, 0, reward).sum(0)
    error = 4 * returns[:1000].std() / np.sqrt(1000)
    assert abs(returns[:1000].mean() - env.card.floor.value) < error
    np.testing.assert_allclose(returns[1000:], 1, atol=1e-5)
    _, state = env.reset(jax.random.key(0))
    step = jax.jit(env.step)
    for cell in np.flatnonzero(np.asarray(state.board) == 0)[:3]:
        action = env.oracle(jax.random.key(0), state)
        assert action.tolist() == list(divmod(int(cell), 4))
        state = step(jax.random.key(0), state, action)[1]


def test_the_scene_shows_the_last_click_only():
    env = envs.make("MineSweeperHard-v0")
    _, state = env.reset(jax.random.key(0))
    board = state.board.at[jnp.array([9, 10])].set(jnp.array([2, 1], jnp.int8))
    state = state._replace(board=board, last=jnp.int32(9), count=jnp.int32(3))
    image = jax.jit(env.render)
    picture = np.asarray(image(state))
    moved = board.at[11:].set(board[:10:-1])
    other = np.asarray(image(state._replace(board=moved)))
    assert (picture[: draw.SCENE] == other[: draw.SCENE]).all()
    assert (picture[-draw.STRIP :] != other[-draw.STRIP :]).any()
    mine = np.asarray(image(state._replace(last=jnp.int32(10))))
    assert (mine[: draw.SCENE] == draw.PLUS).all(-1).sum() == 4 * 4  # one tile


def enumerate_best(size, mines, policy_is_random):
    """Best or random return by trying every click in every position: no shortcuts."""
    cells = [(r, c) for r in range(size) for c in range(size)]
    steps = len(cells) - mines
    layouts = [frozenset(m) for m in itertools.combinations(cells, mines)]

    def shown(layout, cell):
        return sum(max(abs(cell[0] - r), abs(cell[1] - c)) <= 1 for r, c in layout)

    @functools.cache
    def total(viewed, group, left):
        if left == 0 or len(viewed) == steps:
            return 0.0
        options = []
        for cell in cells:
            if cell in viewed:
                value = -0.5 / (steps - 2) * len(group)
                options.append(value + total(viewed, group, left - 1))
                continue
            hit = [layout for layout in group if cell in layout]
            value = -(0.5 + 1 / steps) * len(hit)
            parts = collections.defaultdict(list)
            for layout in group:
                if cell not in layout:
                    parts[shown(layout, cell)].append(layout)
            for part in parts.values():
                value += len(part) / steps
                value += total(viewed | {cell}, tuple(part), left - 1)
            options.append(value)
        return float(np.mean(options) if policy_is_random else max(options))

    return total(frozenset(), tuple(layouts), steps) / len(layouts)


@pytest.mark.parametrize("size, mines", [(2, 1), (3, 1), (3, 5)])
def test_returns_by_enumeration(size, mines):
    best = enumerate_best(size, mines, False)
    assert sweeping.best_return(size, mines) == pytest.approx(best)
    random = enumerate_best(size, mines, True)
    assert sweeping.random_return(size**2, mines) == pytest.approx(random)


@pytest.mark.slow
@pytest.mark.parametrize("mines", [2, 3, 4])
def test_more_returns_by_enumeration(mines):
    best = enumerate_best(3, mines, False)
    assert sweeping.best_return(3, mines) == pytest.approx(best)


def test_recall_is_known_where_it_can_be_computed():
    easy, hard = (envs.make(f"MineSweeper{x}-v0").card for x in ("Easy", "Hard"))
    assert easy.recall.value == pytest.approx(429 / 560)
    assert hard.recall.value is None


@pytest.mark.parametrize(
    "parameters, message",
    [({"size": 1}, "not 1"), ({"mines": 14}, "not 14"), ({"mines": 0}, "not 0")],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("MineSweeperEasy-v0", **parameters)
