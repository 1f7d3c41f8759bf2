"""What the card tasks share: dealing, pictures and the odds of a guess.

The deck is POPGym's (Morad et al. 2023, "POPGym: Benchmarking Partially Observable
Reinforcement Learning"): `52 * decks` cards, dealt without replacement. A task sees
the cards' suits (0 spades, 1 diamonds, 2 clubs, 3 hearts; thirteen of each per deck),
ranks (0 ace to 12 king; four of each) or colours (0 black, 1 red; 26 of each).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int8, PRNGKeyArray, UInt8

from envs import draw

DECK, COLOURS, SUITS, RANKS = 52, 2, 4, 13
KINDS = {"colours": COLOURS, "suits": SUITS, "ranks": RANKS}
"""What can be told apart, and how many kinds there are of it."""


class Deal(NamedTuple):
    """A dealt deck.

    Attributes:
        values: what the task sees of the cards, their suits for example, in the order
            of dealing. One byte each: the step reads one or two of them, and resets
            and copies move them all.
        cursor: position of the card on show.
    """

    values: Int8[Array, " cards"]
    cursor: Int[Array, ""]


def check_decks(name: str, decks: int, steps_per_card: int = 1) -> None:
    """Refuse a number of decks below one, or with more steps than int32 counts.

    Raises:
        ValueError: `decks` is out of range.
    """
    most = (2**31 - 1) // (DECK * steps_per_card)
    if not 1 <= decks <= most:
        raise ValueError(
            f"{name} needs decks of at least 1 and at most {most:,}, where positions "
            f"of cards and steps still fit into 32 bits, not {decks}."
        )


def check_kind(name: str, kind: str, allowed: tuple[str, ...]) -> None:
    """Refuse a kind of cards that the task cannot be played with.

    Raises:
        ValueError: `kind` is none of `allowed`.
    """
    if kind not in allowed:
        raise ValueError(
            f"{name} tells cards apart by {' or '.join(allowed)}, not by {kind!r}; "
            "set kind to one of these."
        )


def shuffle(key: PRNGKeyArray, decks: int, kinds: int) -> Int8[Array, " cards"]:
    """`decks` shuffled decks, of which `kinds` kinds of cards can be told apart.

    Sorts random words whose lowest bits are the values: one array to sort instead of
    keys with a payload, which is four times as fast on a CPU. Ranks leave 28 bits to
    sort by; two of 156 cards agree in them in about one deal of twenty thousand.
    """
    words = jax.random.bits(key, (DECK * decks,), jnp.uint32)
    values = jnp.arange(DECK * decks, dtype=jnp.uint32) % jnp.uint32(kinds)
    lowest = jnp.uint32((1 << (kinds - 1).bit_length()) - 1)
    shuffled = jnp.sort((words & ~lowest) | values) & lowest
    return shuffled.astype(jnp.int8)


def deal(key: PRNGKeyArray, decks: int, kinds: int = SUITS) -> Deal:
    """Shuffle `decks` decks and show the first card."""
    return Deal(shuffle(key, decks, kinds), jnp.zeros((), jnp.int32))


def value_at(state: Deal, position: Int[Array, ""]) -> Int[Array, ""]:
    """The value of the card dealt at `position`, as int32."""
    return state.values.at[position].get(mode="clip").astype(jnp.int32)


def dealt(state: Deal, kinds: int) -> Int[Array, " kinds"]:
    """How many cards of each kind are out, the one on show included."""
    out = jnp.arange(state.values.size, dtype=jnp.int32) <= state.cursor
    same = state.values[:, None] == jnp.arange(kinds, dtype=jnp.int8)[None]
    return (same & out[:, None]).sum(0, dtype=jnp.int32)


def blind_guess(decks: int) -> float:
    """Expected score (+1 right, -1 wrong) of the best guess at another card's suit.

    Two positions of a shuffled deck hold the same suit with probability
    (13 decks - 1) / (52 decks - 1), less than one in four, because dealing is without
    replacement. So whoever sees one card only does best to name any other suit.
    """
    return 2 * 13 * decks / (DECK * decks - 1) - 1


def picture(value: Int[Array, ""], kinds: int = SUITS) -> UInt8[Array, "32 24 3"]:
    """A card with its suit's symbol, its rank or its colour."""
    return jnp.asarray(_TILES[kinds])[value]


def table(suit: Int[Array, ""], hidden: Int[Array, ""]) -> UInt8[Array, "64 24 3"]:
    """The card on show, and half as large, in the viewer's strip, the suit to name."""
    return draw.frame(picture(suit), picture(hidden)[::2, ::2])


def count_bars(counts: Int[Array, " n"], most: int) -> UInt8[Array, "16 width 3"]:
    """One bar per count, as high as the strip where the count is `most`."""
    height = counts * (draw.STRIP - 1) // most
    row = jnp.arange(draw.STRIP, dtype=jnp.int32)[::-1, None]
    colours = draw.select(row <= height[None], draw.PLUS, draw.BACKGROUND)
    gap = jnp.asarray(draw.BACKGROUND)
    return draw.tiles(colours, 1, 6).at[:, ::6].set(gap[None, None])


def _blank(count: int) -> np.ndarray:
    tiles = np.full((count, 32, 24, 3), 245, np.uint8)
    tiles[:, [0, -1]] = tiles[:, :, [0, -1]] = 90
    return tiles


def _suit_tiles() -> np.ndarray:
    """The four pictures of suits."""
    y, x = np.mgrid[0:32, 0:24]
    y, x = y - 15.5, x - 11.5
    spade = (y > -9) & (y < 8) & (np.abs(x) < (y + 9) / 2)
    diamond = np.abs(x) + np.abs(y) < 9
    club = x**2 + y**2 < 49
    heart = (y > -8) & (y < 9) & (np.abs(x) < (9 - y) / 2)
    tiles = _blank(SUITS)
    for suit, shape in enumerate((spade, diamond, club, heart)):
        tiles[suit][shape] = _INKS[suit % 2]
    return tiles


def _rank_tiles() -> np.ndarray:
    """The thirteen pictures of ranks, ace to king, from letters of 3 by 5 dots."""
    tiles = _blank(RANKS)
    for rank, letter in enumerate(LETTERS):
        dots = np.array([[bit == "1" for bit in f"{int(row):03b}"] for row in letter])
        tiles[rank, 6:26, 6:18][np.kron(dots, np.ones((4, 4), bool))] = _INKS[0]
    return tiles


def _colour_tiles() -> np.ndarray:
    """A black and a red card."""
    tiles = _blank(COLOURS)
    tiles[:, 4:28, 4:20] = np.array(_INKS, np.uint8)[:, None, None]
    return tiles


_INKS = ((20, 20, 30), (200, 30, 40))
# A 2 3 4 5 6 7 8 9 T J Q K: each digit is a row of three dots in binary.
LETTERS = (
    *("25755", "61247", "61216", "55711", "74616", "34757", "71222", "75757"),
    *("75716", "72222", "11157", "25563", "55655"),
)
_TILES = {SUITS: _suit_tiles(), RANKS: _rank_tiles(), COLOURS: _colour_tiles()}
