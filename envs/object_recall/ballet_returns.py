"""What the card of the ballet says: a random walk, and a set learnt by heart."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from envs.object_recall.ballet_cast import MOVES, SLOTS, Cast, draw
from envs.object_recall.ballet_images import ROOM, SLOT_COLUMNS, SLOT_ROWS

_SEED = 2021


@functools.cache
def ways() -> np.ndarray:
    """The first move to every slot around all others, `[slot, row, column]`."""
    moves = np.zeros((SLOTS, ROOM, ROOM), np.int32)
    slots = list(zip(SLOT_ROWS.tolist(), SLOT_COLUMNS.tolist(), strict=True))
    for slot, goal in enumerate(slots):
        reached, edge = {goal}, [goal]
        while edge:  # ever further from the goal
            row, column = edge.pop(0)
            for action, (down, right) in enumerate(MOVES.tolist()):
                before = row - down, column - right
                if before in reached or not all(0 <= x < ROOM for x in before):
                    continue
                moves[slot, before[0], before[1]] = action
                reached.add(before)
                if before not in slots:
                    edge.append(before)
    return moves


def listed_episode(index: Int[Array, ""], dancers: int, split: str) -> Cast:
    """An episode of the list of a split, by its number."""
    key = jax.random.key(_SEED, impl="threefry2x32")
    return draw(jax.random.fold_in(key, index), dancers, split)


@functools.cache
def listed(dancers: int, split: str, episodes: int) -> Cast:
    """The first `episodes` of the list of a split, as numpy arrays."""
    with jax.ensure_compile_time_eval():
        index = jnp.arange(episodes, dtype=jnp.int32)
        draw_all = jax.jit(jax.vmap(lambda i: listed_episode(i, dancers, split)))
        return jax.tree.map(np.asarray, draw_all(index))


@functools.cache
def _ends(dancers: int, steps: int) -> dict[tuple[int, ...], np.ndarray]:
    """Where uniformly random actions from the middle of the room end.

    Returns:
        For every choice of slots with dancers, the chances of having reached each of
        the eight slots first within so many steps.
    """
    stages = list(itertools.combinations(range(SLOTS), dancers))
    squares = SLOT_ROWS * ROOM + SLOT_COLUMNS
    taken = np.zeros((len(stages), ROOM**2), bool)
    for stage, slots in zip(taken, stages, strict=True):
        stage[squares[list(slots)]] = True
    there = np.zeros((len(stages), ROOM**2))
    there[:, ROOM**2 // 2] = 1
    ended, walk = np.zeros_like(there), _walk()
    for _ in range(steps):
        there = there @ walk
        ended += np.where(taken, there, 0)
        there[taken] = 0
        if there.sum(1).max() < 1e-12:
            break
    return dict(zip(stages, ended[:, squares], strict=True))


def _walk() -> np.ndarray:
    """Chances of a step from square to square; who would hit a wall stays."""
    walk = np.zeros((ROOM**2, ROOM**2))
    for row, column in itertools.product(range(ROOM), repeat=2):
        for down, right in MOVES:
            inside = 0 <= row + down < ROOM and 0 <= column + right < ROOM
            to = (row + down, column + right) if inside else (row, column)
            walk[row * ROOM + column, to[0] * ROOM + to[1]] += 1 / len(MOVES)
    return walk


def random_return(dancers: int, steps: int, split: str, episodes: int) -> float:
    """How often uniformly random actions end at the dancer asked for.

    Without a list of episodes all stages are as likely, and so are all dancers.
    """
    ends = _ends(dancers, steps)
    if not episodes:
        return float(np.mean([chances.sum() / dancers for chances in ends.values()]))
    cast = listed(dancers, split, episodes)
    stages = [tuple(np.flatnonzero(turn < dancers).tolist()) for turn in cast.turn]
    return float(
        np.mean(
            [
                ends[stage][target]
                for stage, target in zip(stages, cast.target, strict=True)
            ]
        )
    )


@functools.cache
def by_heart(dancers: int, split: str, episodes: int) -> float:
    """How often the scene alone tells the target in a list of episodes.

    The best map from what is seen when the choice begins, places, looks and the dance
    asked for, to a slot; the room is in full view until a dancer is reached.
    """
    cast = listed(dancers, split, episodes)
    on_stage = cast.turn < dancers
    asked = cast.dance[np.arange(episodes), cast.target]
    looks = [np.where(on_stage, part, -1) for part in (cast.colour, cast.shape)]
    scenes = np.concatenate([*looks, asked[:, None]], axis=1)
    _, scene = np.unique(scenes, axis=0, return_inverse=True)
    counts = np.zeros((scene.max() + 1, SLOTS), np.int64)
    np.add.at(counts, (scene.ravel(), cast.target), 1)
    return float(counts.max(1).sum() / episodes)
