"""What the card tasks share: dealing, pictures and the odds of a guess.

The deck is POPGym's (Morad et al. 2023, "POPGym: Benchmarking Partially Observable
Reinforcement Learning"): `52 * decks` cards, thirteen of each suit per deck, dealt
without replacement. Suits are 0 spades, 1 diamonds, 2 clubs, 3 hearts.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int8, PRNGKeyArray, UInt8

from envs import draw

SUITS = 4
PAPER = 'Morad et al. 2023, "POPGym"'


class Deal(NamedTuple):
    """A dealt deck.

    Attributes:
        suits: suits in the order of dealing. One byte each: the step reads one or two
            of them, and resets and copies move them all.
        cursor: position of the card on show.
    """

    suits: Int8[Array, " cards"]
    cursor: Int[Array, ""]


def check_decks(name: str, decks: int) -> None:
    """Refuse a number of decks below one, or with more cards than int32 counts.

    Raises:
        ValueError: `decks` is out of range.
    """
    most = (2**31 - 1) // 52
    if not 1 <= decks <= most:
        raise ValueError(
            f"{name} needs decks of at least 1 and at most {most:,}, where positions "
            f"of cards still fit into 32 bits, not {decks}."
        )


def deal(key: PRNGKeyArray, decks: int) -> Deal:
    """Shuffle `decks` decks and show the first card.

    Sorts random words whose two lowest bits are the suits: one array to sort instead
    of keys with a payload, which is four times as fast on a CPU. Two of the 30-bit
    sort keys agree in about one deal of a million for one deck.
    """
    words = jax.random.bits(key, (52 * decks,), jnp.uint32)
    suits = jnp.arange(52 * decks, dtype=jnp.uint32) % jnp.uint32(SUITS)
    lowest = jnp.uint32(SUITS - 1)
    shuffled = jnp.sort((words & ~lowest) | suits) & lowest
    return Deal(shuffled.astype(jnp.int8), jnp.zeros((), jnp.int32))


def suit_at(state: Deal, position: Int[Array, ""]) -> Int[Array, ""]:
    """The suit of the card dealt at `position`, as int32."""
    return state.suits.at[position].get(mode="clip").astype(jnp.int32)


def blind_guess(decks: int) -> float:
    """Expected score (+1 right, -1 wrong) of the best guess at another card.

    Two positions of a shuffled deck hold the same suit with probability
    (13 decks - 1) / (52 decks - 1), less than one in four, because dealing is without
    replacement. So whoever sees one card only does best to name any other suit.
    """
    return 2 * 13 * decks / (52 * decks - 1) - 1


def picture(suit: Int[Array, ""]) -> UInt8[Array, "32 24 3"]:
    """A card with its suit's symbol and colour."""
    return jnp.asarray(_TILES)[suit]


def table(suit: Int[Array, ""], hidden: Int[Array, ""]) -> UInt8[Array, "64 24 3"]:
    """The card on show, and half as large, in the viewer's strip, the suit to name."""
    return draw.frame(picture(suit), picture(hidden)[::2, ::2])


def _tiles() -> np.ndarray:
    """The four pictures: `[4, 32, 24, 3]`."""
    y, x = np.mgrid[0:32, 0:24]
    y, x = y - 15.5, x - 11.5
    spade = (y > -9) & (y < 8) & (np.abs(x) < (y + 9) / 2)
    diamond = np.abs(x) + np.abs(y) < 9
    club = x**2 + y**2 < 49
    heart = (y > -8) & (y < 9) & (np.abs(x) < (9 - y) / 2)
    tiles = np.full((SUITS, 32, 24, 3), 245, np.uint8)
    for suit, shape in enumerate((spade, diamond, club, heart)):
        tiles[suit][shape] = (200, 30, 40) if suit % 2 else (20, 20, 30)
    tiles[:, [0, -1]] = tiles[:, :, [0, -1]] = 90
    return tiles


_TILES = _tiles()
