"""What theory says that each memory model can and cannot do, for the capability table.

True: a model of this kind can represent the task at the lengths trained, so falling
short is a matter of training. False: it cannot, or only at the cost of its whole state.
Tasks without an entry are open.
"""

LAGS = {
    "first 8": 8,
    "first 64": 64,
    "first 512": 512,
    "previous 4": 4,
    "previous 16": 16,
    "previous 64": 64,
}
STATE_TRACKING = ("parity", "sum mod 5")
RECALL = ("recall 4", "recall 16", "selective copy")


def window(steps: int) -> dict[str, bool]:
    """A model that sees the last `steps` inputs and nothing else."""
    return {task: lag <= steps for task, lag in LAGS.items()}


NOTHING = {task: False for task in (*LAGS, *STATE_TRACKING, *RECALL)}

NONLINEAR = {task: True for task in ("first 8", "first 64", "previous 4")}
NONLINEAR |= {task: True for task in STATE_TRACKING} | {"previous 64": False}
"""A saturating cell holds and counts; 64 symbols of 4 bits need 256 bits of a state."""

FIXED_DECAYS = {"first 8": True, "first 64": True, "previous 4": True, "parity": False}
"""Transitions do not depend on inputs: what to keep cannot be chosen, and the parity of
a count is no linear function of it (Sarrof et al. 2024, arXiv:2405.17394)."""

POSITIVE_DECAYS = {"first 8": True, "first 64": True, "recall 4": True, "parity": False}
"""Decays chosen by the input, between 0 and 1: selecting is possible, changing sign is
not (Grazzi et al. 2024, arXiv:2411.12537)."""

DELTA = POSITIVE_DECAYS | {"recall 16": True}
"""A key's old value gives way to the new one (Schlag et al. 2021, arXiv:2102.11174)."""

ATTENTION = {"recall 4": True, "recall 16": True, "parity": False}
"""One layer looks up any key in its window, and cannot count modulo 2 at any length
(Hahn 2020, arXiv:1906.06755)."""

THEORY: dict[str, dict[str, bool]] = {
    "none": NOTHING,
    "position": NOTHING,
    "frame_stack": NOTHING | window(3),
    **dict.fromkeys(("elman", "gru", "lstm", "slstm", "lmu"), NONLINEAR),
    "ind_rnn": NONLINEAR | {"parity": True},
    **dict.fromkeys(("ffm", "lru", "s4d", "s5", "retnet"), FIXED_DECAYS),
    **dict.fromkeys(("min_gru", "min_lstm", "mamba", "rg_lru"), POSITIVE_DECAYS),
    "mlstm": POSITIVE_DECAYS,
    "linear_attention": {"first 8": True, "recall 4": True, "parity": False},
    **dict.fromkeys(("delta_net", "gated_delta_net"), DELTA),
    "attention": ATTENTION | window(63),
    **dict.fromkeys(("transformer_xl", "gtrxl"), ATTENTION | window(63)),
    "hopfield": ATTENTION | window(63),
    "memory_network": ATTENTION | window(63),
}
