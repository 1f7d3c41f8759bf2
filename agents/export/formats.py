"""The formats that a step can be written in, and how each is played again."""

import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export
from jax.extend.core import jaxpr_as_fun

from agents.convert import ConfigError
from agents.export.operations import written_out
from agents.export.step import Step

Player = Callable[..., Sequence[Any]]
"""Called with the arrays of a step in their order, it returns those of the outputs."""

PLATFORMS = ("cpu", "cuda", "tpu")
"""What a program of `jax.export` is compiled for where it is called."""


class Format(NamedTuple):
    """A file format.

    Attributes:
        file: its name in the exported folder.
        packages: that writing and checking it needs, beside ours.
        write: writes a step to a path, and returns what the file's versions are.
        open: of a path and the names of the inputs.
    """

    file: str
    packages: tuple[str, ...]
    write: Callable[[Step, Path], dict[str, Any]]
    open: Callable[[Path, Sequence[str]], Player]


def _write_jax(step: Step, path: Path) -> dict[str, Any]:
    exported = export.export(jax.jit(step.function), platforms=PLATFORMS)(
        *step.inputs.values()
    )
    path.write_bytes(exported.serialize())
    version = exported.calling_convention_version
    return {"platforms": list(PLATFORMS), "calling_convention": version}


def _open_jax(path: Path, names: Sequence[str]) -> Player:
    del names
    return export.deserialize(bytearray(path.read_bytes())).call  # pyright: ignore


def _write_onnx(step: Step, path: Path) -> dict[str, Any]:
    specs = list(step.inputs.values())
    plain = written_out(step.function, *specs)
    call = jaxpr_as_fun(plain)
    # Operators for the bits of a float came late; older runtimes have no need of them.
    opset = 26 if "bitcast_convert_type" in str(plain.jaxpr) else 23
    with _quiet():
        from jax2onnx import to_onnx

        model = to_onnx(
            lambda *values: tuple(call(*values)),
            specs,
            model_name="policy",
            opset=opset,
            input_names=list(step.inputs),
            output_names=list(step.outputs),
        )
    path.write_bytes(model.SerializeToString())  # pyright: ignore
    return {"opset": opset}


def _open_onnx(path: Path, names: Sequence[str]) -> Player:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of constants that are not used
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )

    def play(*values: np.ndarray) -> Sequence[np.ndarray]:
        given = dict(zip(names, map(np.asarray, values), strict=True))
        return session.run(None, given)  # pyright: ignore

    return play


FORMATS = {
    "jax": Format("policy.jax", ("flatbuffers",), _write_jax, _open_jax),
    "onnx": Format("policy.onnx", ("jax2onnx", "onnxruntime"), _write_onnx, _open_onnx),
}
"""By the name that `--to` takes."""


def format_of(name: str) -> Format:
    """The format of a name.

    Raises:
        ConfigError: there is none, or a package that it needs is not installed.
    """
    if name not in FORMATS:
        raise ConfigError(f"--to={name!r} must be {' or '.join(FORMATS)}.")
    form = FORMATS[name]
    missing = [x for x in form.packages if importlib.util.find_spec(x) is None]
    if missing:
        raise ConfigError(
            f"--to={name} needs {' and '.join(missing)}, which is not installed: pip "
            f"install -c constraints.txt -e '.[export]'."
        )
    return form


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the converter says about itself: the file is checked anyway."""
    log = logging.getLogger("onnx_ir")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
