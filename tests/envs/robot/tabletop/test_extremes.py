"""What holds whatever the gripper does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from envs.robot.tabletop import Tabletop, Thing, falling
from envs.robot.tabletop import gripper as arm
from envs.robot.tabletop.things import ball, cube, cylinder
from tests.conftest import as_x64
from tests.envs.robot.tabletop.overlap import depth

THINGS = (
    cube(moves=True),
    Thing("peg", "box", (0.12, 0.025, 0.025), moves=True),
    ball(moves=True, restitution=0.5, rolling=0.01),
    Thing("wall", "box", (0.02, 0.1, 0.03), solid=True),
    cube(),
)
TABLE = Tabletop(THINGS)
PLACES = np.array(
    [
        [0, -0.1, 0.02],
        [-0.1, 0.1, 0.025],
        [0, 0, 0.02],
        [0.15, 0, 0.03],
        [0, 0.05, 0.02],
    ]
)
STREAMS, STEPS = 16, 40
searches = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # a seed cannot be made simpler
)


@jax.jit
def run(worlds, commands):
    def step(worlds, command):
        worlds = jax.vmap(TABLE.advance)(worlds, command)
        return worlds, worlds

    return jax.lax.scan(step, worlds, commands)[1]


def beginning(seed):
    """Things turned and thrown anyhow, where they do not overlap yet."""
    draws = np.random.default_rng(seed)
    count = len(THINGS)
    yaw = draws.uniform(-0.3, 0.3, (STREAMS, count)).astype(np.float32)
    hand = draws.uniform([-0.3, -0.2, 0.01], [-0.22, 0.2, 0.03], (STREAMS, 3))
    worlds = jax.vmap(TABLE.start)(
        jax.vmap(arm.resting)(jnp.asarray(hand, jnp.float32)),
        jnp.tile(jnp.asarray(PLACES, jnp.float32), (STREAMS, 1, 1)),
        jnp.asarray(yaw),
        jnp.asarray(draws.random((STREAMS, count)) < 0.9),
    )
    thrown = draws.normal(size=(STREAMS, count, 3)) * [0.4, 0.4, 0]
    moves = np.array([thing.moves for thing in THINGS])[:, None]
    return worlds._replace(velocity=jnp.asarray(thrown * moves, jnp.float32))


def wild(seed, hunts):
    """Commands far outside their range, or towards where things stand."""
    draws = np.random.default_rng(seed)
    size = (STEPS, STREAMS, 5)
    commands = draws.choice([-1e3, -1.0, 0.0, 1.0, 1e3], size)
    held = np.repeat(commands[::4], 4, 0)[:STEPS]
    sweeps = draws.uniform(-1, 1, size)
    sweeps[..., 0] = np.sin(np.arange(STEPS)[:, None] / draws.uniform(2, 8, STREAMS))
    sweeps[..., 1] = np.cos(np.arange(STEPS)[:, None] / draws.uniform(2, 8, STREAMS))
    sweeps[..., 2] = -0.3 + 0.2 * sweeps[..., 2]
    return np.asarray(sweeps if hunts else held, np.float32)


@searches
@given(st.integers(0, 2**20), st.booleans())
def test_nothing_breaks_overlaps_or_leaves_unseen(seed, hunts):
    start = beginning(seed)
    worlds = jax.tree.map(np.asarray, run(start, wild(seed, hunts)))
    for leaf in jax.tree.leaves(worlds):
        assert np.isfinite(leaf).all()
    there = np.asarray(start.present)
    for i, one in enumerate(THINGS[:4]):
        for j, other in enumerate(THINGS[:i]):
            deep = depth(
                one,
                worlds.position[:, :, i],
                worlds.yaw[:, :, i],
                other,
                worlds.position[:, :, j],
                worlds.yaw[:, :, j],
            )
            assert deep[:, there[:, i] & there[:, j]].max(initial=0) < 1e-3
    x, y, z = np.moveaxis(worlds.position, -1, 0)
    half = np.array([thing.half[2] for thing in THINGS])
    on_table = (x >= falling.EDGE_X[0]) & (x <= falling.EDGE_X[1])
    on_table &= (y >= falling.EDGE_Y[0]) & (y <= falling.EDGE_Y[1]) & (z > half - 2e-3)
    assert (on_table | worlds.fallen).all()
    assert (z >= falling.DEEPEST).all()
    still = ~(there & [thing.moves for thing in THINGS])
    for field in ("position", "yaw", "velocity", "spin"):
        now, then = getattr(worlds, field), np.asarray(getattr(start, field))
        assert (now[:, still] == then[still]).all()
    speeds = np.abs(worlds.velocity[..., :2])
    assert speeds.max() <= 4.0


@settings(searches, max_examples=4)
@given(st.integers(0, 2**20), st.integers(0, STREAMS - 1))
def test_streams_know_nothing_of_each_other(seed, changed):
    start, commands = beginning(seed), wild(seed, True)
    once, again = run(start, commands), run(start, commands)
    others = commands.copy()
    others[:, changed] = np.random.default_rng(seed).normal(size=(STEPS, 5))
    moved = run(start, others)
    for a, b, c in zip(*map(jax.tree.leaves, (once, again, moved)), strict=True):
        assert (a == b).all()
        rest = np.arange(STREAMS) != changed
        assert (a[:, rest] == c[:, rest]).all()
    assert not (
        once.gripper.position[:, changed] == moved.gripper.position[:, changed]
    ).all()


def test_a_batch_of_batches_is_each_of_them():
    table = Tabletop((cylinder("disc", 0.02, 0.02, moves=True),))
    places = jnp.zeros((4, 1, 3)).at[:, 0, 2].set(0.02)
    worlds = jax.vmap(table.start)(
        jax.vmap(lambda place: arm.resting(place, 0.0))(
            jnp.tile(jnp.array([-0.032, 0.0, 0.02]), (4, 1))
        ),
        places,
        jnp.zeros((4, 1)),
        jnp.ones((4, 1), bool),
    )
    commands = jnp.asarray(
        np.random.default_rng(0).uniform(0.8, 1, (4, 5)), jnp.float32
    )
    flat = jax.jit(jax.vmap(table.advance))
    square = jax.tree.map(lambda leaf: leaf.reshape(2, 2, *leaf.shape[1:]), worlds)
    deep = jax.jit(jax.vmap(jax.vmap(table.advance)))(square, commands.reshape(2, 2, 5))
    after = flat(worlds, commands)
    for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(deep), strict=True):
        assert b.reshape(a.shape) == pytest.approx(np.asarray(a), abs=1e-6)
    assert (after.velocity[:, 0, 0] > 0).all()


def test_without_things_that_move_only_the_gripper_is_worked_out():
    table = Tabletop((cube(), cube(solid=True)))
    world = table.start(
        arm.resting(jnp.zeros(3)), jnp.zeros((2, 3)), jnp.zeros(2), jnp.ones(2, bool)
    )
    command = jnp.zeros(5)
    program = jax.make_jaxpr(table.advance)(world, command)
    alone = jax.make_jaxpr(arm.advance)(world.gripper, command)
    assert len(program.eqns) == len(alone.eqns)


def kinds(tree):
    return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]


def test_arrays_keep_their_kind():
    world = jax.tree.map(lambda leaf: leaf[0], beginning(0))
    after = jax.eval_shape(TABLE.advance, world, jnp.zeros(5))
    assert kinds(after) == kinds(world)


def test_arrays_keep_their_kind_in_double_precision(x64):
    world = as_x64(jax.tree.map(lambda leaf: leaf[0], beginning(0)))
    after = jax.eval_shape(TABLE.advance, world, jnp.zeros(5))
    assert kinds(after) == kinds(world)


def test_what_is_put_somewhere_else_is_let_go():
    """A thing that is held, placed and absent in turn."""
    table = Tabletop((cylinder("disc", 0.02, 0.02, moves=True),))
    world = table.start(
        arm.resting(jnp.array([0.0, 0.0, 0.02]), 0.0395),
        jnp.array([[0.0, 0.0, 0.02]]),
        jnp.zeros(1),
        jnp.ones(1, bool),
    )
    step = jax.jit(table.advance)
    world = step(world, jnp.zeros(5))
    assert int(world.held) == 0
    elsewhere = jnp.array([[0.2, 0.2, 0.02]])
    yes = jnp.ones(1, bool)
    put = table.place(world, yes, elsewhere, jnp.zeros(1), yes)
    assert int(put.held) == -1
    assert int(step(put, jnp.zeros(5)).held) == -1
    gone = table.place(world, ~yes, elsewhere, jnp.zeros(1), ~yes)
    after = step(gone, jnp.array([0.0, 0.0, 1.0, 0.0, 0.0]))
    assert (after.position == world.position).all() and int(after.held) == -1


def test_double_precision_leaves_nothing_behind():
    """Compiled pieces are kept for all that look alike: numbers must say their kind."""
    hand = arm.resting(jnp.zeros(3))
    advance = jax.jit(arm.advance)
    with jax.enable_x64(True):
        wide = as_x64(hand)
        assert jax.jit(arm.advance)(wide, jnp.zeros(5)).position.dtype == jnp.float64
    assert advance(hand, jnp.zeros(5)).position.dtype == jnp.float32
