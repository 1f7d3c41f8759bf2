"""Who dances what, where and looking how: the episodes of the ballet.

There are 13 dances, 19 colours and 15 shapes (`envs.object_recall.ballet_images`), all
numbered from 0. A dancer's look is its colour and its shape. Looks fall into two
groups, even and odd, by colour + shape, and each group is kept from four dances: the
even ones from 1, 4, 7 and 10, the odd ones from 2, 5, 8 and 11. These combinations of
dance, colour and shape, 4 of 13, are reserved; every colour and every shape has every
dance among the others. The splits:

    all        Lampinen et al.: places, dances, colours and shapes are drawn
               independently, each without replacement, and so is the dancer asked for.
    train      no reserved combination is ever on stage. A group is drawn, and shapes;
               colours among those that make looks of the group; dances among the nine
               that it is not kept from.
    held_out   a group, shapes and colours likewise. The dance asked for is one of the
               four that the group is kept from, the others any of the other twelve.

Every draw is uniform and none is rejected. The looks of an episode belong to one group
because otherwise the scene would answer the question: where a dance is asked for that
some of the dancers on stage cannot have danced, one of the others is more likely. With
one group every dancer on stage is as likely as any other to be the one asked for.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Int8, PRNGKeyArray

SLOTS, COLOURS, SHAPES = 8, 19, 15
DANCE_STEPS = 16
CENTRE = 4
SPLITS = ("all", "train", "held_out")

DIRECTIONS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
MOVES = np.array(
    [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)], np.int32
)
"""Rows down and columns right, by direction."""

DANCES = {
    "circle_cw": "N E S S W W N N E E S S W W N E",
    "circle_ccw": "N W S S E E N N W W S S E E N W",
    "up_and_down": "N S S N " * 4,
    "left_and_right": "E W W E " * 4,
    "diagonal_uldr": "NW SE SE NW " * 4,
    "diagonal_urdl": "NE SW SW NE " * 4,
    "plus_cw": "N S E W S N W E " * 2,
    "plus_ccw": "N S W E S N E W " * 2,
    "times_cw": "NE SW SE NW SW NE NW SE " * 2,
    "times_ccw": "NW SE SW NE SE NW NE SW " * 2,
    "zee": "NE W W E E SW NE SW SW E E W W NE SW NE",
    "chevron_down": "NW S SE NE N SW NE SW NE S SW NW N SE NW SE",
    "chevron_up": "SE N NW SW S NE SW NE SW N NE SE S NW SE NW",
}


def _places() -> np.ndarray:
    rows = []
    for dance in DANCES.values():
        moves = MOVES[[DIRECTIONS.index(move) for move in dance.split()]]
        path = np.concatenate([np.zeros((1, 2), np.int32), moves.cumsum(0)])
        rows.append(CENTRE + 3 * path[:, 0] + path[:, 1])
    return np.array(rows, np.int8)


PLACES = _places()
"""Where a dancer is after 0 to 16 moves, by dance: 0 to 8 in its 3 by 3 squares."""


class Cast(NamedTuple):
    """What an episode is about; arrays have one entry for each of the eight slots.

    Attributes:
        turn: when the slot's dancer dances, first 0; a slot whose number is not below
            the number of dancers is empty, and its other entries mean nothing.
        dance, colour, shape: of the slot's dancer.
        target: the slot of the dancer whose dance is asked for.
    """

    turn: Int8[Array, "8"]
    dance: Int8[Array, "8"]
    colour: Int8[Array, "8"]
    shape: Int8[Array, "8"]
    target: Int8[Array, ""]


def reserved(
    dance: Int[Array, "*n"], colour: Int[Array, "*n"], shape: Int[Array, "*n"]
) -> Bool[Array, "*n"]:
    """Whether a combination is never on stage in the split `train`."""
    return dance % 3 == 1 + (colour + shape) % 2


def draw(key: PRNGKeyArray, dancers: int, split: str) -> Cast:
    """Draw an episode of a split."""
    whole = {"colour": COLOURS, "shape": SHAPES, "dance": len(DANCES)}
    groups = {"group": 2, "shape": SHAPES, "even": (COLOURS + 1) // 2}
    groups |= {"odd": COLOURS // 2}
    counts = {
        "all": whole,
        "train": {**groups, "allowed": len(DANCES) - 4},
        "held_out": {**groups, "asked_dance": 4, "other": len(DANCES) - 1},
    }[split]
    drawn = _different(key, turn=SLOTS, asked=dancers, **counts)
    turn, shape = drawn["turn"], drawn["shape"]
    target = (turn == drawn["asked"][0]).argmax().astype(jnp.int32)
    if split == "all":
        colour, dance = drawn["colour"], drawn["dance"]
    else:
        group = drawn["group"][0]
        odd = (group + shape) % 2 == 1
        colour = jnp.where(odd, 2 * drawn["odd"] + 1, 2 * drawn["even"])
        dance = _dances(drawn, group, target)
    parts = (turn, dance, colour, shape, target)
    return Cast(*(part.astype(jnp.int8) for part in parts))


def _dances(
    drawn: dict[str, Int[Array, "..."]], group: Int[Array, ""], target: Int[Array, ""]
) -> Int[Array, "8"]:
    """Dances for a group of looks, reserved or not."""
    if "allowed" in drawn:
        every = np.arange(len(DANCES), dtype=np.int32)
        allowed = [every[every % 3 != 1 + group] for group in range(2)]
        return jnp.asarray(np.stack(allowed))[group, drawn["allowed"]]
    asked = 1 + group + 3 * drawn["asked_dance"][0]
    other = drawn["other"] + (drawn["other"] >= asked).astype(jnp.int32)
    is_target = jnp.arange(SLOTS, dtype=jnp.int32) == target
    return jnp.where(is_target, asked, other)


def _different(key: PRNGKeyArray, **counts: int) -> dict[str, Int[Array, "..."]]:
    """For each entry different numbers below it, in any order: eight if there are.

    They are the ranks of random words among `count`. This is faster than sorting, also
    to compile, and all words come from one call for the same reason.
    """
    words = jax.random.bits(key, (sum(counts.values()),), jnp.uint32)
    numbers, start = {}, 0
    for name, count in counts.items():
        piece = words[start : start + count][None, :]
        index = jnp.arange(count, dtype=jnp.int32)[None, :]
        own, own_index = piece[0, :SLOTS, None], index[0, :SLOTS, None]
        before = (piece < own) | ((piece == own) & (index < own_index))
        numbers[name] = before.sum(1, dtype=jnp.int32)
        start += count
    return numbers
