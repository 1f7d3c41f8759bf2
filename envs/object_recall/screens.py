"""What rapid word learning shows: words and objects, as numbers and as pictures.

Objects are numbered from 1, by shape and then by colour, and 0 is nothing. So are
words: first the names, then the words of the colours.
"""

import dataclasses
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from envs import draw
from envs.object_recall.common import draw_below


class Screen(NamedTuple):
    """What is on show.

    Attributes:
        word: a name, the word of a colour, or none.
        object: held up in a lesson.
        choices: one of them is to be chosen.
        answer: the place of the right choice, -1 where there is none.
    """

    word: Int[Array, ""]
    object: Int[Array, ""]
    choices: Int[Array, " objects"]
    answer: Int[Array, ""]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """All words and objects, and how many objects are shown side by side."""

    objects: int
    words: int
    shapes: int
    colours: int

    @property
    def space(self) -> spaces.Space:
        """Choices, the object held up (shape and colour of each), and the word."""
        look = [self.shapes + 1, self.colours + 1]
        return spaces.Dict(
            {
                "choices": spaces.MultiDiscrete(look * self.objects),
                "object": spaces.MultiDiscrete(look),
                "word": spaces.Discrete(1 + self.words + self.colours),
            }
        )

    def observe(self, screen: Screen) -> dict[str, Int[Array, "..."]]:
        """The screen as an element of `space`."""
        return {
            "choices": self.looks(screen.choices).ravel(),
            "object": self.looks(screen.object),
            "word": screen.word,
        }

    def looks(self, number: Int[Array, "*shape"]) -> Int[Array, "*shape 2"]:
        """Shape and colour of objects, from 1; 0 and 0 of nothing."""
        shape, colour = jnp.divmod(number - 1, self.colours)
        both = 1 + jnp.stack([shape, colour], axis=-1)
        return jnp.where(number[..., None] > 0, both, 0)

    def blank(self) -> Screen:
        """Nothing."""
        zero = jnp.zeros((), jnp.int32)
        return Screen(zero, zero, jnp.zeros(self.objects, jnp.int32), zero - 1)

    def colour_trial(self, key: PRNGKeyArray) -> Screen:
        """The word of a colour, and objects of which one has that colour."""
        n = self.objects
        wanted, place, shape, away = draw_below(
            key,
            np.array(self.colours),
            np.array(n),
            np.full(n, self.shapes),
            np.full(n, self.colours - 1),
        )
        here = jnp.arange(n, dtype=jnp.int32) == place
        colour = jnp.where(here, wanted, (wanted + 1 + away) % self.colours)
        return self.blank()._replace(
            word=1 + self.words + wanted,
            choices=1 + shape * self.colours + colour,
            answer=place,
        )

    def picture(self, screen: Screen) -> UInt8[Array, "45 width 3"]:
        """The word, then the object or the choices."""
        choices = screen.choices
        shown = choices.at[0].set(jnp.maximum(choices[0], screen.object))
        tiles = [self.object_tile(shown[i], draw.SCENE) for i in range(self.objects)]
        return jnp.concatenate([self.word_tile(screen.word, draw.SCENE), *tiles], 1)

    def word_tile(self, word: Int[Array, ""], side: int) -> UInt8[Array, "side side 3"]:
        """A bar: in the colour itself for its word, in two hues for a name."""
        names, colours = draw.hues(self.words), draw.hues(self.colours)
        table = np.concatenate([draw.BACKGROUND[None], names, colours])
        colour = jnp.asarray(table)[word]
        bar = draw.rectangle(
            draw.canvas(side, side), (1, side // 3), (side - 2, side // 3), colour
        )
        is_name = (word > 0) & (word <= self.words)
        mark = draw.select(is_name, draw.FLOOR, colour)
        return draw.rectangle(bar, (1, side // 3), (side // 4, side // 3), mark)

    def object_tile(
        self, number: Int[Array, ""], side: int
    ) -> UInt8[Array, "side side 3"]:
        """A square in the object's colour, and in it one in the hue of its shape."""
        shape, colour = self.looks(number)
        image = draw.canvas(side, side)
        for edge, count, index in (
            (1, self.colours, colour),
            (side // 3, self.shapes, shape),
        ):
            hue = draw.select(
                number > 0, jnp.asarray(draw.hues(count))[index - 1], draw.BACKGROUND
            )
            size = side - 2 * edge
            image = draw.rectangle(image, (edge, edge), (size, size), hue)
        return image
