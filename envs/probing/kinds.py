"""The kinds of probe: what each shows, pays and is worth."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from envs.base import Return, exact, float_dtype


class ProbeState(NamedTuple):
    """The state of any kind of probe.

    Attributes:
        kind: position in `Probe.kinds`.
        time: steps taken.
        bit: what is to be read, remembered or guessed, 0 or 1.
        previous: the last action, for the kinds with discrete actions.
    """

    kind: Int[Array, ""]
    time: Int[Array, ""]
    bit: Int[Array, ""]
    previous: Int[Array, ""]


class Kind(NamedTuple):
    """One kind of probe.

    Attributes:
        observe: (state, lag) -> the three numbers observed.
        reward: (state before the step, action, lag) -> reward.
        oracle: (state) -> action.
        length: (lag) -> steps of an episode.
        returns: floor, memoryless, recall, oracle.
        truncates: whether the end is a time limit.
        continuous: whether the action is one number in [-1, 1].
        allowed: (state) -> the actions allowed now; None for a kind without a mask.
    """

    observe: Callable[[ProbeState, int], list[Array]]
    reward: Callable[[ProbeState, Array, int], Array]
    oracle: Callable[[ProbeState], Array]
    length: Callable[[int], int]
    returns: tuple[Return, Return, Return, Return]
    truncates: bool = False
    continuous: bool = False
    allowed: Callable[[ProbeState], Bool[Array, "2"]] | None = None


def number(x: Array) -> Float[Array, ""]:
    """Convert to the dtype of rewards."""
    return x.astype(float_dtype())


def _sign(bit: Array) -> Float[Array, ""]:
    return 2 * number(bit) - 1


def _zero(state: ProbeState) -> Float[Array, ""]:
    return number(jnp.zeros_like(state.time))


def _blank(state: ProbeState, lag: int) -> list[Array]:
    del lag
    return [_zero(state)] * 3


def _match(state: ProbeState, action: Array) -> Float[Array, ""]:
    return jnp.where(action == state.bit, 1.0, -1.0)


def _known(*values: float | int) -> tuple[Return, Return, Return, Return]:
    floor, memoryless, recall, oracle = (exact(float(value)) for value in values)
    return floor, memoryless, recall, oracle


def _only(state: ProbeState) -> Int[Array, ""]:
    """The one action that the mask allows: it alternates, from a first one drawn."""
    return (state.bit + state.time) % 2


_ACTION_MASK_RETURNS = (
    exact(0.0, "uniform over the allowed actions; over both it returns -2.5"),
    exact(0.0),
    exact(0.0),
    exact(0.0),
)

_PREVIOUS_ACTION_RETURNS = (
    exact(0.5),
    exact(
        1.0,
        "the previous action is an input; without it the best stationary policy "
        "(start flag seen) returns 0.503",
    ),
    exact(1.0),
    exact(1.0),
)

KINDS: dict[str, Kind] = {
    # The value of a constant.
    "constant_reward": Kind(
        observe=_blank,
        reward=lambda state, action, lag: _zero(state) + 1,
        oracle=lambda state: jnp.zeros_like(state.bit),
        length=lambda lag: 1,
        returns=_known(1, 1, 1, 1),
    ),
    # A value that depends on the observation.
    "observation_value": Kind(
        observe=lambda state, lag: [_sign(state.bit), _zero(state), _zero(state)],
        reward=lambda state, action, lag: _sign(state.bit),
        oracle=lambda state: jnp.zeros_like(state.bit),
        length=lambda lag: 1,
        returns=_known(0, 0, 0, 0),
    ),
    # A reward one step away: the first value is gamma.
    "discounting": Kind(
        observe=lambda state, lag: [_zero(state), _zero(state), number(state.time)],
        reward=lambda state, action, lag: number(state.time == 1),
        oracle=lambda state: jnp.zeros_like(state.bit),
        length=lambda lag: 2,
        returns=_known(1, 1, 1, 1),
    ),
    # A policy that prefers action 1.
    "action_reward": Kind(
        observe=_blank,
        reward=lambda state, action, lag: jnp.where(action == 1, 1.0, -1.0),
        oracle=lambda state: jnp.ones_like(state.bit),
        length=lambda lag: 1,
        returns=_known(0, 1, 1, 1),
    ),
    # A cue at time 0, to be answered `lag` observations later, when told to.
    "copy_bit": Kind(
        observe=lambda state, lag: [
            jnp.where(state.time == 0, _sign(state.bit), 0.0),
            number(state.time == lag),
            _zero(state),
        ],
        reward=lambda state, action, lag: jnp.where(
            state.time == lag, _match(state, action), 0.0
        ),
        oracle=lambda state: state.bit,
        length=lambda lag: lag + 1,
        returns=_known(0, 0, 1, 1),
    ),
    # The first action is a guess; what follows reveals the answer, and the next
    # episode's is the opposite. Above chance means memory leaks across the reset.
    "flip": Kind(
        observe=lambda state, lag: [
            jnp.where(state.time == 1, _sign(state.bit), 0.0),
            _zero(state),
            _zero(state),
        ],
        reward=lambda state, action, lag: jnp.where(
            state.time == 0, _match(state, action), 0.0
        ),
        oracle=lambda state: state.bit,
        length=lambda lag: 2,
        returns=_known(0, 0, 0, 1),
    ),
    # A continuing task cut off after five steps: the value is 1 / (1 - gamma)
    # everywhere if, and only if, the cut is bootstrapped.
    "truncation": Kind(
        observe=_blank,
        reward=lambda state, action, lag: _zero(state) + 1,
        oracle=lambda state: jnp.zeros_like(state.bit),
        length=lambda lag: 5,
        returns=_known(5, 5, 5, 5),
        truncates=True,
    ),
    # Alternate: nothing to see but the previous action, as an input of the agent.
    "previous_action": Kind(
        observe=_blank,
        reward=lambda state, action, lag: jnp.where(
            (state.time > 0) & (action != state.previous), 1 / 7, 0.0
        ),
        oracle=lambda state: 1 - state.previous,
        length=lambda lag: 8,
        returns=_PREVIOUS_ACTION_RETURNS,
    ),
    # One action is forbidden, the other one at the next step, and which at the first is
    # drawn: nothing to see but the mask, and any mask but that of the moment costs 1.
    "action_mask": Kind(
        observe=_blank,
        reward=lambda state, action, lag: -number(action != _only(state)),
        oracle=_only,
        length=lambda lag: 5,
        returns=_ACTION_MASK_RETURNS,
        allowed=lambda state: jnp.arange(2, dtype=jnp.int32) == _only(state),
    ),
    # A continuous action with its optimum at 0.5.
    "continuous_action": Kind(
        observe=_blank,
        reward=lambda state, action, lag: -number(jnp.square(action[0] - 0.5)),
        oracle=lambda state: jnp.full((1,), 0.5, jnp.float32),
        length=lambda lag: 1,
        returns=_known(-7 / 12, 0, 0, 0),
        continuous=True,
    ),
}
