"""Policies of sb3-contrib's RecurrentPPO whose recurrent part is any memory."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from sb3_contrib.common.recurrent.policies import (
    RecurrentActorCriticCnnPolicy,
    RecurrentActorCriticPolicy,
    RecurrentMultiInputActorCriticPolicy,
)
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    NatureCNN,
)
from stable_baselines3.common.type_aliases import Schedule

from agents.sb3.core import Memory, MemoryCore
from agents.sb3.packing import Packed

_OURS = {
    "lstm_hidden_size": "output_size",
    "n_lstm_layers": "memory_kwargs={'num_layers': ...}",
    "lstm_kwargs": "memory_kwargs",
    "shared_lstm": "shared_memory",
    "enable_critic_lstm": "critic_memory",
}


class WholeFeatures:
    """Makes the number of features an int, which torch's LSTM insists on.

    Of MultiDiscrete observations Stable-Baselines3 counts them in numpy.
    """

    def make_features_extractor(self) -> BaseFeaturesExtractor:
        """As ever, but for that."""
        extractor = super().make_features_extractor()  # pyright: ignore[reportAttributeAccessIssue]
        extractor._features_dim = int(extractor._features_dim)
        return extractor


class MlpLstmPolicy(WholeFeatures, RecurrentActorCriticPolicy):
    """sb3-contrib's policy for its own LSTM."""


class CnnLstmPolicy(WholeFeatures, RecurrentActorCriticCnnPolicy):
    """The same for pixels."""


class MultiInputLstmPolicy(WholeFeatures, RecurrentMultiInputActorCriticPolicy):
    """The same for Dict observations."""


class MemoryRecurrentPolicy(WholeFeatures, RecurrentActorCriticPolicy):
    """Features, a memory, and Stable-Baselines3's networks for policy and value.

    A drop-in for sb3-contrib's `RecurrentActorCriticPolicy`; everything in
    `policy_kwargs` can be pickled, so models are saved and loaded as ever.
    """

    lstm_actor: MemoryCore  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        *args: Any,
        memory: Memory = "gru",
        memory_kwargs: Mapping[str, Any] | None = None,
        output_size: int = 128,
        shared_memory: bool = False,
        critic_memory: bool = True,
        **kwargs: Any,
    ):
        """Build the networks, and an optimizer for all of their parameters.

        Args:
            observation_space: as of `ActorCriticPolicy` of Stable-Baselines3, as are
                the next ones and all that is not named here.
            action_space: likewise.
            lr_schedule: likewise.
            *args: likewise.
            memory: a name of `memory_models.names()`; a class of memory models; or what
                makes a `torch.nn.Module` of `(inputs, starts, state)` when called with
                `input_size`, `output_size` and the options, see
                `agents.sb3.core.make_memory`.
            memory_kwargs: its options, such as `{"num_layers": 2}`.
            output_size: features that the memory gives at each step.
            shared_memory: whether the critic reads what the actor's memory gives,
                through which its gradient does not flow; `critic_memory` must be off.
            critic_memory: whether the critic has a memory of its own. Without either it
                has none.
            **kwargs: as of `ActorCriticPolicy`.

        Raises:
            ValueError: an option of sb3-contrib's LSTM, or one that the memory refuses.
        """
        for name, ours in _OURS.items():
            if name in kwargs:
                raise ValueError(
                    f"policy_kwargs: {name} is an option of sb3-contrib's own LSTM; of "
                    f"a memory it is {ours}."
                )
        if shared_memory and critic_memory:
            raise ValueError(
                "policy_kwargs: shared_memory=True gives the critic the actor's memory,"
                " and critic_memory=True one of its own; turn one of them off."
            )
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            *args,
            lstm_hidden_size=output_size,
            shared_lstm=shared_memory,
            enable_critic_lstm=critic_memory,
            **kwargs,
        )
        self.memory, self.memory_kwargs = memory, dict(memory_kwargs or {})
        self.lstm_actor = MemoryCore(
            memory, self.memory_kwargs, self.features_dim, output_size
        )
        if critic_memory:
            self.lstm_critic = self.lstm_actor.twin()
        self.lstm_hidden_state_shape = (1, 1, self.lstm_actor.hidden_size)
        # The one that was made above holds parameters of LSTMs that are gone.
        self.optimizer = self.optimizer_class(
            self.parameters(),
            lr=lr_schedule(1),  # pyright: ignore[reportCallIssue]
            **self.optimizer_kwargs,
        )

    @staticmethod
    def _process_sequence(
        features: torch.Tensor,
        lstm_states: Packed,
        episode_starts: torch.Tensor,
        lstm: MemoryCore,  # pyright: ignore[reportIncompatibleMethodOverride]
    ) -> tuple[torch.Tensor, Packed]:
        return lstm(features, lstm_states, episode_starts)

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Choose actions, as `RecurrentActorCriticPolicy.predict` does.

        Without a state every stream starts an episode, whatever `episode_start` says:
        a memory may start from something else than zeros.
        """
        if state is None:
            found = self.obs_to_tensor(observation)[0]
            first = next(iter(found.values())) if isinstance(found, dict) else found
            episode_start = np.ones(first.shape[0], bool)
        return super().predict(observation, state, episode_start, deterministic)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """What `policy.save` keeps to build the policy again."""
        return {
            **super()._get_constructor_parameters(),
            "memory": self.memory,
            "memory_kwargs": self.memory_kwargs,
            "output_size": self.lstm_output_dim,
            "shared_memory": self.shared_lstm,
            "critic_memory": self.enable_critic_lstm,
        }


class CnnMemoryPolicy(MemoryRecurrentPolicy):
    """The policy for pixels: `NatureCNN` finds the features."""

    def __init__(self, *args: Any, **kwargs: Any):
        """See `MemoryRecurrentPolicy`."""
        super().__init__(*args, **{"features_extractor_class": NatureCNN, **kwargs})


class MultiInputMemoryPolicy(MemoryRecurrentPolicy):
    """The policy for Dict observations: `CombinedExtractor` joins the features."""

    def __init__(self, *args: Any, **kwargs: Any):
        """See `MemoryRecurrentPolicy`."""
        extractor = {"features_extractor_class": CombinedExtractor}
        super().__init__(*args, **{**extractor, **kwargs})
