"""A block with memory tokens as lists: segments, their keys and values, and tokens."""

import numpy as np

from tests.memory_models.attention.loops import (
    apply,
    feed_forward,
    heads_of,
    norm,
    rope,
    softmax,
)


def attend(layer, x, tokens, steps, place, mark=0.0):
    """The block on x, which stands at `place` and sees tokens and (place, x) steps.

    `mark` is added to x where it asks, and nowhere else.
    """
    heads = layer.num_heads
    q, _, _ = heads_of(apply(layer.project, norm(x + mark)), 3, heads)
    of_tokens = [heads_of(apply(layer.project, norm(m)), 3, heads) for m in tokens]
    of_steps = [
        (at, heads_of(apply(layer.project, norm(s)), 3, heads)) for at, s in steps
    ]
    read = []
    for h in range(heads):
        scores = [q[h] @ k[h] for _, k, _ in of_tokens]
        scores += [rope(q[h], place - at) @ k[h] for at, (_, k, _) in of_steps]
        values = [v[h] for _, _, v in of_tokens] + [v[h] for _, (_, _, v) in of_steps]
        read.append(softmax(np.array(scores) / np.sqrt(len(q[h]))) @ np.array(values))
    y = x + apply(layer.out, np.concatenate(read))
    return y + feed_forward(layer.feed_forward, norm(y))


def token_run(model, inputs, starts, keep=lambda memory, written: written):
    """Outputs of a model with a `MemoryTokenLayer`."""
    layer, outputs, segments, tokens, place = model.layer, [], [[]], None, 0
    for raw, start in zip(inputs, starts, strict=True):
        if start or tokens is None:
            tokens, segments, place = layer.tokens, [[]], 0
        x = apply(model.encode, raw)
        segments[-1].append((place, x))
        seen = [step for segment in segments for step in segment]
        marked = tokens + layer.identity
        outputs.append(attend(layer, x, marked, seen, place))
        place += 1
        if len(segments[-1]) == layer.segment_length:
            written = [
                attend(layer, m, marked, segments[-1], place, p)
                for m, p in zip(tokens, layer.identity, strict=True)
            ]
            if len(tokens):
                tokens = keep(tokens, norm(np.array(written)))
            segments = [*segments, []][-(layer.history + 1) :]
    return np.array(outputs)
