"""Slots and episodic buffers: memories that store items and look them up."""

MODELS = {}
