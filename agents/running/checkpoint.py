"""Checkpoints: every array of a run, saved whole or not at all.

Orbax writes to a temporary folder and renames it, so a process killed at any moment
leaves the checkpoints before intact. Only arrays are stored, by name; what is not an
array (the network's structure, the task) is rebuilt from the configuration, and the
arrays must fit it exactly.
"""

import dataclasses
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.convert import ConfigError
from agents.running.processes import is_first

FOLDER = "checkpoints"
"""Where a run keeps its checkpoints; one folder each, named after the update."""


class CheckpointError(Exception):
    """A checkpoint could not be written; those before it are untouched."""


@dataclasses.dataclass(frozen=True)
class Saved:
    """What saving took: bytes on disk and seconds."""

    bytes: int
    seconds: float


@dataclasses.dataclass(frozen=True)
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


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, directory: Path, *, keep: int = 2):
        """Look into `directory`, which is made if missing; keep the newest `keep`.

        Of several processes the first one writes; every one reads for itself.
        """
        import orbax.checkpoint as ocp  # takes a second; not needed to look around

        logging.getLogger("absl").setLevel(logging.ERROR)  # what went well is told here
        self._ocp = ocp
        self.folder = (directory / FOLDER).absolute()
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
        self._manager = ocp.CheckpointManager(self.folder, options=options)

    def latest(self) -> int | None:
        """Update number of the newest whole checkpoint, None without one."""
        return self._manager.latest_step()

    def save(self, updates: int, checkpoint: Checkpoint) -> Saved:
        """Write a checkpoint, then drop the oldest beyond those to keep.

        Raises:
            CheckpointError: it could not be written; nothing saved before is lost.
        """
        args = self._ocp.args
        began = time.perf_counter()
        params, rest = split(checkpoint.state)
        parts = {"params": params, "state": rest, "pending": checkpoint.pending}
        notes = {
            **checkpoint.notes,
            "structure": {name: structure(part) for name, part in parts.items()},
        }
        stored = {
            name: {key: _data(x) for key, x in part.items() if x.size}
            for name, part in parts.items()
        }
        items = {name: args.StandardSave(part) for name, part in stored.items() if part}
        try:
            if updates in self._manager.all_steps():
                self._manager.delete(updates)
            self._manager.save(
                updates, args=args.Composite(notes=args.JsonSave(notes), **items)
            )
            self._manager.wait_until_finished()
        except Exception as error:  # the file system and its libraries fail in any way
            shutil.rmtree(self.folder / str(updates), ignore_errors=True)
            raise CheckpointError(_first_line(error)) from error
        files = (self.folder / str(updates)).rglob("*")
        size = sum(path.stat().st_size for path in files if path.is_file())
        return Saved(size, time.perf_counter() - began)

    def notes(self) -> dict[str, Any]:
        """The notes of the newest checkpoint."""
        return self._restore({"notes": self._ocp.args.JsonRestore()})["notes"]

    def restore(self, like: Any) -> Checkpoint:
        """The newest checkpoint, in the structure of `like`.

        Args:
            like: the agent's state, of arrays or of shapes.

        Raises:
            ConfigError: the agent's state has another structure; names the first leaf
                that differs.
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
        leaves = {**restored["params"], **restored["state"]}
        names = [_name(path) for path, _ in jax.tree.leaves_with_path(like)]
        state = jax.tree.unflatten(
            jax.tree.structure(like), [leaves[name] for name in names]
        )
        pending = {name: np.asarray(x) for name, x in restored["pending"].items()}
        return Checkpoint(state, pending, notes)

    def restore_params(self, like: Any) -> Any:
        """Only the parameters of the newest checkpoint, in the structure of `like`."""
        named = {f"params.{k}" if k else "params": v for k, v in leaves(like).items()}
        check_structure(self.notes()["structure"]["params"], named)
        restored = self._restore_arrays({"params": named})["params"]
        return jax.tree.unflatten(
            jax.tree.structure(like), [restored[name] for name in named]
        )

    def close(self) -> None:
        """Release what Orbax holds."""
        self._manager.close()

    def _restore_arrays(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        restore = self._ocp.args.StandardRestore
        stored = {
            part: {name: _room_for(x) for name, x in named.items() if x.size}
            for part, named in parts.items()
        }
        restored = self._restore({k: restore(v) for k, v in stored.items() if v})
        return {
            part: {
                name: _undata(restored[part][name], like)
                if like.size  # empty arrays are not stored
                else jnp.zeros(like.shape, like.dtype)
                for name, like in named.items()
            }
            for part, named in parts.items()
        }

    def _restore(self, items: Mapping[str, Any]) -> Any:
        return self._manager.restore(
            self.latest(), args=self._ocp.args.Composite(**items)
        )


# Names and structure ------------------------------------------------------------


def leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by dotted name."""
    return {_name(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}


def split(state: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The named leaves of an agent's state: parameters, and the rest."""
    named = leaves(state)
    params = {k: v for k, v in named.items() if k.split(".")[0] == "params"}
    return params, {k: v for k, v in named.items() if k not in params}


def structure(named: Mapping[str, Any]) -> dict[str, Any]:
    """Shape and dtype of every leaf."""
    return {name: [list(x.shape), str(x.dtype)] for name, x in named.items()}


def check_structure(saved: Mapping[str, Any], named: Mapping[str, Any]) -> None:
    """Check that saved leaves fit.

    Raises:
        ConfigError: they do not; names the first leaf that differs.
    """
    wanted = structure(named)
    for name in [*wanted, *(name for name in saved if name not in wanted)]:
        old, new = saved.get(name), wanted.get(name)
        if old is None or new is None or list(old) != list(new):
            raise ConfigError(
                f"the checkpoint does not fit this agent: {name} is {_told(old)} in "
                f"the checkpoint and {_told(new)} here; resume with the code and the "
                "settings that wrote it."
            )


def _told(leaf: Any) -> str:
    if leaf is None:
        return "missing"
    shape, dtype = leaf
    return f"{dtype}{list(shape)}"


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _data(leaf: Any) -> np.ndarray:
    """An array as it is stored: on the host, keys as their numbers."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _undata(stored: Any, like: Any) -> Any:
    array = jnp.asarray(stored)
    return jax.random.wrap_key_data(array) if _is_key(like) else array


def _room_for(leaf: Any) -> np.ndarray:
    """An array of the shape and dtype in which `leaf` is stored."""
    shape = jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
    if _is_key(leaf):
        shape = jax.eval_shape(jax.random.key_data, shape)
    return np.empty(shape.shape, shape.dtype)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
