"""PPO of Stable-Baselines3 and recurrent PPO of sb3-contrib, as agents of a run."""

import dataclasses
import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from agents.footprint import Part
from agents.sb3.baseline import Baseline
from agents.sb3.memories import NamedMemory, OwnLSTM
from memory_models.base import MemoryModel, state_bytes


@dataclasses.dataclass(frozen=True)
class SB3PPO(Baseline):
    """PPO of Stable-Baselines3, without a memory; settings are named as PPO's here.

    Attributes:
        num_epochs: passes over a rollout.
        num_minibatches: per pass.
        gae_lambda: of generalised advantage estimation.
        clip_ratio: bound on the change of the probability ratio.
        entropy_coefficient: weight of the entropy bonus.
        value_coefficient: weight of the value loss, half the mean squared error.
        adam_epsilon: Adam's epsilon.
        normalize_advantage: whether each minibatch's advantages are standardised.
    """

    num_epochs: int = 4
    num_minibatches: int = 8
    gae_lambda: float = 0.95
    clip_ratio: float = 0.1
    entropy_coefficient: float = 0.01
    value_coefficient: float = 0.5
    adam_epsilon: float = 3e-5
    normalize_advantage: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_minibatches < 1 or self.steps_per_update % self.num_minibatches:
            raise ValueError(
                f"agent.num_minibatches={self.num_minibatches} must divide "
                f"num_envs * rollout_length = {self.steps_per_update}."
            )
        if self.steps_per_update < 2 * self.num_minibatches:
            raise ValueError(
                "a minibatch of one step has no advantages to standardise; lower "
                f"agent.num_minibatches={self.num_minibatches}."
            )

    def describe(self) -> str:
        """How an update is made, in half a line."""
        return (
            f"{self.num_envs} environments x {self.rollout_length} steps, "
            f"{self.num_epochs} epochs x {self.num_minibatches} minibatches, by "
            "Stable-Baselines3"
        )

    @property
    def optimizer_steps(self) -> int:
        """Steps of the optimiser that one update takes."""
        return self.num_epochs * self.num_minibatches

    def settings(self) -> dict[str, Any]:
        """The settings in the words of Stable-Baselines3."""
        return {
            "learning_rate": self.schedule(),
            "n_steps": self.rollout_length,
            "batch_size": self.steps_per_update // self.num_minibatches,
            "n_epochs": self.num_epochs,
            "gamma": self.gamma,
            "gae_lambda": self.gae_lambda,
            "clip_range": self.clip_ratio,
            "normalize_advantage": self.normalize_advantage,
            "ent_coef": self.entropy_coefficient,
            # Its value loss is the mean squared error, ours is half of that.
            "vf_coef": self.value_coefficient / 2,
            "max_grad_norm": self.max_gradient_norm,
            "device": "cpu",
        }

    def policy_kwargs(self) -> dict[str, Any]:
        """Networks and optimiser, in the words of Stable-Baselines3."""
        return {
            "net_arch": list(self.layers),
            "optimizer_kwargs": {"eps": self.adam_epsilon},
        }

    def model(self, env: Any, seed: int, *, buffers: bool = True) -> Any:
        """`stable_baselines3.PPO`."""
        from stable_baselines3 import PPO

        given = self.settings()
        given |= {} if buffers else {"n_steps": 2, "batch_size": 2}
        kwargs = self.policy_kwargs()
        return PPO(self.policy_name(), env, seed=seed, policy_kwargs=kwargs, **given)

    def learned(self, model: Any) -> dict[str, float]:
        """Losses over all minibatches of the update, and what its rollout was worth."""
        logged = {tag: float(x) for tag, x in model.logger.name_to_value.items()}
        policy, value = logged["train/policy_gradient_loss"], logged["train/value_loss"]
        entropy = -logged["train/entropy_loss"]
        weighted = self.value_coefficient / 2 * value
        return {
            "loss/total": policy + weighted - self.entropy_coefficient * entropy,
            "loss/policy": policy,
            "loss/value": value / 2,
            "policy/entropy": entropy,
            "policy/kl": logged["train/approx_kl"],
            "policy/clip_fraction": logged["train/clip_fraction"],
            "value/explained_variance": logged["train/explained_variance"],
            "value/mean": float(model.rollout_buffer.values.mean()),
        }

    def stored(self, observation: int, memories: list[Any]) -> dict[str, Part]:
        """The rollout, and of every step the states of the memories."""
        many = ("agent.num_envs", "agent.rollout_length")
        steps = self.steps_per_update
        parts = {"rollout": Part(steps * (observation + 28), "training", many)}
        if memories:
            states = 2 * steps * state_bytes(memories[0])
            lower = (*many, "memory.output_size")
            parts["memory states"] = Part(states, "training", lower)
        return parts


@dataclasses.dataclass(frozen=True)
class SB3RecurrentPPO(SB3PPO):
    """RecurrentPPO of sb3-contrib, with its own LSTM or with any memory of ours.

    Attributes:
        own_lstm: whether `memory=lstm` is sb3-contrib's own LSTM; None says yes. Other
            memories, and that one where it is false, are ours, through the bridge.
    """

    own_lstm: bool | None = None

    def memories(self, features: int, key: Any) -> list[MemoryModel]:
        """The actor's and the critic's."""
        return [self.memory(features, key=key) for _ in range(2)]

    def model(self, env: Any, seed: int, *, buffers: bool = True) -> Any:
        """`sb3_contrib.RecurrentPPO`, or `agents.sb3.MemoryRecurrentPPO`."""
        from sb3_contrib import RecurrentPPO

        from agents.sb3 import policies
        from agents.sb3.recurrent_ppo import MemoryRecurrentPPO

        given = self.settings()
        given |= {} if buffers else {"n_steps": 2, "batch_size": 2}
        kwargs, memory = self.policy_kwargs(), self.memory
        if isinstance(memory, OwnLSTM):
            kwargs |= {
                "lstm_hidden_size": memory.hidden_size,
                "n_lstm_layers": memory.num_layers,
            }
            policy = getattr(policies, self.policy_name("Lstm"))
            return RecurrentPPO(policy, env, seed=seed, policy_kwargs=kwargs, **given)
        if isinstance(memory, NamedMemory):
            kwargs |= memory.policy_kwargs()
        else:
            kwargs |= {
                "memory": functools.partial(_built, memory),
                "output_size": _output_size(memory),
            }
        name = self.policy_name("Memory")
        return MemoryRecurrentPPO(name, env, seed=seed, policy_kwargs=kwargs, **given)


def _built(builder: Any, input_size: int, output_size: int) -> MemoryModel:
    """What a builder builds, with weights drawn from torch's global seed."""
    import torch

    key = jax.random.key(int(torch.randint(2**31 - 1, ())))
    return builder(input_size, key=key)


def _output_size(builder: Any) -> int:
    """Features that the memories of a builder give."""
    model = eqx.filter_eval_shape(
        lambda key: builder(1, key=key), jax.eval_shape(jax.random.key, 0)
    )
    outputs = eqx.filter_eval_shape(
        lambda model, x, start: model.step(model.initial_state(), x, start)[1],
        model,
        jax.ShapeDtypeStruct((1,), jnp.float32),
        jax.ShapeDtypeStruct((), bool),
    )
    return outputs.shape[-1]
