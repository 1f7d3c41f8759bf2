"""State-space models and linear attention: states that change linearly."""

from memory_models.linear.delta_net import DeltaNetwork
from memory_models.linear.ffm import FastAndForgetfulMemory
from memory_models.linear.gated_delta_net import GatedDeltaNetwork
from memory_models.linear.linear_attention import LinearAttention
from memory_models.linear.lru import LinearRecurrentUnit
from memory_models.linear.mamba import Mamba
from memory_models.linear.mlstm import MatrixLSTM
from memory_models.linear.retnet import RetentiveNetwork
from memory_models.linear.rg_lru import RealGatedLinearRecurrentUnit
from memory_models.linear.s4d import DiagonalStateSpace
from memory_models.linear.s5 import SimplifiedStateSpace

MODELS = {
    "delta_net": DeltaNetwork,
    "ffm": FastAndForgetfulMemory,
    "gated_delta_net": GatedDeltaNetwork,
    "linear_attention": LinearAttention,
    "lru": LinearRecurrentUnit,
    "mamba": Mamba,
    "mlstm": MatrixLSTM,
    "retnet": RetentiveNetwork,
    "rg_lru": RealGatedLinearRecurrentUnit,
    "s4d": DiagonalStateSpace,
    "s5": SimplifiedStateSpace,
}
