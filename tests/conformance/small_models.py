"""Options that make a model small and its clocks short.

The sequences of the conformance table have 7 and 14 steps: a window, chunk or segment
must end several times inside them, and not at their ends.
"""

OPTIONS = {
    # linear
    # attention
    "attention": {"window": 5, "num_heads": 2, "head_size": 4},
    "transformer_xl": {"window": 5, "num_heads": 2, "head_size": 4},
    "gtrxl": {"window": 5, "num_heads": 2, "head_size": 4},
    "hopfield": {"window": 5, "num_heads": 2, "head_size": 4},
    "hcam": {
        "num_chunks": 3,
        "chunk_size": 2,
        "top_k": 3,
        "window": 3,
        "num_heads": 2,
        "head_size": 4,
        "memory_gradient": True,
    },
    "rmt": {"num_tokens": 3, "segment_length": 4, "num_heads": 2, "head_size": 4},
    "rate": {
        "num_tokens": 2,
        "segment_length": 3,
        "cached_segments": 1,
        "num_heads": 2,
        "head_size": 4,
    },
    "memformer": {
        "num_slots": 3,
        "segment_length": 4,
        "num_heads": 2,
        "head_size": 4,
    },
    "transformer_fam": {
        "memory_size": 2,
        "block_length": 2,
        "history_blocks": 2,
        "num_heads": 2,
        "head_size": 4,
    },
    # episodic
}

# Which of the 5 features come from which observation key, for models that ask.
COLUMNS = {
    # attention
    # episodic
}
