"""sb3-contrib's RecurrentPPO with any memory in place of its LSTM."""

from collections.abc import Callable
from typing import Any, ClassVar

from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv

from agents.sb3.policies import (
    CnnMemoryPolicy,
    MemoryRecurrentPolicy,
    MultiInputMemoryPolicy,
)

STATE_LIMIT = 2 * 10**9
"""Bytes of memory states that a rollout may store, unless told otherwise."""


class MemoryRecurrentPPO(RecurrentPPO):
    """RecurrentPPO whose policy has a memory of `memory_models`, or any torch module.

        env = JaxVecEnv("RepeatPreviousEasy-v0", num_envs=16)
        model = MemoryRecurrentPPO(
            "MlpMemoryPolicy",
            env,
            policy_kwargs={"memory": "ffm", "memory_kwargs": {"memory_size": 32}},
        )

    Policies are `MlpMemoryPolicy`, `CnnMemoryPolicy` and `MultiInputMemoryPolicy`, see
    `agents.sb3.policies.MemoryRecurrentPolicy` for their `policy_kwargs`. All else is
    sb3-contrib's: learning, callbacks, saving, `evaluate_policy`.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "MlpMemoryPolicy": MemoryRecurrentPolicy,
        "CnnMemoryPolicy": CnnMemoryPolicy,
        "MultiInputMemoryPolicy": MultiInputMemoryPolicy,
    }

    def __init__(
        self,
        policy: str | type[RecurrentActorCriticPolicy],
        env: GymEnv | str,
        *args: Any,
        device: Any = "cpu",
        state_limit: int = STATE_LIMIT,
        **kwargs: Any,
    ):
        """Build the model.

        Args:
            policy: a name above, or a subclass of `MemoryRecurrentPolicy`.
            env: as of `sb3_contrib.RecurrentPPO`, as is all that is not named here.
            *args: likewise.
            device: of torch; `auto` is `cpu` too. Memories of `memory_models` need
                that: JAX computes them where it runs, and their numbers cross by way of
                the host.
            state_limit: most bytes of memory states that a rollout may store. Four
                arrays are kept, hidden and cell state of actor and critic, of every
                step and stream.
            **kwargs: as of `sb3_contrib.RecurrentPPO`.

        Raises:
            ValueError: the states need more, a policy that has no memory, or a device
                that the memory cannot use.
        """
        self.state_limit = state_limit
        device = "cpu" if device == "auto" else device  # what `load` asks for
        super().__init__(policy, env, *args, device=device, **kwargs)

    def _setup_model(self) -> None:
        """As ever, but sizes are known as soon as the policy is, before the buffer."""
        policy_class: Callable[..., Any] = self.policy_class

        def checked(*args: Any, **kwargs: Any) -> Any:
            policy = policy_class(*args, **kwargs)
            self._check(policy)
            return policy

        self.policy_class = checked  # pyright: ignore[reportAttributeAccessIssue]
        try:
            super()._setup_model()
        finally:
            self.policy_class = policy_class  # pyright: ignore[reportAttributeAccessIssue]

    def _check(self, policy: Any) -> None:
        if not isinstance(policy, MemoryRecurrentPolicy):
            raise ValueError(
                f"MemoryRecurrentPPO got {type(policy).__name__}; its policies are "
                f"{', '.join(self.policy_aliases)} and their subclasses."
            )
        core = policy.lstm_actor
        if core.crosses and self.device.type != "cpu":
            raise ValueError(
                f"device={self.device}, but memory={policy.memory!r} is computed by JAX"
                " and its numbers cross on the host; use device='cpu'. JAX uses its "
                "own devices as ever."
            )
        needed = state_bytes(self.n_steps, self.n_envs, core.hidden_size)
        if needed > self.state_limit:
            raise ValueError(
                f"a rollout of n_steps={self.n_steps} x {self.n_envs} environments "
                f"would store {needed:,} bytes of states of memory={policy.memory!r} "
                f"({2 * core.hidden_size:,} numbers each), more than state_limit="
                f"{self.state_limit:,}; lower n_steps, the environments or what sizes "
                "the memory, or raise state_limit."
            )


def state_bytes(n_steps: int, n_envs: int, hidden_size: int) -> int:
    """Bytes that a rollout buffer of sb3-contrib keeps of memory states.

    Args:
        n_steps: of a rollout.
        n_envs: streams.
        hidden_size: numbers of each of hidden and cell state, for actor and critic.
    """
    return 4 * n_steps * n_envs * hidden_size * 4
