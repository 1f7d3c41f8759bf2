"""The delta rule's layer, step by step, from the equations of the papers."""

import numpy as np

from tests.memory_models.linear.model_loops import (
    Convolution,
    heads,
    linear,
    rms_norm,
    sigmoid,
    silu,
    softplus,
    unit_norm,
)


def split(x, sizes):
    return np.split(x, np.cumsum(sizes[:-1]))


def layer_loop(layer, inputs, starts, decay=None):
    """The paper's state (I - beta k k^T) S, written with explicit matrices."""
    count, inner = layer.num_heads, layer.mix.weight.shape[0]
    size, convolve = inner // count, Convolution(layer.convolve)
    identity, outputs = np.eye(size), []
    state = np.zeros((count, size, size))
    sizes = [3 * inner, inner if decay else 0, count, count if decay else 0, None]
    for x, start in zip(inputs, starts, strict=True):
        if start:
            state = np.zeros_like(state)
            convolve.reset()
        mixed, gate, beta, rest, skip = split(linear(layer.project, x), sizes)
        q, k, v = (heads(z, count) for z in split(silu(convolve(mixed)), 3 * [inner]))
        q, k = unit_norm(q) / np.sqrt(size), unit_norm(k)
        beta = layer.largest_rate * sigmoid(beta)
        a = decay(rest) if decay else np.ones(count)
        for h in range(count):
            erase = identity - beta[h] * np.outer(k[h], k[h])
            state[h] = a[h] * erase @ state[h] + beta[h] * np.outer(k[h], v[h])
        normal = rms_norm(np.einsum("hk,hkv->hv", q, state)).ravel()
        gate = silu(gate) if decay else 1.0
        outputs.append(linear(layer.mix, normal * gate) + skip)
    return [state.copy(), convolve.tail()], np.array(outputs)


def delta_loop(model, inputs, starts):
    return layer_loop(model.layer, inputs, starts)


def gated_loop(model, inputs, starts):
    def decay(projected):
        return np.exp(-np.exp(model.log_rate) * softplus(projected + model.offset))

    return layer_loop(model.layer, inputs, starts, decay)
