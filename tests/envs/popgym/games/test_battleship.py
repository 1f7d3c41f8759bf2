"""Battleship against the POPGym package: rules, placement, and the card's returns."""

import collections
import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs import draw
from envs.popgym.games import fleet
from envs.popgym.games.battleship import Battleship, BattleshipState

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    package = pytest.importorskip("popgym.envs.battleship")

slow = pytest.mark.slow
LEVELS = ["Easy", pytest.param("Medium", marks=slow), pytest.param("Hard", marks=slow)]


def play(env, boards, actions):
    """Observations, rewards, both ends and info `[time, stream]` on given boards."""
    streams = len(boards)
    state = BattleshipState(
        board=jnp.asarray(boards.reshape(streams, -1), jnp.int8),
        hits=jnp.zeros(streams, jnp.int32),
        time=jnp.zeros(streams, jnp.int32),
        last=jnp.full(streams, -1, jnp.int32),
        hit=jnp.zeros(streams, bool),
    )

    def body(state, action):
        step = jax.vmap(env.step, (None, 0, 0))(jax.random.key(0), state, action)
        return step[1], (step[0], *step[2:])

    run = jax.jit(lambda s, a: jax.lax.scan(body, s, a)[1])
    trace = run(state, jnp.asarray(np.moveaxis(actions, 0, 1), jnp.int32))
    return jax.tree.map(np.asarray, trace)


@pytest.mark.parametrize("level", LEVELS)
def test_agrees_with_popgym_step_by_step(level):
    """Random shots, ships first, and a sweep that needs its last shot."""
    ours = envs.make(f"Battleship{level}-v0")
    theirs = [getattr(package, f"Battleship{level}")() for _ in range(4)]
    rng = np.random.default_rng(0)
    cells = ours.size**2
    for seed, their in enumerate(theirs):
        assert their.reset(seed=seed)[0] == 0
    boards = np.stack([their.board for their in theirs])
    actions = rng.integers(0, ours.size, (4, cells, 2))
    ships, water = np.argwhere(boards[1]), np.argwhere(boards[1] == 0)
    actions[1, : 2 * len(ships)] = ships.repeat(2, 0)  # each one twice
    ships, water = np.argwhere(boards[2]), np.argwhere(boards[2] == 0)
    actions[2] = np.concatenate([ships[1:], water, ships[:1]])
    actions[3, ::2] = actions[3, 1::2]  # twice, into water too
    observation, reward, terminated, truncated, info = play(ours, boards, actions)
    ends = []
    for i, their in enumerate(theirs):
        for t in range(cells):
            expected = their.step(actions[i, t])
            assert observation[t, i] == expected[0], (i, t)
            assert abs(reward[t, i] - expected[1]) < 1e-6, (i, t)
            assert (terminated[t, i], truncated[t, i]) == expected[2:4], (i, t)
            assert info["success"][t, i] == expected[2]
            if expected[2] or expected[3]:
                break
        ends.append((t + 1, *map(bool, expected[2:4])))
    length = sum(ours.ships)
    assert ends == [
        (cells, False, True),
        (2 * length - 1, True, False),
        (cells, True, True),
        (cells, False, True),
    ]
    assert abs(reward[:, 2].sum()) < 1e-5


def exact_placement(size, ships):
    """The probability of each board, placing one ship after another."""
    cells = np.arange(size * size).reshape(size, size)
    boards = {frozenset(): 1.0}
    for length in ships:
        lines = [line for grid in (cells, cells.T) for line in grid]
        places = [
            frozenset(line[start : start + length].tolist())
            for line in lines
            for start in range(size - length + 1)
        ]
        after = collections.defaultdict(float)
        for board, probability in boards.items():
            free = [place for place in places if not place & board]
            for place in free:
                after[board | place] += probability / len(free)
        boards = after
    return boards


def chi_square(boards, expected):
    """How far drawn boards are from their distribution, in standard deviations."""
    counts = collections.Counter(
        frozenset(np.flatnonzero(board).tolist()) for board in boards
    )
    assert set(counts) <= set(expected)
    total = sum(
        (counts[board] - len(boards) * p) ** 2 / (len(boards) * p)
        for board, p in expected.items()
    )
    freedom = len(expected) - 1
    return (total - freedom) / np.sqrt(2 * freedom)


def test_placement_follows_the_packages_distribution():
    """On a small board, against the exact distribution; the package's draws too."""
    env = Battleship(size=4, ships=(2, 3))
    expected = exact_placement(4, (2, 3))
    assert sum(expected.values()) == pytest.approx(1)
    reset = jax.jit(jax.vmap(lambda key: env.reset(key)[1].board))
    boards = np.asarray(reset(jax.random.split(jax.random.key(0), 20_000)))
    assert abs(chi_square(boards, expected)) < 5
    theirs = package.Battleship(board_size=4, ship_sizes=[2, 3])
    drawn = []
    for seed in range(2000):
        theirs.reset(seed=seed if seed == 0 else None)
        drawn.append(theirs.board.ravel())
    assert abs(chi_square(np.stack(drawn), expected)) < 5


def neighbours(boards):
    """Pairs of ship cells side by side: 8 within ships, more where ships touch."""
    across = (boards[:, 1:] & boards[:, :-1]).sum((1, 2))
    return across + (boards[:, :, 1:] & boards[:, :, :-1]).sum((1, 2))


@pytest.mark.parametrize("level", LEVELS)
def test_resets_look_like_the_packages(level):
    env = envs.make(f"Battleship{level}-v0")
    theirs = getattr(package, f"Battleship{level}")()
    drawn = []
    for seed in range(1000):
        theirs.reset(seed=0 if seed == 0 else None)
        drawn.append(theirs.board.astype(bool))
    drawn = np.stack(drawn)
    reset = jax.jit(jax.vmap(lambda key: env.reset(key)[1].board))
    boards = np.asarray(reset(jax.random.split(jax.random.key(1), 1000))) == 1
    boards = boards.reshape(drawn.shape)
    assert (boards.sum((1, 2)) == 12).all()
    chance = (boards.mean(0) + drawn.mean(0)) / 2
    sigma = np.sqrt(2 * chance * (1 - chance) / 1000)
    assert (np.abs(boards.mean(0) - drawn.mean(0)) < 5 * sigma).all()
    mine, other = neighbours(boards), neighbours(drawn)
    sigma = np.sqrt((mine.var() + other.var()) / 1000)
    assert abs(mine.mean() - other.mean()) < 5 * sigma
    assert mine.min() == other.min() == 8


SWEEP = {"Easy": 0.17, "Medium": 0.17, "Hard": 0.18}  # as the docstring has it


@pytest.mark.parametrize("level", LEVELS)
def test_returns(level):
    """Floor, oracle and the quoted sweep, on many boards."""
    env = envs.make(f"Battleship{level}-v0")
    size, cells = env.size, env.size**2
    reset = jax.jit(jax.vmap(lambda key: env.reset(key)[1].board))
    boards = np.asarray(reset(jax.random.split(jax.random.key(2), 1500)))
    actions = np.random.default_rng(0).integers(0, size, (1500, cells, 2))
    actions[500:] = np.stack(np.divmod(np.arange(cells), size), -1)
    # Ships first, as the oracle has it.
    for i, board in enumerate(boards[1000:], start=1000):
        actions[i, :12] = np.stack(np.divmod(np.flatnonzero(board), size), -1)
    _, reward, terminated, truncated, _ = play(env, boards, actions)
    ended = np.cumsum(terminated | truncated, 0) - (terminated | truncated)
    returns = np.where(ended > 0, 0, reward).sum(0)
    for values, expected, rounding in (
        (returns[:500], env.card.floor.value, 0),
        (returns[500:1000], SWEEP[level], 0.005),
    ):
        error = 4 * values.std() / np.sqrt(500)
        assert abs(values.mean() - expected) < error + rounding
    np.testing.assert_allclose(returns[1000:], 1, atol=1e-5)
    assert env.card.oracle.value == 1


def test_oracle_shoots_at_the_first_ship_cell_left():
    env = envs.make("BattleshipEasy-v0")
    _, state = env.reset(jax.random.key(0))
    step = jax.jit(env.step)
    for cell in np.flatnonzero(np.asarray(state.board)):
        action = env.oracle(jax.random.key(0), state)
        assert action.tolist() == list(divmod(int(cell), 8))
        state = step(jax.random.key(0), state, action)[1]
        assert env.hidden(state)["known"][0][cell] == 2


def test_the_scene_shows_the_last_shot_only():
    env = envs.make("BattleshipEasy-v0")
    _, state = env.reset(jax.random.key(0))
    state = state._replace(last=jnp.int32(9), hit=jnp.ones((), bool))
    image = jax.jit(env.render)
    picture = np.asarray(image(state))
    other = np.asarray(image(state._replace(board=state.board[::-1])))
    assert (picture[: draw.SCENE] == other[: draw.SCENE]).all()
    assert (picture[-draw.STRIP :] != other[-draw.STRIP :]).any()
    assert (picture[: draw.SCENE] == draw.PLUS).all(-1).sum() == 4 * 4  # one tile


@pytest.mark.parametrize("cells, ships", [(4, 1), (5, 2)])
def test_floor_by_enumeration(cells, ships):
    total = 0.0
    for shots in itertools.product(range(cells), repeat=cells):
        left = set(range(ships))
        for cell in shots:
            if not left:
                break
            total += 1 / ships if cell in left else -1 / (cells - ships)
            left.discard(cell)
    assert fleet.random_return(cells, ships) == pytest.approx(total / cells**cells)


@pytest.mark.parametrize(
    "parameters, message",
    [
        ({"ships": ()}, "at least one ship"),
        ({"size": 3}, "no room for the ship of length"),
        ({"size": 101}, "at most 100"),
        ({"ships": (9,)}, "length 9"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        envs.make("BattleshipEasy-v0", **parameters)
