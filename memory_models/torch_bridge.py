"""Any memory model as a `torch.nn.Module`: torch trains it, JAX computes it.

    memory = memory_models.make("ffm", input_size=64, output_size=64, key=key)
    module = TorchMemory(memory)
    outputs, state = module(inputs, starts)            # [time, batch, features]
    loss(outputs).backward()                           # jax.vjp is the backward pass

Every array that crosses is copied, and a copy is complete before anything else
happens. Sharing memory instead would save that copy, but a torch optimizer writes into
its parameters while JAX, which computes in the background, may still be reading them.

This module needs torch, `pip install -c constraints.txt -e ".[torch]"`.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

try:
    import torch
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "memory_models.torch_bridge needs torch; install it with "
        'pip install -c constraints.txt -e ".[torch]".'
    ) from error

from memory_models.base import MemoryModel, State
from memory_models.torch_program import Program, merged, split

_NOT_TRACED = (
    "TorchMemory cannot go through torch.compile(fullgraph=True), because JAX has "
    "compiled it already; leave fullgraph out, and all around it is compiled."
)


class TorchMemory(torch.nn.Module):
    """A memory model under torch's autograd and optimizers.

    Each trainable array of the model is a `torch.nn.Parameter`, named after its place
    in the model (`project_weight`); the arrays of the model given are not changed.
    `model()` gives the model back with the parameters as they are now. A copy
    (`copy.deepcopy`) has parameters of its own; `torch.save` keeps the whole module.

    Computation is where JAX computes; tensors are those of torch's CPU. Parameters in
    float64 are computed in float64. First derivatives only: `torch.func` and
    differentiating a gradient again are refused. `torch.compile` leaves this module as
    it is (JAX has compiled it) and compiles what is around it; with `fullgraph=True` it
    refuses.
    """

    def __init__(self, model: MemoryModel):
        """Copy the model's arrays into parameters.

        Args:
            model: any memory model, of one stream as always; batches are made here.
        """
        super().__init__()
        if not isinstance(model, MemoryModel):
            raise ValueError(
                "TorchMemory wraps a memory model that is built, as memory_models.make "
                f"gives it, not {model!r}."
            )
        self._program = Program(model)
        leaves = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
        for name, leaf in zip(self._program.names, leaves, strict=True):
            self.register_parameter(name, torch.nn.Parameter(to_torch(leaf)))

    def extra_repr(self) -> str:
        """For `print(module)`: the model's class, and its parameters by name."""
        parameters = dict(self.named_parameters())
        shapes = [f"{name}={list(p.shape)}" for name, p in parameters.items()]
        count = sum(p.numel() for p in parameters.values())
        return f"{self._program.kind}, {count:,} parameters: {', '.join(shapes)}"

    def model(self) -> MemoryModel:
        """The memory model with the present parameters."""
        with jax.enable_x64(self._program.double):
            leaves = [to_jax(getattr(self, name)) for name in self._program.names]
            return self._program.assembled(leaves)

    def initial_state(self, batch: int) -> State:
        """States of `batch` streams before their first step, as a pytree of tensors.

        Gradients do not reach a learned initial state through these tensors; they do
        through starts.
        """
        with jax.enable_x64(self._program.double):
            state = self.model().initial_state()
            wide = jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, *x.shape)), state)
            return jax.tree.map(to_torch, wide)

    def forward(
        self,
        inputs: torch.Tensor,
        starts: torch.Tensor | None = None,
        state: State | None = None,
    ) -> tuple[torch.Tensor, State]:
        """Read sequences.

        Args:
            inputs: `[time, batch, features]`, of the dtype of the parameters.
            starts: `[time, batch]`, bool; None means that no episode starts, unless
                `state` is None, when one starts at the first step.
            state: as `initial_state` or an earlier call gave it.

        Returns:
            Outputs `[time, batch, output_size]`, and the state after the last step.

        Raises:
            ValueError: shapes that do not fit.
            RuntimeError: called under `torch.func`.
        """
        return self._run("__call__", inputs, starts, state)

    def step(
        self,
        input: torch.Tensor,
        start: torch.Tensor | None = None,
        state: State | None = None,
    ) -> tuple[torch.Tensor, State]:
        """Read one input `[batch, features]` per stream; `start` is `[batch]`."""
        return self._run("step", input, start, state)

    @torch.compiler.disable(reason=_NOT_TRACED)
    def _run(self, method: str, inputs, starts, state):
        _refuse_functional()
        lead = 2 if method == "__call__" else 1
        if inputs.ndim != lead + 1:
            axes = "[time, batch, features]" if lead == 2 else "[batch, features]"
            raise ValueError(
                f"TorchMemory got inputs of shape {tuple(inputs.shape)}; they must be "
                f"{axes}."
            )
        if starts is None:
            starts = torch.zeros(inputs.shape[:-1], dtype=torch.bool)
            if state is None and lead == 2:
                starts[0] = True
            elif state is None:
                starts[:] = True
        if starts.shape != inputs.shape[:-1] or starts.dtype != torch.bool:
            raise ValueError(
                f"TorchMemory got starts of shape {tuple(starts.shape)} and "
                f"{starts.dtype}; they must be {tuple(inputs.shape[:-1])} and bool."
            )
        if state is None:
            state = self.initial_state(inputs.shape[-2])
        leaves, structure = jax.tree.flatten(state)
        parameters = [getattr(self, name) for name in self._program.names]
        flat = _Bridge.apply(
            self, method, structure, len(leaves), inputs, starts, *leaves, *parameters
        )
        return flat[0], jax.tree.unflatten(structure, flat[1:])


class _Bridge(torch.autograd.Function):
    """One call across: flat tensors in, flat tensors out."""

    @staticmethod
    def forward(ctx, module, method, structure, count, inputs, starts, *rest):
        """Compute in JAX; keep its vector-Jacobian product where it is needed."""
        state, parameters = rest[:count], rest[count:]
        program, ctx.needed = module._program, any(ctx.needs_input_grad)
        ctx.program = program
        floats = tuple(leaf.is_floating_point() for leaf in state)
        ctx.floats = floats
        static = (method, structure, floats)
        with jax.enable_x64(program.double):
            of_state, others = split([to_jax(leaf) for leaf in state], floats)
            floating = ([to_jax(p) for p in parameters], to_jax(inputs), of_state)
            fixed = (to_jax(starts), others)
            if ctx.needed:
                found, ctx.pull, rest = program.forward(static, floating, fixed)
            else:
                found, rest = program.plain(static, floating, fixed)
            outputs, of_state = found
            new_state = [to_torch(leaf) for leaf in merged(floats, of_state, rest)]
            outputs = to_torch(outputs)
        ctx.mark_non_differentiable(
            *(x for x, is_float in zip(new_state, floats, strict=True) if not is_float)
        )
        return outputs, *new_state

    @staticmethod
    def backward(ctx, *cotangents):
        """Pull the cotangents back through JAX, and wait for the result."""
        if torch.is_grad_enabled():
            raise RuntimeError(
                "TorchMemory cannot be differentiated twice: call backward() or "
                "torch.autograd.grad() without create_graph=True."
            )
        program = ctx.program
        with jax.enable_x64(program.double):
            outputs, *state = [to_jax(x) for x in cotangents]
            of_state, _ = split(state, ctx.floats)
            (found,) = program.backward(ctx.pull, (outputs, of_state))
            of_parameters, of_inputs, of_state = jax.tree.map(to_torch, found)
        nothing = [None] * (len(ctx.floats) - len(of_state))
        of_state = merged(ctx.floats, of_state, nothing)
        return None, None, None, None, of_inputs, None, *of_state, *of_parameters


def to_jax(tensor: torch.Tensor) -> jax.Array:
    """A copy that JAX owns, complete when this returns."""
    return jnp.asarray(np.array(tensor.detach().cpu().numpy(), copy=True))


def to_torch(array: jax.Array) -> torch.Tensor:
    """A copy that torch owns; waits until JAX has computed the array."""
    return torch.from_numpy(np.array(array, copy=True))


def _refuse_functional() -> None:
    interpreters = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue]
    if interpreters.peek_interpreter_stack() is not None:
        raise RuntimeError(
            "TorchMemory cannot go through torch.func: call it outside of grad, vjp "
            "and vmap, with a batch axis and backward()."
        )
