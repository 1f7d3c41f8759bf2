"""Attention over a window, and recurrent transformers."""

MODELS = {}
