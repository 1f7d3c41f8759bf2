"""Chunks all at once: `S_c = A_c S_{c-1} + B_c`, with its own backward pass.

What an accelerator wants of a scan in chunks (`chunks.py` has what a CPU wants): all
insides first, then the states between the chunks, then all outputs. One product and one
store per chunk remain in the loop, and as many in the loop back; the gradient of A
follows for all chunks at once.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

ROUND = 4
"""Chunks per round of the loop."""

Transitions = Float[Array, "chunk heads keys keys"]
States = Float[Array, "chunk heads keys values"]


@jax.custom_vjp
def chunk_states(
    transitions: Transitions,
    additions: States,
    kept: Bool[Array, " chunk"],
    state: Float[Array, "heads keys values"],
) -> Float[Array, "entering heads keys values"]:
    """The state before the first chunk and after each.

    Args:
        transitions: A.
        additions: B.
        kept: whether the state before a chunk reaches its end. Where it does not, A is
            not read, and neither is that state: 0 * nan is nan.
        state: S before the first chunk.
    """

    def body(state, element):
        transition, addition, keep = element
        state = jnp.where(keep, transition @ state, 0.0) + addition
        return state, state

    elements = transitions, additions, kept
    after = jax.lax.scan(body, state, elements, unroll=ROUND)[1]
    return jnp.concatenate([state[None], after])


def _forward(transitions, additions, kept, state):
    states = chunk_states(transitions, additions, kept, state)
    return states, (transitions, kept, states)


def _backward(residuals, cotangents):
    transitions, kept, states = residuals

    def body(total, element):
        transition, keep, before = element
        of_state = jnp.where(keep, transition.swapaxes(-1, -2) @ total, 0.0)
        return before + of_state, total

    of_state, totals = jax.lax.scan(
        body,
        cotangents[-1],
        (transitions, kept, cotangents[:-1]),
        reverse=True,
        unroll=ROUND,
    )
    of_transitions = totals @ states[:-1].swapaxes(-1, -2)
    keep = kept[:, None, None, None]
    return jnp.where(keep, of_transitions, 0.0), totals, None, of_state


chunk_states.defvjp(_forward, _backward)
