"""Hybrids: different memories, one on top of the other."""

from collections.abc import Callable

from jaxtyping import PRNGKeyArray

from memory_models.base import MemoryModel
from memory_models.registry import builder, lookup, options_of
from memory_models.stack import Stack


def hybrid(
    input_size: int,
    output_size: int,
    *,
    key: PRNGKeyArray,
    blocks: tuple[str, ...] = ("rg_lru", "attention"),
    num_layers: int = 1,
    glu: bool = True,
    window: int = 64,
) -> Stack:
    """A stack of the named models, in order, in residual blocks (`stack.Stack`).

    Args:
        input_size: width of the features.
        output_size: width of every block and of the output.
        key: for the weights.
        blocks: names of registered memory models.
        num_layers: how many times the blocks are repeated.
        glu: whether a gated feed-forward layer follows each memory.
        window: of those blocks that have a window.

    Raises:
        ValueError: no blocks, an unknown one, or one that reads observation keys.
    """
    if not blocks or num_layers < 1:
        raise ValueError(
            f"hybrid got blocks={list(blocks)} and num_layers={num_layers}; name at "
            "least one memory, like [rg_lru, attention], and use one layer or more."
        )
    builders = [_layer(name, window) for name in blocks] * num_layers
    return Stack(input_size, output_size, builders, glu=glu, key=key)


def _layer(name: str, window: int) -> Callable[..., MemoryModel]:
    try:
        target = lookup(name)
    except KeyError as error:
        raise ValueError(f"hybrid: {error.args[0]}") from None
    given = {"window": window} if "window" in options_of(target) else {}

    def build(width: int, *, key: PRNGKeyArray) -> MemoryModel:
        return builder(name, output_size=width, **given)(width, key=key)

    return build


def griffin(
    input_size: int,
    output_size: int,
    *,
    key: PRNGKeyArray,
    num_layers: int = 1,
    glu: bool = True,
    window: int = 64,
) -> Stack:
    """Two RG-LRU blocks for each of local attention (De et al. 2024, Griffin)."""
    return hybrid(
        input_size,
        output_size,
        key=key,
        blocks=("rg_lru", "rg_lru", "attention"),
        num_layers=num_layers,
        glu=glu,
        window=window,
    )


def samba(
    input_size: int,
    output_size: int,
    *,
    key: PRNGKeyArray,
    num_layers: int = 1,
    glu: bool = True,
    window: int = 64,
) -> Stack:
    """Mamba and local attention in turn (Ren et al. 2024, Samba)."""
    sizes = {"num_layers": num_layers, "glu": glu, "window": window}
    return hybrid(
        input_size, output_size, key=key, blocks=("mamba", "attention"), **sizes
    )


def xlstm(
    input_size: int,
    output_size: int,
    *,
    key: PRNGKeyArray,
    num_layers: int = 1,
    glu: bool = False,
) -> Stack:
    """MLSTM and sLSTM in turn (Beck et al. 2024, xLSTM)."""
    return hybrid(
        input_size,
        output_size,
        key=key,
        blocks=("mlstm", "slstm"),
        num_layers=num_layers,
        glu=glu,
    )


MODELS = {"hybrid": hybrid, "griffin": griffin, "samba": samba, "xlstm": xlstm}
