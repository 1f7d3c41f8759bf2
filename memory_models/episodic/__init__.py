"""Slots and episodic buffers: memories that store items and look them up."""

from memory_models.episodic.dnc import NeuralComputer
from memory_models.episodic.dual_coding import DualCodingMemory
from memory_models.episodic.episodic_knn import EpisodicNeighbours
from memory_models.episodic.memo import Memo
from memory_models.episodic.memory_network import MemoryNetwork
from memory_models.episodic.relational_memory import RelationalMemory
from memory_models.episodic.spatial_transformer import SpatialTransformer

MODELS = {
    "memory_network": MemoryNetwork,
    "episodic_knn": EpisodicNeighbours,
    "dual_coding": DualCodingMemory,
    "spatial_transformer": SpatialTransformer,
    "memo": Memo,
    "relational_memory": RelationalMemory,
    "dnc": NeuralComputer,
}
