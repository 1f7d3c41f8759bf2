"""Recurrent networks: one cell, one state, step after step."""

from memory_models.recurrences.elman import ElmanNetwork
from memory_models.recurrences.gru import GatedRecurrentUnit
from memory_models.recurrences.lstm import LongShortTermMemory

MODELS = {
    "elman": ElmanNetwork,
    "gru": GatedRecurrentUnit,
    "lstm": LongShortTermMemory,
}
