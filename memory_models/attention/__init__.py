"""Attention over a window, and recurrent transformers."""

from memory_models.attention.attention import SlidingWindowAttention
from memory_models.attention.gtrxl import GatedTransformerXL
from memory_models.attention.hcam import HierarchicalChunkAttention
from memory_models.attention.hopfield import ModernHopfield
from memory_models.attention.memformer import Memformer
from memory_models.attention.rate import RecurrentActionTransformer
from memory_models.attention.rmt import RecurrentMemoryTransformer
from memory_models.attention.transformer_fam import TransformerFeedbackMemory
from memory_models.attention.transformer_xl import TransformerXL

MODELS = {
    "attention": SlidingWindowAttention,
    "transformer_xl": TransformerXL,
    "gtrxl": GatedTransformerXL,
    "hopfield": ModernHopfield,
    "hcam": HierarchicalChunkAttention,
    "rmt": RecurrentMemoryTransformer,
    "rate": RecurrentActionTransformer,
    "memformer": Memformer,
    "transformer_fam": TransformerFeedbackMemory,
}
