"""Films: pictures with lines of text below them, as an animated GIF or as MP4."""

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

KINDS = (".gif", ".mp4")
"""Endings of the files that a film can be."""

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
        path: of the file to write, `.gif` or `.mp4`.
        films: of each its frames.
        milliseconds: per frame.

    Raises:
        ValueError: an MP4 is asked for, and its encoder is not installed or fails.
    """
    if path.suffix.lower() == ".mp4":
        _save_mp4(path, films, milliseconds)
    else:
        path.write_bytes(gif(films, milliseconds))


def gif(films: list[list[Image.Image]], milliseconds: int = 250) -> bytes:
    """Films as an animated GIF; arguments as of `save`."""
    frames, durations = [], []
    for film in films:
        frames += film
        durations += [milliseconds] * (len(film) - 1) + [4 * milliseconds]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="gif",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
    )
    return buffer.getvalue()


def _save_mp4(path: Path, films: list[list[Image.Image]], milliseconds: int) -> None:
    try:
        import imageio_ffmpeg
    except ImportError:
        raise ValueError(
            f"{path} needs an encoder for MP4, which is not installed; pip install -e "
            '".[video]", or write a .gif.'
        ) from None
    frames = [frame for film in films for frame in [*film, *film[-1:] * 3]]
    width, height = (size + size % 2 for size in frames[0].size)  # H.264 wants it even
    pixels = []
    for frame in frames:
        whole = Image.new("RGB", (width, height))
        whole.paste(frame)
        pixels.append(whole.tobytes())
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", str(1000 / milliseconds), "-i", "-"]
    command += ["-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    done = subprocess.run(command, input=b"".join(pixels), capture_output=True)
    if done.returncode:
        raise ValueError(f"{path} cannot be encoded: {done.stderr.decode().strip()}")
