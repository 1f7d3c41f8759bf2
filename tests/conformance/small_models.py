"""Options that make a model small and its clocks short.

The sequences of the conformance table have 7 and 14 steps: a window, chunk or segment
must end several times inside them, and not at their ends.
"""

OPTIONS = {
    # linear
    "linear_attention": {"num_heads": 2, "head_size": 3, "chunk_size": 4},
    "retnet": {"num_heads": 2, "head_size": 4, "chunk_size": 4},
    "delta_net": {"num_heads": 2, "head_size": 3, "taps": 3, "chunk_size": 4},
    "gated_delta_net": {"num_heads": 2, "head_size": 3, "taps": 3, "chunk_size": 4},
    "mlstm": {"num_heads": 2, "head_size": 3, "taps": 3, "chunk_size": 4},
    "mamba": {"channels": 4, "modes": 3, "taps": 3, "chunk_size": 4},
    "rg_lru": {"units": 4, "num_heads": 2, "taps": 3},
    "s4d": {"modes": 2},
    "lmu": {"channels": 2, "order": 3, "window": 5},
    "slstm": {"num_heads": 2, "taps": 3},
    # attention
    # episodic
}

# Which of the 5 features come from which observation key, for models that ask.
COLUMNS = {
    # attention
    # episodic
}
