"""Recurrent networks: one cell, one state, step after step."""

from memory_models.recurrences.elman import ElmanNetwork
from memory_models.recurrences.gru import GatedRecurrentUnit
from memory_models.recurrences.ind_rnn import IndependentlyRecurrentNetwork
from memory_models.recurrences.lmu import LegendreMemoryUnit
from memory_models.recurrences.lstm import LongShortTermMemory
from memory_models.recurrences.min_gru import MinimalGatedRecurrentUnit
from memory_models.recurrences.min_lstm import MinimalLongShortTermMemory
from memory_models.recurrences.slstm import ScalarLSTM

MODELS = {
    "elman": ElmanNetwork,
    "gru": GatedRecurrentUnit,
    "ind_rnn": IndependentlyRecurrentNetwork,
    "lmu": LegendreMemoryUnit,
    "lstm": LongShortTermMemory,
    "min_gru": MinimalGatedRecurrentUnit,
    "min_lstm": MinimalLongShortTermMemory,
    "slstm": ScalarLSTM,
}
