"""State-space models and linear attention: states that change linearly."""

from memory_models.linear.ffm import FastAndForgetfulMemory
from memory_models.linear.linear_attention import LinearAttention
from memory_models.linear.lru import LinearRecurrentUnit
from memory_models.linear.s5 import SimplifiedStateSpace

MODELS = {
    "ffm": FastAndForgetfulMemory,
    "linear_attention": LinearAttention,
    "lru": LinearRecurrentUnit,
    "s5": SimplifiedStateSpace,
}
