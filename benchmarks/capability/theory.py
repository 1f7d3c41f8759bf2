"""What theory says that each memory model can and cannot do, for the capability table.

True: a model of this kind can represent the task at every length, so falling short is a
matter of training. False: it cannot at the lengths trained, or only at the cost of its
whole state. BOUNDED: for no model of this kind of a fixed size is there one solution at
every length, but up to a length there may be, with what follows the memory (a hidden
layer here) counting for it. Tasks without an entry, or with None, are open.
"""

BOUNDED = "bounded"

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


Says = dict[str, bool | str | None]


def window(steps: int) -> Says:
    """A model that sees the last `steps` inputs and nothing else."""
    return {task: lag <= steps for task, lag in LAGS.items()}


NOTHING: Says = {task: False for task in (*LAGS, *STATE_TRACKING, *RECALL)}

NONLINEAR: Says = {task: True for task in ("first 8", "first 64", "previous 4")}
NONLINEAR |= {task: True for task in STATE_TRACKING} | {"previous 64": False}
"""A saturating cell holds and counts; 64 symbols of 4 bits need 256 bits of a state."""

COUNTING: Says = dict.fromkeys(STATE_TRACKING, BOUNDED)

FIXED_DECAYS: Says = COUNTING | {task: True for task in ("first 8", "previous 4")}
FIXED_DECAYS |= {"first 64": True}
"""Transitions do not depend on inputs: a marked input is kept by what writes it, but
the parity of a count is no linear function of the count."""

UNGATED: Says = COUNTING | {"previous 4": True}
"""The same, but only the layer norm before the write can make it depend on whether a
symbol is marked: whether it can make the others small enough is open."""

POSITIVE_DECAYS: Says = COUNTING | {"first 8": True, "first 64": True, "recall 4": True}
"""Decays chosen by the input, between 0 and 1: selecting is possible, changing sign is
not, and without it no finite precision holds a parity of any length (Sarrof et al.
2024, arXiv:2405.17394; Grazzi et al. 2024, arXiv:2411.12537)."""

DELTA: Says = POSITIVE_DECAYS | {"recall 16": True}
"""A key's old value gives way to the new one (Schlag et al. 2021, arXiv:2102.11174)."""

ATTENTION: Says = COUNTING | {"recall 4": True, "recall 16": True}
"""One layer looks up any key in its window. It models no periodic language unless heads
or layers grow with the length (Hahn 2020, arXiv:1906.06755)."""

UNORDERED: Says = ATTENTION | {f"previous {lag}": False for lag in (4, 16, 64)}
UNORDERED |= {"first 8": True, "first 64": False, "selective copy": False}
"""Attention to a set of 64 steps that does not know their order."""

SEGMENTS: Says = ATTENTION | dict.fromkeys(("first 8", "first 64", "previous 4"), True)
"""Recall takes one segment; across segments a marked symbol, or the last few by their
places, can be written into the tokens or slots. How many more fit is open."""

CHUNKS: Says = SEGMENTS | {"previous 16": True}
"""And a window of at least 32 steps, whatever the segment."""

THEORY: dict[str, Says] = {
    "none": NOTHING,
    "position": NOTHING,
    "frame_stack": NOTHING | window(3),
    **dict.fromkeys(("elman", "gru", "lstm", "slstm", "lmu"), NONLINEAR),
    # A unit sees no other's state and adds what is linear in the input, cut off at 0.
    # It counts without alternating; that a symbol is marked cannot decide whether it is
    # added.
    "ind_rnn": COUNTING | {"previous 4": True, "previous 64": False},
    **dict.fromkeys(("ffm", "retnet"), FIXED_DECAYS),
    **dict.fromkeys(("lru", "s4d", "s5"), UNGATED),
    **dict.fromkeys(("min_gru", "min_lstm", "mamba", "rg_lru"), POSITIVE_DECAYS),
    "mlstm": POSITIVE_DECAYS,
    "linear_attention": COUNTING | {"first 8": True, "recall 4": True},
    **dict.fromkeys(("delta_net", "gated_delta_net"), DELTA),
    **dict.fromkeys(("attention", "transformer_xl", "gtrxl"), ATTENTION | window(63)),
    "hopfield": UNORDERED,
    "memory_network": ATTENTION | window(63),
    **dict.fromkeys(("rmt", "rate", "memformer"), SEGMENTS),
    "transformer_fam": CHUNKS,
    # It can read at most 17 chunks of 16 steps back.
    "hcam": CHUNKS | {"first 512": False},
    # A recurrence that can select, and attention to the last 64 steps.
    **dict.fromkeys(("hybrid", "griffin", "samba"), CHUNKS),
    # The upper layer holds and counts, the lower one recalls.
    "xlstm": NONLINEAR | {"recall 4": True, "previous 64": None},
    # A cell that gates its slots, and one with an LSTM, content look-up and the order
    # of its writes: 16 slots for 16 pairs, and 8 symbols to copy.
    "relational_memory": {
        **dict.fromkeys(("first 8", "first 64", *STATE_TRACKING), True),
    },
    "dnc": NONLINEAR | dict.fromkeys(RECALL, True) | {"previous 64": None},
    # Keys are made of one input, and a mean of neighbours has no order.
    "episodic_knn": COUNTING
    | {"recall 4": True, "recall 16": True, "selective copy": False}
    | {f"previous {lag}": False for lag in (4, 16, 64)},
    "memo": ATTENTION | {"first 8": True},
    # What a place holds is attended to by content; 128 steps fit.
    "spatial_transformer": ATTENTION | {"first 8": True, "first 64": True},
    # It looks only for like places, here the number of the step modulo 32.
    "dual_coding": {},
}
