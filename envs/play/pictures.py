"""Pictures in a terminal: half blocks in true colour, as large as there is room."""

import numpy as np
from jaxtyping import UInt8

from envs import draw

Picture = UInt8[np.ndarray, "_ _ 3"]
RESET = "\x1b[0m"


def scene(picture: Picture) -> Picture:
    """A picture without what must be remembered: the scene above its line.

    A picture that is not laid out as `draw.frame` does is left whole.
    """
    line = picture[draw.SCENE : draw.SCENE + draw.LINE]
    framed = len(picture) == draw.HEIGHT and (line == draw.MARK).all()
    return picture[: draw.SCENE] if framed else picture


def fit(picture: Picture, columns: int, rows: int) -> Picture:
    """The picture as large as it fits: by whole pixels, or fewer pixels of it."""
    high, wide = picture.shape[:2]
    factor = min(columns / wide, rows / high)
    if factor >= 1:
        return picture.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    down, across = (
        np.floor((np.arange(max(1, int(length * factor))) + 0.5) / factor).astype(int)
        for length in (high, wide)
    )
    return picture[np.minimum(down, high - 1)][:, np.minimum(across, wide - 1)]


def half_blocks(picture: Picture) -> list[str]:
    """Lines of text, each of two rows: an upper half block in two colours."""
    lines = []
    for row in range(0, len(picture), 2):
        pair = picture[row : row + 2].tolist()
        upper, lower = pair[0], pair[1] if len(pair) > 1 else [None] * len(pair[0])
        line, before = [], None
        for colours in zip(upper, lower, strict=True):
            if colours != before:
                line.append(_colours(*colours))
                before = colours
            line.append("▀")
        lines.append("".join(line) + RESET)
    return lines


def _colours(upper: list[int], lower: list[int] | None) -> str:
    front = f"38;2;{upper[0]};{upper[1]};{upper[2]}"
    back = "49" if lower is None else f"48;2;{lower[0]};{lower[1]};{lower[2]}"
    return f"\x1b[{front};{back}m"
