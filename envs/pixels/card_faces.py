"""How the tasks with cards look: Autoencode, CountRecall and Concentration."""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Int8

from envs import draw
from envs.pixels import shapes
from envs.pixels.tiles import (
    MARKS,
    Colour,
    Picture,
    Sheet,
    blank,
    sheet,
    tile,
    tiled,
)
from envs.popgym import cards
from envs.popgym.cards import KINDS
from envs.popgym.diagnostic.autoencode import Autoencode
from envs.popgym.diagnostic.count_recall import CountRecall, CountRecallState
from envs.popgym.games.concentration import Concentration, ConcentrationState

_SUITS = ((245, 245, 245), (90, 150, 255), (60, 190, 90), (235, 80, 80))
"""A colour for each suit, as in a deck of four colours: spades are white here."""
_FACE_DOWN = (85, 85, 105)
_STRIP = 28  # rows of the strip in a picture of 64


def papers(kinds: int) -> list[Colour]:
    """The colour of each kind of card: of 2 colours, 4 suits or 13 ranks."""
    if kinds == cards.COLOURS:
        return [_SUITS[0], _SUITS[3]]
    if kinds == cards.SUITS:
        return list(_SUITS)
    angle = 2 * np.pi * (np.arange(kinds)[:, None] / kinds + np.arange(3) / 3)
    light = np.where(np.arange(kinds) % 2, 0.65, 1.0)[:, None]
    return list((light * (140 + 115 * np.cos(angle))).astype(np.uint8))


def symbol(kinds: int, number: int) -> shapes.Shape:
    """What stands on a card of that kind."""
    if kinds == cards.COLOURS:
        return shapes.disc
    return shapes.suit(number) if kinds == cards.SUITS else shapes.rank(number)


@functools.cache
def _large_cards(kinds: int, unit: int) -> Sheet:
    size = (32 * unit, 24 * unit)
    return sheet(
        *(tile(size, p, symbol(kinds, i)) for i, p in enumerate(papers(kinds)))
    )


@functools.cache
def _modes(unit: int) -> Sheet:
    """Say a card (0), and watch one (1)."""
    size = (32 * unit, 16 * unit)
    return sheet(
        tile(size, draw.PLUS, shapes.arrow(0)), tile(size, draw.MINUS, shapes.disc)
    )


def listed_side(task: Autoencode, image_size: int) -> int:
    """Pixels of a suit in the strip: as large as all of them leave it."""
    count, height = cards.DECK * task.decks, _STRIP * (image_size // 64)
    side = math.isqrt(height * image_size // count)
    while side and (height // side) * (image_size // side) < count:
        side -= 1
    return side


@functools.cache
def _suits(side: int) -> Sheet:
    """The suits, the suits marked, and nothing."""
    size = (side, side)
    suits = [
        tile(size, paper, edge=edge)
        for edge in (draw.BACKGROUND, MARKS[0])
        for paper in papers(cards.SUITS)
    ]
    return sheet(*suits, tile(size, draw.BACKGROUND))


def autoencode(
    task: Autoencode,
    observation: Int[Array, "2"],
    state: cards.Deal,
    image_size: int,
    everything: bool,
) -> Picture:
    """The mode and the suit; in the strip all suits, the one due marked.

    Nothing to see is suit 0, in the picture as in the observation.
    """
    unit = image_size // 64
    top, strip = image_size - _STRIP * unit, _STRIP * unit
    mode = tiled(observation[None, :1], _modes(unit), top, 24 * unit)
    suit = tiled(observation[None, 1:], _large_cards(cards.SUITS, unit), top, 40 * unit)
    scene = jnp.concatenate([mode, suit], axis=1)
    if not everything:
        return jnp.concatenate([scene, blank(strip, image_size)])
    count = cards.DECK * task.decks
    side = listed_side(task, image_size)
    tiles, columns = _suits(side), image_size // side
    due = jnp.minimum(state.cursor, 2 * (count - 1) - state.cursor)
    numbers = state.values.astype(jnp.int32)
    marked = jnp.arange(count, dtype=jnp.int32) == due
    numbers = jnp.where(marked, numbers + cards.SUITS, numbers)
    nothing = len(tiles) - 1
    numbers = jnp.pad(numbers, (0, -count % columns), constant_values=nothing)
    listed = tiled(numbers.reshape(-1, columns), tiles, strip, image_size)
    return jnp.concatenate([scene, listed])


def _pip(task: CountRecall, image_size: int) -> tuple[int, int]:
    """Rows and columns of a pip."""
    kinds = KINDS[task.kind]
    most = cards.DECK * task.decks // kinds
    return _STRIP * (image_size // 64) // kinds, image_size // most


def pip_side(task: CountRecall, image_size: int) -> int:
    """The shorter side of a pip, which is told from none by its colour alone."""
    return 1 + min(_pip(task, image_size))


@functools.cache
def _pips(kinds: int, size: tuple[int, int]) -> Sheet:
    """For every kind a pip, after that an empty place."""
    return sheet(*(tile(size, paper) for paper in [*papers(kinds), draw.BACKGROUND]))


def count_recall(
    task: CountRecall,
    observation: Int[Array, "2"],
    state: CountRecallState,
    image_size: int,
    everything: bool,
) -> Picture:
    """The card dealt and, to its right, the one asked for; in the strip all counts.

    A count is a row of pips in the colour of its kind.
    """
    unit, kinds = image_size // 64, KINDS[task.kind]
    top, strip = image_size - _STRIP * unit, _STRIP * unit
    half = image_size // 2
    large = _large_cards(kinds, unit)
    pair = [tiled(observation[i, None, None], large, top, half) for i in (0, 1)]
    scene = jnp.concatenate(pair, axis=1)
    if not everything:
        return jnp.concatenate([scene, blank(strip, image_size)])
    most = cards.DECK * task.decks // kinds
    kind = jnp.arange(kinds, dtype=jnp.int32)[:, None]
    counted = jnp.arange(most, dtype=jnp.int32)[None] < state.counts[:, None]
    pips = _pips(kinds, _pip(task, image_size))
    rows = tiled(jnp.where(counted, kind, kinds), pips, strip, image_size)
    return jnp.concatenate([scene, rows])


@functools.cache
def _table(kinds: int, side: int) -> Sheet:
    """Face up, face down, then all that the full face tells apart, for every kind."""
    size, colours = (side, side), papers(kinds)

    def face_up(edge: Colour) -> list[np.ndarray]:
        return [
            tile(size, paper, symbol(kinds, kind), edge=edge)
            for kind, paper in enumerate(colours)
        ]

    known = [tile(size, _FACE_DOWN, shapes.square, paper) for paper in colours]
    return sheet(
        *face_up(draw.BACKGROUND),
        tile(size, _FACE_DOWN),
        *known,
        *face_up(MARKS[0]),
        *face_up(MARKS[1]),
        tile(size, draw.BACKGROUND),
    )


def card_side(task: Concentration, image_size: int) -> int:
    """Pixels of a card on the table, which is about square."""
    return image_size // _columns(task)


def _columns(task: Concentration) -> int:
    return math.isqrt(cards.DECK * task.decks - 1) + 1


def concentration(
    task: Concentration,
    observation: Int8[Array, " cards"],
    state: ConcentrationState,
    image_size: int,
    everything: bool,
) -> Picture:
    """The table; in the full face all cards, those face down as small patches.

    It also marks the first card of an attempt, and the two of one that failed.
    """
    count, kinds = cards.DECK * task.decks, KINDS[task.kind]
    columns, tiles = _columns(task), _table(kinds, card_side(task, image_size))
    numbers = observation.astype(jnp.int32)
    if everything:
        place = jnp.arange(count, dtype=jnp.int32)
        turned = (place == state.first) | (place == state.second)
        mark = jnp.where(state.second < 0, 1 + kinds, 1 + 2 * kinds)
        value = state.values.astype(jnp.int32)
        hidden = jnp.where(turned, kinds + mark, 1 + kinds) + value
        numbers = jnp.where(state.up, value, hidden)
    nothing = len(tiles) - 1
    numbers = jnp.pad(numbers, (0, -count % columns), constant_values=nothing)
    return tiled(numbers.reshape(-1, columns), tiles, image_size, image_size)
