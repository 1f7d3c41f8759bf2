"""A memory in the place of sb3-contrib's LSTM: built by name, fed in its layout."""

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import jax
import torch

import memory_models
from agents.sb3.packing import Packed, StatePacking
from memory_models.base import MemoryModel
from memory_models.registry import builder_of
from memory_models.torch_bridge import TorchMemory

Memory = Any
"""A name of `memory_models.names()`; what makes a memory model, of the signature that
`memory_models.register` asks for; or what makes a torch module when it is called with
`input_size=`, `output_size=` and options."""


class MemoryCore(torch.nn.Module):
    """A memory that reads what sb3-contrib gives its LSTM.

    Attributes:
        module: `(inputs, starts, state) -> (outputs, state)`, see `make_memory`.
        input_size, output_size: features per step, in and out.
        num_layers, hidden_size: as sb3-contrib asks an LSTM to size what it stores:
            one layer of half the numbers of a packed state.
        crosses: whether JAX computes it, or a part of it.
    """

    num_layers = 1

    def __init__(
        self,
        memory: Memory,
        options: Mapping[str, Any] | None,
        input_size: int,
        output_size: int,
    ):
        """Build the memory, with weights drawn from torch's global seed."""
        super().__init__()
        self._arguments = (memory, options, input_size, output_size)
        self.input_size, self.output_size = input_size, output_size
        self.module = make_memory(memory, dict(options or {}), input_size, output_size)
        self.crosses = any(isinstance(x, TorchMemory) for x in self.module.modules())
        if isinstance(self.module, TorchMemory):
            state = self.module.initial_state(1)
        else:
            state = _checked_state(self.module, input_size, output_size)
        self.packing = StatePacking(state)
        self.hidden_size = self.packing.size

    def twin(self) -> "MemoryCore":
        """Another of the same kind, with weights of its own.

        What JAX compiles for one serves both.
        """
        other = MemoryCore(*self._arguments)
        if isinstance(self.module, TorchMemory):
            module = copy.deepcopy(self.module)
            module.load_state_dict(other.module.state_dict())
            other.module = module
        return other

    def forward(
        self, features: torch.Tensor, states: Packed, starts: torch.Tensor
    ) -> tuple[torch.Tensor, Packed]:
        """Read sequences, one after the other in memory.

        Args:
            features: `[streams * time, input_size]`, all of a stream's steps together.
            states: of each stream before its first step, two of
                `[1, streams, hidden_size]`.
            starts: `[streams * time]`, nonzero at first observations of episodes: the
                state that enters there is the memory's initial one, whatever it was.

        Returns:
            Outputs `[streams * time, output_size]`, and the states after the last step.
            Where gradients are asked for, those states are not to be used: sequences
            were padded (see `_padded`), and training discards them.
        """
        streams = states[0].shape[1]
        inputs = features.reshape(streams, -1, self.input_size).swapaxes(0, 1)
        starts = starts.reshape(streams, -1).swapaxes(0, 1) != 0
        time = inputs.shape[0]
        if self.crosses and torch.is_grad_enabled():
            inputs, starts, states = _padded(inputs, starts, states)
        outputs, state = self._read(inputs, starts, self.packing.unpack(states))
        outputs = outputs[:time, :streams].swapaxes(0, 1)
        packed = self.packing.pack(state, states[0].shape[1])
        return outputs.reshape(-1, self.output_size), packed

    def _read(
        self, inputs: torch.Tensor, starts: torch.Tensor, state: Any
    ) -> tuple[torch.Tensor, Any]:
        """What the memory makes of sequences; of single steps, the cheaper way."""
        if isinstance(self.module, TorchMemory) and inputs.shape[0] == 1:
            output, state = self.module.step(inputs[0], starts[0], state)
            return output[None], state
        return self.module(inputs, starts, state)


def make_memory(
    memory: Memory, options: dict[str, Any], input_size: int, output_size: int
) -> torch.nn.Module:
    """A torch module that reads sequences as `TorchMemory` does.

    `module(inputs, starts, state)` takes `[time, streams, input_size]`, bool
    `[time, streams]` and a pytree of tensors `[streams, ...]`, or None before the first
    step. It gives outputs `[time, streams, output_size]` and the new state, and begins
    anew wherever `starts` holds.

    Raises:
        ValueError: no such memory, a live module, or a module that is not as above.
    """
    sizes = {"input_size": input_size, "output_size": output_size}
    if isinstance(memory, torch.nn.Module | MemoryModel):
        raise ValueError(
            f"memory={type(memory).__name__}(...) is built already, and a saved model "
            "could not build it again; give its class, and memory_kwargs."
        )
    key = jax.random.key(int(torch.randint(2**31 - 1, ())))
    if isinstance(memory, str):
        try:
            built = memory_models.make(memory, key=key, **sizes, **options)
        except KeyError as error:
            raise ValueError(f"memory: {error.args[0]}") from None
    elif callable(memory) and _takes_key(memory):
        target: Any = memory
        name = getattr(target, "__name__", "memory")
        builder = builder_of(target, name, output_size=output_size, **options)
        built = builder(input_size, key=key)
    elif callable(memory):
        try:
            built = memory(**sizes, **options)
        except TypeError as error:
            raise ValueError(
                f"memory={memory!r} is called with input_size=, output_size= and "
                f"memory_kwargs, and refuses: {error}."
            ) from error
    else:
        raise ValueError(
            f"memory={memory!r} must be a name of memory_models.names(), a class of "
            "memory models, or a class of torch modules."
        )
    if isinstance(built, MemoryModel):
        built = TorchMemory(built)
    if not isinstance(built, torch.nn.Module):
        raise ValueError(
            f"memory={memory!r} made a {type(built).__name__}, not a torch.nn.Module."
        )
    _check_float32(built, memory)
    return built


def _takes_key(target: Any) -> bool:
    """Whether a class or function makes memory models rather than torch modules."""
    try:
        return "key" in inspect.signature(target).parameters
    except ValueError:  # some of Python's own tell no signature
        return False


def _check_float32(module: torch.nn.Module, memory: Any) -> None:
    wrong = {str(p.dtype) for p in module.parameters()} - {"torch.float32"}
    if wrong:
        raise ValueError(
            f"memory={memory!r} has parameters in {', '.join(sorted(wrong))}, and "
            "Stable-Baselines3 computes in float32; turn off jax_enable_x64, or convert"
            " the module."
        )


@torch.no_grad()
def _checked_state(module: torch.nn.Module, input_size: int, output_size: int) -> Any:
    """The state after one step, of a module that is found to keep the contract."""
    training = module.training
    module.eval()
    inputs = torch.linspace(-1, 1, 3 * input_size).reshape(1, 3, input_size)
    starts = torch.ones(1, 3, dtype=torch.bool)
    outputs, state = module(inputs, starts, None)
    if tuple(outputs.shape) != (1, 3, output_size):
        raise ValueError(
            f"{type(module).__name__} gave outputs of shape {tuple(outputs.shape)} for "
            f"1 step of 3 streams; they must be {(1, 3, output_size)}: [time, streams, "
            "output_size]."
        )
    poisoned = jax.tree.map(_poisoned, state)
    again = module(inputs, starts, poisoned)[0]
    if not torch.allclose(again, outputs, atol=1e-5):
        raise ValueError(
            f"{type(module).__name__} does not begin anew where starts holds: what was "
            "in its state reaches outputs. Replace the state there, with torch.where "
            "(a product leaves what is not finite)."
        )
    module.train(training)
    return state


def _poisoned(leaf: torch.Tensor) -> torch.Tensor:
    if leaf.is_floating_point() or leaf.is_complex():
        return torch.full_like(leaf, torch.nan)
    return torch.ones_like(leaf)


def _padded(
    inputs: torch.Tensor, starts: torch.Tensor, states: Packed
) -> tuple[torch.Tensor, torch.Tensor, Packed]:
    """Sequences of one of few lengths and numbers, so that JAX compiles few programs.

    Minibatches of sb3-contrib differ in both from one to the next. Streams that are
    added start, so that they compute with a state that is one.
    """
    time, streams, _ = inputs.shape
    later, more = round_up(time) - time, round_up(streams) - streams
    pad = torch.nn.functional.pad
    inputs = pad(inputs, (0, 0, 0, more, 0, later))
    starts = pad(pad(starts, (0, more), value=True), (0, 0, 0, later), value=False)
    first, second = (pad(x, (0, 0, 0, more)) for x in states)
    return inputs, starts, (first, second)


def round_up(count: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, 16, 24, ...: half more at most."""
    power = 1 << (count - 1).bit_length()
    return power * 3 // 4 if power >= 4 and count <= power * 3 // 4 else power
