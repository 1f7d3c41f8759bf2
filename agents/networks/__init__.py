"""From inputs to numbers: encoders, memories, heads, and how they are built."""
