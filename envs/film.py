"""Films: pictures with lines of text below them, as an animated GIF."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_WIDTH = 320
_LINE = 16


def caption(picture: Any, lines: list[str]) -> Image.Image:
    """A rendered frame, enlarged by whole pixels, above lines of text."""
    pixels = np.asarray(picture)
    factor = max(1, _WIDTH // pixels.shape[1])
    pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    height, width = pixels.shape[:2]
    frame = Image.new("RGB", (max(width, _WIDTH), height + _LINE * len(lines) + 8))
    frame.paste(Image.fromarray(pixels), ((frame.width - width) // 2, 0))
    draw, font = ImageDraw.Draw(frame), ImageFont.load_default(size=12)
    for row, line in enumerate(lines):
        draw.text((6, height + 4 + row * _LINE), line, fill="white", font=font)
    return frame


def save(path: Path, films: list[list[Image.Image]], milliseconds: int = 250) -> None:
    """Write films one after the other; the last frame of each stays four times as long.

    Args:
        path: of the file to write.
        films: of each its frames.
        milliseconds: per frame.
    """
    frames, durations = [], []
    for film in films:
        frames += film
        durations += [milliseconds] * (len(film) - 1) + [4 * milliseconds]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=durations, loop=0
    )
