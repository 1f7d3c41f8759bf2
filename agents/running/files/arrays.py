"""Arrays of a checkpoint: their names, their structure, and what tells them whole."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from agents.convert import ConfigError

NOTES = "notes"
"""The part of a checkpoint that is not arrays, and its entry among the checksums."""


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


def check_structure(
    saved: Mapping[str, Any], named: Mapping[str, Any], remedy: str | None = None
) -> None:
    """Check that saved leaves fit.

    Raises:
        ConfigError: they do not; names the first leaf that differs.
    """
    wanted = structure(named)
    remedy = remedy or "resume with the code and the settings that wrote it"
    for name in [*wanted, *(name for name in saved if name not in wanted)]:
        old, new = saved.get(name), wanted.get(name)
        if old is None or new is None or list(old) != list(new):
            raise ConfigError(
                f"the checkpoint does not fit this agent: {name} is {_told(old)} in "
                f"the checkpoint and {_told(new)} here; {remedy}."
            )


def seeds_in(notes: Mapping[str, Any]) -> int:
    """How many seeds a checkpoint holds: the first axis of every array."""
    shape, _ = next(iter(notes["structure"]["state"].values()))
    return shape[0]


def checksum(array: np.ndarray) -> int:
    """CRC-32 of an array's bytes, about a second for a gigabyte."""
    return zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def notes_checksum(notes: Mapping[str, Any]) -> int:
    """CRC-32 of the notes and of the other checksums."""
    rest = {k: v for k, v in notes.items() if k != "checksums"}
    sums = {k: v for k, v in (notes.get("checksums") or {}).items() if k != NOTES}
    return zlib.crc32(json.dumps([rest, sums], sort_keys=True).encode())


def data(leaf: Any) -> np.ndarray:
    """An array as it is stored: on the host, keys as their numbers."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def undata(stored: np.ndarray, like: Any) -> Any:
    """An array in use again, of the kind of `like`."""
    array = jnp.asarray(stored)
    return jax.random.wrap_key_data(array) if _is_key(like) else array


def _told(leaf: Any) -> str:
    if leaf is None:
        return "missing"
    shape, dtype = leaf
    return f"{dtype}{list(shape)}"


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
