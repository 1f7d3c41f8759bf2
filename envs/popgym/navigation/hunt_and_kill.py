"""Mazes by hunt and kill, and tours through them.

A walk carves its way through cells not carved before until it is stuck; then it goes on
from a cell anywhere that still has such a neighbour. POPGym's mazes come from mazelib,
which hunts for that cell by drawing among all cells, at most as many times as the grid
has squares. Here each of the cells - 1 iterations carves one cell, and a stuck walk
takes a cell drawn among those that can go on. That is what the draws of mazelib lead
to, so mazes have the same distribution, but for one thing: mazelib can run out of
draws and leave cells out. That is rare (none in 6,000 mazes of 5 by 5 cells); here it
does not happen.

Cells are numbered row by row. A maze is a tree: its edges, in the order in which they
were carved, are all there is to it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int8, PRNGKeyArray, UInt8, UInt32

FREE, OBSTACLE = 0, 1  # squares of a grid
_INDEX_BITS = 10  # of a score, which leave 21 for chance and 1 for the flag
MOST_CELLS = 16  # a side, so that their numbers fit into a byte


Edges = tuple[Int[Array, " edges"], Int[Array, " edges"]]
"""From which cells to which, in the order of carving."""


class Tour(NamedTuple):
    """A walk through all cells: depth first, the branch to the deepest cell last.

    Attributes:
        first: at which place each cell comes.
        last: the last place in the part of the maze behind it.
        depth: cells from the root to the deepest, both counted.
    """

    first: UInt8[Array, " cells"]
    last: UInt8[Array, " cells"]
    depth: Int[Array, ""]


def carve(key: PRNGKeyArray, side: int) -> Edges:
    """A maze of `side` by `side` cells."""
    # With walls at both ends and after each row, neighbours are offsets.
    width = side + 1
    inside = np.zeros((side + 2, width), bool)
    inside[1:-1, :-1] = True
    inside = jnp.asarray(np.append(inside, False))
    offsets = jnp.array([-1, 1, -width, width], jnp.int32)
    first_key, key = jax.random.split(key)
    row, column = jax.random.randint(first_key, (2,), 0, side, jnp.int32)
    first = (row + 1) * width + column
    words = jax.random.bits(key, (side**2 - 1, 2), jnp.uint32)

    def advance(carry: tuple[Array, Array], words: Array):
        uncarved, current = carry
        beside = jnp.stack([jnp.roll(uncarved, k) for k in (1, -1, width, -width)])
        able = inside & ~uncarved & beside.any(0)
        source = jnp.where(able[current], current, choose(words[0], able))
        target = source + offsets[choose(words[1], uncarved[source + offsets])]
        return (uncarved.at[target].set(False), target), (source, target)

    start = (inside.at[first].set(False), first)
    _, edges = jax.lax.scan(advance, start, words)
    sources, targets = ((e // width - 1) * side + e % width for e in edges)
    return sources, targets


def choose(word: UInt32[Array, ""], flags: Bool[Array, " n"]) -> Int[Array, ""]:
    """The index of one of the flags that are set, all alike, by 32 random bits.

    Every index gets a score of its own from the bits, and the largest wins.
    """
    index = jnp.arange(flags.size, dtype=jnp.uint32)
    score = word + index * jnp.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        score = (score ^ (score >> shift)) * jnp.uint32(factor)
    score = ((score >> _INDEX_BITS) | jnp.uint32(1 << 21)) << _INDEX_BITS | index
    best = jnp.where(flags, score, jnp.uint32(0)).max()
    return (best & ((1 << _INDEX_BITS) - 1)).astype(jnp.int32)


def grid_of(
    sources: Int[Array, " edges"], targets: Int[Array, " edges"], side: int
) -> Int8[Array, "squares squares"]:
    """The maze as squares, FREE or OBSTACLE: cells at odd rows and columns."""
    blocked = np.ones((2 * side + 1, 2 * side + 1), np.int8)
    blocked[1::2, 1::2] = FREE
    # Half way between 2 i + 1 and 2 j + 1.
    row = sources // side + targets // side + 1
    column = sources % side + targets % side + 1
    return jnp.asarray(blocked).at[row, column].set(FREE)


def signposts(
    sources: Int[Array, " edges"],
    targets: Int[Array, " edges"],
    goal: Int[Array, ""],
    side: int,
) -> Int8[Array, "squares squares"]:
    """On the squares between cells and on all cells but the goal, where to go.

    0 left, 1 right, 2 up, 3 down; -1 elsewhere.
    """
    index = jnp.arange(side**2, dtype=jnp.int32)

    def extend(way: Array, edge: tuple[Array, Array]):
        source, target = edge
        return way.at[source].set(way[source] | way[target]), None

    # From the cell carved first to the goal edges are followed as they were carved;
    # everywhere else they are followed back.
    way, _ = jax.lax.scan(extend, index == goal, (sources, targets), reverse=True)
    forward = way[targets]
    here = jnp.where(forward, sources, targets)
    there = jnp.where(forward, targets, sources)
    down, right = there // side - here // side, there % side - here % side
    across, along = jnp.where(right > 0, 1, 0), jnp.where(down > 0, 3, 2)
    action = jnp.where(down == 0, across, along).astype(jnp.int8)
    row, column = 2 * (here // side) + 1, 2 * (here % side) + 1
    signs = jnp.full((2 * side + 1, 2 * side + 1), -1, jnp.int8)
    signs = signs.at[row, column].set(action)
    return signs.at[row + down, column + right].set(action)


def tour(
    sources: Int[Array, " edges"], targets: Int[Array, " edges"], root: Int[Array, ""]
) -> Tour:
    """A shortest walk from `root` through all cells of the maze.

    All but the way to the cell where it ends is walked twice, so it ends at the
    deepest.
    """
    cells = sources.shape[0] + 1
    index = jnp.arange(cells, dtype=jnp.int32)

    def extend(above: Array, edge: tuple[Array, Array]):
        source, target = edge
        return above.at[target].set(above[source] | (index == target)), None

    # Row y: the cells on the way from the cell carved first to y.
    above = jnp.zeros((cells, cells), bool)
    above = above.at[sources[0], sources[0]].set(True)
    above, _ = jax.lax.scan(extend, above, (sources, targets))
    # Row y: the cells on the way from the root to y. It leaves the one way for the
    # other in the last cell that both have.
    ours = above[root][None, :]
    common = _count(above & ours, 1)
    turning = _count(above, 1)[None, :] == common[:, None]
    way = (above ^ ours) | (above & ours & turning)
    depth, size = _count(way, 1), _count(way, 0)
    parent = (way & (depth[None, :] == depth[:, None] - 1)).argmax(1).astype(jnp.int32)
    parent = jnp.where(index == root, -1, parent)
    rank = index + cells * way[depth.argmax()].astype(jnp.int32)
    before = (parent[None, :] == parent[:, None]) & (rank[None, :] < rank[:, None])
    elder = jnp.where(before, size[None, :], 0).sum(1, dtype=jnp.int32)
    first = depth - 1 + jnp.where(way, elder[None, :], 0).sum(1, dtype=jnp.int32)
    last = first + size - 1
    return Tour(first.astype(jnp.uint8), last.astype(jnp.uint8), depth.max())


def _count(flags: Bool[Array, "rows columns"], axis: int) -> Int[Array, " n"]:
    return flags.sum(axis, dtype=jnp.int32)
