"""Options that make a model small and its clocks short.

The sequences of the conformance table have 7 and 14 steps: a window, chunk or segment
must end several times inside them, and not at their ends.
"""

OPTIONS = {
    # linear
    # attention
    # episodic
    "memory_network": {"num_slots": 4, "slot_size": 3, "hops": 2},
}

# Which of the 5 features come from which observation key, for models that ask.
COLUMNS = {
    # attention
    # episodic
}
