"""Memories as torch modules of one's own, and tasks, for tests of `agents.sb3`."""

import torch


class TorchGRU(torch.nn.Module):
    """A GRU cell that begins anew, from a state of ones, where an episode starts."""

    def __init__(self, input_size, output_size, scale=1.0):
        super().__init__()
        self.cell = torch.nn.GRUCell(input_size, output_size)
        self.scale = scale

    def begun(self, state, start):
        return torch.where(start[:, None], torch.ones_like(state), state)

    def forward(self, inputs, starts, state=None):
        if state is None:
            state = inputs.new_ones(inputs.shape[1], self.cell.hidden_size)
        outputs = []
        for x, start in zip(inputs, starts, strict=True):
            state = self.cell(x * self.scale, self.begun(state, start))
            outputs.append(state)
        return torch.stack(outputs), state


class Multiplies(TorchGRU):
    """Resets by a product, as sb3-contrib does: what is not finite stays."""

    def begun(self, state, start):
        return state * ~start[:, None] + 1.0 * start[:, None]


class NeverResets(TorchGRU):
    def begun(self, state, start):
        return state


class Transposed(TorchGRU):
    """Gives outputs with the streams first."""

    def forward(self, inputs, starts, state=None):
        outputs, state = super().forward(inputs, starts, state)
        return outputs.swapaxes(0, 1), state
