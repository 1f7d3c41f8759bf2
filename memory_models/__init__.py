"""Memory models: sequence models with one state, one step and one place to reset.

    memory = memory_models.make("ffm", input_size=64, output_size=64, key=key)
    state, output = memory.step(memory.initial_state(), features, start)

`names()` lists what there is, `register` adds a model, `builder` gives agents one, and
`check_memory` proves that a model keeps the contract of docs/memory_models.md.
"""

from memory_models import _siblings
from memory_models.affine import affine
from memory_models.base import (
    Card,
    MemoryModel,
    State,
    parameter_count,
    select_state,
    state_bytes,
)
from memory_models.cell_scan import cell_scan
from memory_models.checker import CheckError, check_memory
from memory_models.elman import ElmanNetwork
from memory_models.ffm import FastAndForgetfulMemory
from memory_models.frame_stack import FrameStack
from memory_models.gru import GatedRecurrentUnit
from memory_models.layers import Linear, layer_norm
from memory_models.linear_scan import diagonal_scan
from memory_models.lru import LinearRecurrentUnit
from memory_models.lstm import LongShortTermMemory
from memory_models.none import NoMemory
from memory_models.recurrent_scan import gates_of, recurrent_scan
from memory_models.registry import (
    Builder,
    Columns,
    builder,
    builder_of,
    column,
    lookup,
    make,
    names,
    options,
    options_of,
    register,
)
from memory_models.s5 import SimplifiedStateSpace

_siblings.check("agents", "envs")

register("none", NoMemory)
register("frame_stack", FrameStack)
register("elman", ElmanNetwork)
register("gru", GatedRecurrentUnit)
register("lstm", LongShortTermMemory)
register("ffm", FastAndForgetfulMemory)
register("lru", LinearRecurrentUnit)
register("s5", SimplifiedStateSpace)

__all__ = [
    "Builder",
    "Card",
    "CheckError",
    "Columns",
    "ElmanNetwork",
    "FastAndForgetfulMemory",
    "FrameStack",
    "GatedRecurrentUnit",
    "Linear",
    "LinearRecurrentUnit",
    "LongShortTermMemory",
    "MemoryModel",
    "NoMemory",
    "SimplifiedStateSpace",
    "State",
    "affine",
    "builder",
    "builder_of",
    "cell_scan",
    "check_memory",
    "column",
    "diagonal_scan",
    "gates_of",
    "layer_norm",
    "lookup",
    "make",
    "names",
    "options",
    "options_of",
    "parameter_count",
    "recurrent_scan",
    "register",
    "select_state",
    "state_bytes",
]
