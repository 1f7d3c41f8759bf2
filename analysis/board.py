"""Pictures, tables and numbers of an analysis, for TensorBoard."""

# Protocol buffer modules define their names at run time.
# pyright: reportAttributeAccessIssue=false

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalars

from agents.running.output.names import tag_of
from agents.running.output.tensorboard import CURVE, EventFile, image_summary


class Board:
    """What one folder shows in TensorBoard, in place of what it showed before.

    Raises (on writing):
        OSError: the file cannot be written.
    """

    def __init__(self, directory: Path):
        """Open a new event file in `directory`, which is made if missing."""
        old = list(directory.glob("*tfevents*"))
        self._file = EventFile(directory)
        for path in old:
            path.unlink(missing_ok=True)

    def scalar(self, tag: str, value: float, step: int) -> None:
        """One point of a curve."""
        summary = Summary()
        summary.value.add(tag=tag, simple_value=value)
        self._file.add(summary, step)

    def text(self, tag: str, markdown: str, step: int = 0) -> None:
        """A text, or a table, in Markdown."""
        self._plugin("text", tag, markdown.encode(), step)

    def image(self, tag: str, png: bytes, step: int = 0) -> None:
        """A picture, encoded as PNG (or GIF, which moves)."""
        summary = Summary()
        summary.value.add(tag=tag, image=image_summary(png))
        self._file.add(summary, step)

    def layout(self, tasks: Sequence[str]) -> None:
        """A chart per task among TensorBoard's custom scalars: means within bands.

        Args:
            tasks: their names.
        """
        charts = []
        for task in tasks:
            value, lower, upper = (tag_of(tag, task) for tag in CURVE)
            series = layout_pb2.MarginChartContent.Series(
                value=value, lower=lower, upper=upper
            )
            margin = layout_pb2.MarginChartContent(series=[series])
            charts.append(layout_pb2.Chart(title=task, margin=margin))
        category = layout_pb2.Category(title="models, by task", chart=charts)
        content = layout_pb2.Layout(category=[category]).SerializeToString()
        self._plugin(
            custom_scalars.PLUGIN_NAME, custom_scalars.CONFIG_SUMMARY_TAG, content, 0
        )

    def close(self) -> None:
        """Make it visible."""
        self._file.close()

    def _plugin(self, name: str, tag: str, content: bytes, step: int) -> None:
        metadata = SummaryMetadata()
        metadata.plugin_data.plugin_name = name
        tensor = TensorProto(dtype=DT_STRING, string_val=[content])
        tensor.tensor_shape.dim.add(size=1)
        summary = Summary()
        summary.value.add(tag=tag, metadata=metadata, tensor=tensor)
        self._file.add(summary, step)


def png_of(figure: Any, dpi: int = 110) -> bytes:
    """A figure of matplotlib, encoded."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


def png_of_pixels(pixels: np.ndarray) -> bytes:
    """Pixels `[height, width, 3]` of uint8, encoded."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()
