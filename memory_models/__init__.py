"""Memory models: sequence models with one state, one step and one place to reset.

    memory = memory_models.make("ffm", input_size=64, output_size=64, key=key)
    state, output = memory.step(memory.initial_state(), features, start)

`names()` lists what there is, `register` adds a model, `builder` gives agents one, and
`check_memory` proves that a model keeps the contract of docs/memory_models.md.
"""

from memory_models import (
    _siblings,
    attention,
    controls,
    episodic,
    hybrids,
    linear,
    recurrences,
)
from memory_models.base import (
    Card,
    MemoryModel,
    Sizing,
    State,
    parameter_count,
    select_state,
    state_bytes,
)
from memory_models.checking.checker import CheckError, check_memory
from memory_models.mechanisms.affine import affine
from memory_models.mechanisms.inspection import record
from memory_models.mechanisms.layers import Linear, layer_norm, orthogonal
from memory_models.mechanisms.scans.cell_scan import cell_scan
from memory_models.mechanisms.scans.linear_scan import diagonal_scan
from memory_models.mechanisms.scans.recurrent_scan import gates_of, recurrent_scan
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
    reads_columns,
    register,
)

_siblings.check("agents", "envs")

FAMILIES = (controls, recurrences, linear, attention, episodic, hybrids)
for _family in FAMILIES:
    for _name, _model in _family.MODELS.items():
        register(_name, _model)

__all__ = [
    "Builder",
    "Card",
    "CheckError",
    "Columns",
    "Linear",
    "MemoryModel",
    "Sizing",
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
    "orthogonal",
    "parameter_count",
    "reads_columns",
    "record",
    "recurrent_scan",
    "register",
    "select_state",
    "state_bytes",
]
