"""Slots and episodic buffers: memories that store items and look them up."""

from memory_models.episodic.memory_network import MemoryNetwork

MODELS = {
    "memory_network": MemoryNetwork,
}
