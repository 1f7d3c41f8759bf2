"""Attention over a window, and recurrent transformers."""

from memory_models.attention.attention import SlidingWindowAttention

MODELS = {
    "attention": SlidingWindowAttention,
}
