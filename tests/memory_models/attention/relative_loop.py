"""Transformer-XL's attention by its index formula, one distance at a time."""

import numpy as np

from tests.memory_models.attention.loops import apply, heads_of, softmax


def sinusoid(distance, width):
    angle = distance * 10_000.0 ** (-np.arange(0, width, 2) / width)
    return np.concatenate([np.sin(angle), np.cos(angle)])


def relative_read(attention, past):
    """Attend from the last of a list of layer inputs to all of them."""
    heads = attention.content_bias.shape[0]
    (q,) = heads_of(apply(attention.query, past[-1]), 1, heads)
    read = []
    for h in range(heads):
        scores, values = [], []
        for age, x in enumerate(past[::-1]):
            k, v = heads_of(apply(attention.key_value, x), 2, heads)
            (r,) = heads_of(apply(attention.place, sinusoid(age, len(x))), 1, heads)
            score = (q[h] + attention.content_bias[h]) @ k[h]
            score += (q[h] + attention.place_bias[h]) @ r[h]
            scores.append(score / np.sqrt(len(q[h])))
            values.append(v[h])
        read.append(softmax(np.array(scores)) @ np.array(values))
    return apply(attention.out, np.concatenate(read))


def windows(inputs, starts, window, entry):
    """Of every step, the list of the entries that it may see."""
    past = []
    for x, start in zip(inputs, starts, strict=True):
        past = [*([] if start else past), entry(x)][-window:]
        yield x, past
