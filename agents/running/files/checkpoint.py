"""Saving checkpoints: every array of a run, whole or not at all.

Orbax writes to a temporary folder and renames it, so a process killed at any moment
leaves the checkpoints before intact. Only arrays are stored, by name; what is not an
array (the network's structure, the task) is rebuilt from the configuration, and the
arrays must fit it exactly. Their checksums are kept beside them.
"""

import contextlib
import dataclasses
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from agents.running.files.arrays import NOTES, checksum, data, notes_checksum, split
from agents.running.files.arrays import structure as structure_of
from agents.running.files.records import write_whole
from agents.running.files.stored import SAVED, Checkpoint, Stored
from agents.running.jobs.processes import is_first

REPLACED = ".replaced-"
"""Where a checkpoint waits while another of the same update is written."""


class CheckpointError(Exception):
    """A checkpoint could not be written; those before it are untouched."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """What saving took: bytes on disk and seconds."""

    bytes: int
    seconds: float


class Checkpoints(Stored):
    """The checkpoints of one run, to be read and written."""

    def __init__(self, directory: Path, *, keep: int = 2):
        """Look into `directory`, which is made if missing; keep the newest `keep`.

        Of several processes the first one writes; every one reads for itself.
        """
        super().__init__(directory)
        import orbax.checkpoint as ocp  # takes a second; not needed to look around

        logging.getLogger("absl").setLevel(logging.CRITICAL)  # all is told here
        _silence_late_writers()
        self._ocp = ocp
        number, alone = jax.process_index(), jax.process_count() == 1
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            enable_async_checkpointing=False,
            create=False,
            cleanup_tmp_directories=is_first(),
            multiprocessing_options=ocp.options.MultiprocessingOptions()
            if alone
            else ocp.options.MultiprocessingOptions(
                primary_host=number,
                active_processes={number},
                barrier_sync_key_prefix=f"process{number}",
            ),
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        if is_first():
            self._put_back()
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def save(self, updates: int, checkpoint: Checkpoint) -> Saved:
        """Write a checkpoint, then drop the oldest beyond those to keep.

        Raises:
            CheckpointError: it could not be written; nothing saved before is lost.
        """
        args = self._ocp.args
        began = time.perf_counter()
        params, rest = split(checkpoint.state)
        parts = {"params": params, "state": rest, "pending": checkpoint.pending}
        stored = {
            part: {name: data(x) for name, x in named.items() if x.size}
            for part, named in parts.items()
        }
        sums: dict[str, Any] = {
            part: {name: checksum(x) for name, x in named.items()}
            for part, named in stored.items()
        }
        structure = {part: structure_of(named) for part, named in parts.items()}
        notes = {**checkpoint.notes, "structure": structure, "checksums": sums}
        sums[NOTES] = notes_checksum(notes)
        items = {part: args.StandardSave(x) for part, x in stored.items() if x}
        try:
            with self._replacing(updates):
                self._manager.save(
                    updates, args=args.Composite(notes=args.JsonSave(notes), **items)
                )
                self._manager.wait_until_finished()
        except Exception as error:  # the file system and its libraries fail in any way
            raise CheckpointError(_reason(error)) from error
        with contextlib.suppress(OSError):  # it only tells of what is deleted later
            write_whole(self.directory / SAVED, f"{updates}\n")
        files = (self.folder / str(updates)).rglob("*")
        size = sum(path.stat().st_size for path in files if path.is_file())
        return Saved(size, time.perf_counter() - began)

    def close(self) -> None:
        """Release what Orbax holds."""
        self._manager.close()

    @contextlib.contextmanager
    def _replacing(self, updates: int) -> Iterator[None]:
        """Keep an older checkpoint of the same update until the new one is whole."""
        path = self.folder / str(updates)
        aside = self.directory / f"{REPLACED}{updates}"
        if path.exists():
            path.rename(aside)
            self._manager.reload()
        try:
            yield
        except Exception:
            for part in (path, *self.folder.glob(f"{updates}.*")):
                shutil.rmtree(part, ignore_errors=True)  # or the disk stays full
            self._put_back()
            self._manager.reload()
            raise
        shutil.rmtree(aside, ignore_errors=True)

    def _put_back(self) -> None:
        """Put back what was being replaced when a save, or the process, failed."""
        for aside in self.directory.glob(f"{REPLACED}*"):
            path = self.folder / aside.name.removeprefix(REPLACED)
            if path.exists():
                shutil.rmtree(aside, ignore_errors=True)
            else:
                aside.rename(path)


def _reason(error: Exception) -> str:
    """What the system said, where that can be found among what libraries say."""
    number = getattr(error, "errno", None)
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
        number = int(found[1])
    if number is not None:
        return os.strerror(number)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]


def _silence_late_writers() -> None:
    """Leave out the tracebacks of Orbax's writers after it has given up.

    Those under way when one of them fails call into an event loop that is closed by
    then, and each prints a traceback. What failed is told in one sentence.
    """
    shown = sys.unraisablehook
    if getattr(shown, "__name__", "") == "without_late_writers":
        return

    def without_late_writers(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            shown(unraisable)

    sys.unraisablehook = without_late_writers
