"""Reading checkpoints: every array checked, and what is damaged called by its name.

Orbax stores arrays as Zarr in one OCDBT database per part; they are read here one by
one, so that a damaged one does not hide behind the first error of a whole part.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.convert import ConfigError
from agents.running.files.arrays import (
    NOTES,
    check_structure,
    checksum,
    leaves,
    notes_checksum,
    split,
    undata,
)

FOLDER = "checkpoints"
"""Where a run keeps its checkpoints; one folder each, named after the update."""

SAVED = ".saved"
"""A file of a run, with the update number of the newest checkpoint."""


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds.

    Attributes:
        state: the agent's state, leaves `[seeds, ...]`.
        pending: metrics of the updates since the last point in the logs, by tag,
            `[seeds, updates]`.
        notes: where the run stood, plain values.
    """

    state: Any
    pending: dict[str, np.ndarray]
    notes: dict[str, Any]


class Damaged(Exception):
    """Parts of a checkpoint cannot be read, or are not what was saved.

    Attributes:
        names: of the arrays, or a single word for something larger.
        total: how many arrays there are, 0 where that is not known.
    """

    def __init__(self, names: list[str], total: int):
        super().__init__(", ".join(names))
        self.names, self.total = names, total


class Stored:
    """The checkpoints of one run, to be read; nothing is changed or made."""

    def __init__(self, directory: Path):
        """Look into the folder of a run, which may have none."""
        self.directory = directory
        self.folder = (directory / FOLDER).absolute()

    def updates(self) -> list[int]:
        """Update number of every whole checkpoint, in order."""
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if p.name.isdigit())

    def latest(self) -> int | None:
        """Update number of the newest whole checkpoint, None without one."""
        return max(self.updates(), default=None)

    def lost(self) -> int | None:
        """Update number of the newest that was saved, if that one is gone."""
        try:
            saved = int((self.directory / SAVED).read_text())
        except (OSError, ValueError):  # none was saved, or by an older version
            return None
        newest = self.latest()
        return saved if newest is None or newest < saved else None

    def notes(self) -> dict[str, Any]:
        """The notes of the newest checkpoint.

        Raises:
            ConfigError: they are damaged.
        """
        newest = self._newest()
        try:
            return self._notes(newest)
        except Damaged as damaged:
            raise self._told(newest, damaged) from None

    def restore(self, like: Any) -> Checkpoint:
        """The newest checkpoint, in the structure of `like`.

        Args:
            like: the agent's state, of arrays or of shapes.

        Raises:
            ConfigError: the agent's state has another structure (names the first leaf
                that differs), or the checkpoint is damaged (names the arrays).
        """
        notes = self.notes()
        params, rest = split(like)
        check_structure(notes["structure"]["params"], params)
        check_structure(notes["structure"]["state"], rest)
        pending = {
            name: jax.ShapeDtypeStruct(shape, dtype)
            for name, (shape, dtype) in notes["structure"]["pending"].items()
        }
        parts: dict[str, Any] = {"params": params, "state": rest, "pending": pending}
        restored = self._restore_arrays(parts)
        found = {**restored["params"], **restored["state"]}
        state = jax.tree.unflatten(
            jax.tree.structure(like), [found[name] for name in leaves(like)]
        )
        pending = {name: np.asarray(x) for name, x in restored["pending"].items()}
        return Checkpoint(state, pending, notes)

    def restore_params(self, like: Any, remedy: str | None = None) -> Any:
        """Only the parameters of the newest checkpoint, in the structure of `like`.

        Args:
            like: parameters, of arrays or of shapes.
            remedy: what to do if they do not fit.

        Raises:
            ConfigError: they do not fit, or are damaged.
        """
        named = {f"params.{k}" if k else "params": v for k, v in leaves(like).items()}
        check_structure(self.notes()["structure"]["params"], named, remedy)
        restored = self._restore_arrays({"params": named})["params"]
        return jax.tree.unflatten(
            jax.tree.structure(like), [restored[name] for name in named]
        )

    def _newest(self) -> int:
        newest = self.latest()
        if newest is None:
            if (lost := self.lost()) is not None:
                raise ConfigError(
                    f"the checkpoints of {self.directory} are gone (one of update "
                    f"{lost} was saved); put them back, or start a new run."
                )
            raise ConfigError(
                f"{self.directory} has no checkpoint yet; resume it, or let it go on."
            )
        return newest

    def _notes(self, updates: int) -> dict[str, Any]:
        try:
            text = (self.folder / str(updates) / NOTES / "metadata").read_bytes()
            notes = json.loads(text)
            sums = notes.get("checksums")
            whole = sums is None or sums[NOTES] == notes_checksum(notes)
            whole = whole and "structure" in notes
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            raise Damaged([NOTES], 0) from None
        if not whole:
            raise Damaged([NOTES], 0)
        return notes

    def _restore_arrays(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays of the newest checkpoint, part by part and by name."""
        newest = self._newest()
        try:
            found = self._read(newest, parts)
        except Damaged as damaged:
            raise self._told(newest, damaged) from None
        return {
            part: {
                name: undata(found[part][name], like)
                if like.size
                else jnp.zeros(like.shape, like.dtype)
                for name, like in named.items()
            }
            for part, named in parts.items()
        }

    def _read(self, updates: int, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Read and check arrays as they are stored; empty ones are not."""
        import tensorstore

        folder, context = self.folder / str(updates), tensorstore.Context()
        sums = self._notes(updates).get("checksums", {})  # older checkpoints have none

        def opened(part: str, name: str) -> Any:
            base = (folder / part).as_uri()
            store = {"driver": "ocdbt", "base": base, "path": f"{name}/"}
            spec = {"driver": "zarr", "kvstore": store}
            return tensorstore.open(spec, open=True, read=True, context=context)

        stored = [
            (p, n) for p, like in parts.items() for n, x in like.items() if x.size
        ]
        opening = [opened(part, name) for part, name in stored]
        found: dict[str, Any] = {part: {} for part in parts}
        bad = []
        for (part, name), store in zip(stored, opening, strict=True):
            try:
                array = store.result().read().result()
            except Exception:  # tensorstore's errors have no common kind
                bad.append(name)
                continue
            if part in sums and sums[part].get(name) != checksum(array):
                bad.append(name)
            found[part][name] = array
        if bad:
            raise Damaged(bad, len(stored))
        return found

    def _told(self, updates: int, damaged: Damaged) -> ConfigError:
        """What is damaged, and the newest whole checkpoint before it."""
        what = ", ".join(damaged.names[:3])
        if len(damaged.names) > 3:
            what += f" and {len(damaged.names) - 3} more"
        if damaged.total:
            what = f"{len(damaged.names)} of {damaged.total} arrays, {what}"
        earlier = [n for n in self.updates() if n < updates and self._whole(n)]
        remedy = "no whole one is before it, so the run must be started anew."
        if earlier:
            source = shlex.quote(str(self.directory / FOLDER / str(updates)))
            target = shlex.quote(str(self.directory / f"damaged-{updates}"))
            remedy = (
                f"the one of update {earlier[-1]} is whole: to go on from there, move "
                f"the damaged one away (mv {source} {target})."
            )
        return ConfigError(
            f"the checkpoint of update {updates} in {self.directory} is damaged "
            f"({what}); {remedy}"
        )

    def _whole(self, updates: int) -> bool:
        try:
            shapes = self._notes(updates)["structure"]
            sized = {
                part: {n: np.broadcast_to(0, shape) for n, (shape, _) in named.items()}
                for part, named in shapes.items()
            }
            self._read(updates, sized)
        except Damaged:
            return False
        return True
