"""RecurrentPPO with a memory in it: the same losses as with sb3-contrib's LSTM, and all
that Stable-Baselines3 does with a model."""

import numpy as np
import pytest
import torch
from sb3_contrib import RecurrentPPO
from sb3_contrib.common.recurrent.policies import RecurrentActorCriticPolicy
from stable_baselines3.common.callbacks import CheckpointCallback, EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.utils import set_random_seed

from agents.sb3 import JaxVecEnv, MemoryRecurrentPPO
from agents.sb3.memories import OwnLSTM
from agents.sb3.on_policy import SB3RecurrentPPO
from agents.sb3.recurrent_ppo import state_bytes
from memory_models.torch_bridge import TorchMemory, to_jax
from tests.agents.sb3.modules import TorchGRU
from tests.agents.toy import Toy
from tests.memory_models.recurrences.test_lstm import transplant

STREAMS, STEPS, SIZE = 4, 16, 8
SMALL = {"n_steps": STEPS, "batch_size": STREAMS * STEPS, "n_epochs": 1, "seed": 0}


def model_of(memory="gru", env=None, policy="MlpMemoryPolicy", **kwargs):
    given = {"memory": memory, "output_size": SIZE, **kwargs.pop("policy_kwargs", {})}
    env = env or JaxVecEnv(Toy(), STREAMS, seed=0)
    return MemoryRecurrentPPO(policy, env, policy_kwargs=given, **{**SMALL, **kwargs})


# The same losses ------------------------------------------------------------------


def give_weights(own, ours):
    """Our memories and networks the weights of sb3-contrib's."""
    theirs = {k: v for k, v in own.state_dict().items() if not k.startswith("lstm")}
    missing, unexpected = ours.load_state_dict(theirs, strict=False)
    assert not unexpected
    assert all(name.startswith("lstm_") for name in missing)
    for name in ("lstm_actor", "lstm_critic"):
        lstm, core = getattr(own, name), getattr(ours, name)
        if lstm is None:
            continue
        weights = {k: to_jax(v) for k, v in lstm.named_parameters()}
        model = transplant(core.module.model(), weights)
        core.module.load_state_dict(TorchMemory(model).state_dict())


CRITICS = {
    "own": ({"enable_critic_lstm": True}, {}),
    "shared": (
        {"enable_critic_lstm": False, "shared_lstm": True},
        {"critic_memory": False, "shared_memory": True},
    ),
    "none": ({"enable_critic_lstm": False}, {"critic_memory": False}),
}


@pytest.mark.parametrize("critic", CRITICS)
def test_first_update_is_that_of_the_lstm_of_sb3_contrib(critic):
    """On a task with ends of every kind, from a rollout that each collects itself."""
    theirs, mine = CRITICS[critic]
    # Torch has two biases and so counts their gradient twice in the norm it clips by.
    settings = {**SMALL, "max_grad_norm": 1e9, "ent_coef": 0.1, "device": "cpu"}
    settings["normalize_advantage"] = False  # or the policy's loss is 0 at ratio one
    own = RecurrentPPO(
        "MlpLstmPolicy",
        JaxVecEnv(Toy(), STREAMS, seed=0),
        policy_kwargs={"lstm_hidden_size": SIZE, **theirs},
        **settings,
    )
    ours = model_of("lstm", policy_kwargs=mine, **settings)
    give_weights(own.policy, ours.policy)
    for model in (own, ours):
        set_random_seed(3)
        model.learn(STREAMS * STEPS)
    assert own.rollout_buffer.episode_starts.sum() > STREAMS
    for name in (
        "observations",
        "actions",
        "rewards",
        "values",
        "log_probs",
        "returns",
    ):
        found, expected = (getattr(m.rollout_buffer, name) for m in (ours, own))
        np.testing.assert_allclose(found, expected, atol=1e-4)
    for name in ("policy_gradient_loss", "value_loss", "entropy_loss", "loss"):
        found, expected = (m.logger.name_to_value[f"train/{name}"] for m in (ours, own))
        assert found == pytest.approx(expected, abs=1e-4), name
        assert expected != 0
    pairs = [
        (dict(ours.policy.named_parameters())[name].grad, p.grad)
        for name, p in own.policy.named_parameters()
        if not name.startswith("lstm")
    ]
    actor, lstm = ours.policy.lstm_actor.module, own.policy.lstm_actor
    pairs.append((actor.project_weight.grad, lstm.weight_ih_l0.grad.T))
    pairs.append((actor.project_bias.grad, lstm.bias_ih_l0.grad))
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


# States ---------------------------------------------------------------------------


def test_optimizer_has_every_parameter_once_and_no_other():
    policy = model_of().policy
    held = [id(p) for group in policy.optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in policy.parameters())
    assert any(name.startswith("lstm_critic.") for name, _ in policy.named_parameters())
    before = policy.lstm_actor.module.project_weight.detach().clone()
    policy.lstm_actor.module.project_weight.grad = torch.ones_like(before)
    policy.optimizer.step()
    assert not torch.equal(policy.lstm_actor.module.project_weight, before)


def test_states_of_a_rollout_are_counted_first_and_refused():
    model = model_of("ffm")
    buffer, size = model.rollout_buffer, model.policy.lstm_actor.hidden_size
    stored = (
        *(buffer.hidden_states_pi, buffer.cell_states_pi),
        *(buffer.hidden_states_vf, buffer.cell_states_vf),
    )
    needed = sum(x.nbytes for x in stored)
    assert needed == state_bytes(STEPS, STREAMS, size)
    model_of("ffm", state_limit=needed)
    with pytest.raises(
        ValueError, match=f"would store {needed:,} bytes.*lower n_steps"
    ):
        model_of("ffm", state_limit=needed - 1)
    with pytest.raises(ValueError, match="more than state_limit=2,000,000,000"):
        model_of("ffm", n_steps=10**9, batch_size=10)  # nothing is allocated


def test_predict_begins_with_the_memorys_own_start():
    """A learned start state is not zeros, whatever `episode_start` says."""
    options = {"memory_kwargs": {"learned_initial_state": True}}
    model = model_of("gru", policy_kwargs=options)
    core, env = model.policy.lstm_actor, JaxVecEnv(Toy(), STREAMS, seed=5)
    with torch.no_grad():
        core.module.initial.fill_(0.8)
        model.policy.action_net.weight.mul_(100)
    observation = env.reset()
    for given in (None, np.zeros(STREAMS, bool)):
        actions, state = model.predict(observation, None, given, deterministic=True)
        entering = core.module.initial_state(STREAMS)
        features = torch.tensor(observation)
        no_start = torch.zeros(STREAMS, dtype=torch.bool)
        with torch.no_grad():
            output, after = core.module.step(features, no_start, entering)
            latent = model.policy.mlp_extractor.forward_actor(output)
            chosen = model.policy.action_net(latent).argmax(1)
        np.testing.assert_array_equal(actions, chosen)
        for one, other in zip(state, core.packing.pack(after, STREAMS), strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-6)
    single, _ = model.predict(observation[0], deterministic=True)
    assert single == actions[0]
    # Later, the state given is what enters.
    later = model.predict(observation, state, np.zeros(STREAMS), deterministic=True)[1]
    assert not np.allclose(later[0], state[0])


@pytest.mark.parametrize("checks", [True, False])
def test_predict_heals_at_a_start(monkeypatch, checks):
    """Whether torch checks the arguments of distributions or not: imports change it."""
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", checks)
    model = model_of("gru")
    observation = JaxVecEnv(Toy(), STREAMS, seed=5).reset()
    _, clean = model.predict(observation)
    dead = tuple(np.full_like(x, np.nan) for x in clean)
    _, healed = model.predict(observation, dead, np.ones(STREAMS, bool))
    np.testing.assert_allclose(healed[0], clean[0], atol=1e-6)
    error = "invalid values" if checks else "contains either `inf`, `nan`"
    with pytest.raises((ValueError, RuntimeError), match=error):
        model.predict(observation, dead, np.zeros(STREAMS, bool))


# What Stable-Baselines3 does with a model ------------------------------------------


@pytest.mark.parametrize("memory", ["ffm", TorchGRU])
def test_saved_and_loaded_acts_the_same_and_learns_on(tmp_path, memory):
    """On Dict observations; `policy.save` keeps its memory too."""
    task = Toy(observations="dict")
    env = JaxVecEnv(task, STREAMS, seed=0)
    model = model_of(memory, env, "MultiInputMemoryPolicy")
    model.learn(2 * STREAMS * STEPS)
    model.save(tmp_path / "model")
    model.policy.save(tmp_path / "policy")
    loaded = MemoryRecurrentPPO.load(tmp_path / "model", env=env)
    policy = type(model.policy).load(tmp_path / "policy")
    assert loaded.state_limit == model.state_limit

    def actions(predict):
        playing, state, start = JaxVecEnv(task, STREAMS, seed=9), None, None
        observation, taken = playing.reset(), []
        for _ in range(12):
            action, state = predict(observation, state, start, deterministic=True)
            taken.append(np.concatenate([action, state[0].ravel(), state[1].ravel()]))
            observation, _, start, _ = playing.step(action)
        return np.stack(taken)

    expected = actions(model.predict)
    np.testing.assert_array_equal(actions(loaded.predict), expected)
    np.testing.assert_array_equal(actions(policy.predict), expected)
    loaded.learn(STREAMS * STEPS, reset_num_timesteps=False)
    assert loaded.num_timesteps == 3 * STREAMS * STEPS


def test_callbacks_and_evaluation_work(tmp_path):
    env = JaxVecEnv("ProbeCopyBit-v0", STREAMS, seed=0)
    model = model_of("gru", env)
    evaluation = EvalCallback(
        JaxVecEnv("ProbeCopyBit-v0", 2), n_eval_episodes=4, eval_freq=STEPS, verbose=0
    )
    saving = CheckpointCallback(STEPS, str(tmp_path), "model")
    model.learn(2 * STREAMS * STEPS, callback=[evaluation, saving])
    assert -1 <= evaluation.last_mean_reward <= 1
    assert len(list(tmp_path.glob("model_*.zip"))) == 2
    mean, _ = evaluate_policy(model, env, 8)
    assert -1 <= mean <= 1


def test_a_pixel_policy_learns():
    env = JaxVecEnv("AutoencodeEasyPixels-v0", 2, seed=0)
    model = model_of("gru", env, "CnnMemoryPolicy", n_steps=4, batch_size=8)
    model.learn(8)


def test_choices_are_counted_in_whole_numbers():
    """Torch's LSTM refuses the numpy integers that MultiDiscrete observations give."""
    task = Toy(observations="multi")
    model = model_of("gru", JaxVecEnv(task, STREAMS, seed=0))
    assert model.policy.lstm_actor.input_size == 3 + 4
    model.learn(STREAMS * STEPS)
    agent = SB3RecurrentPPO(
        env=task, memory=OwnLSTM(SIZE), num_envs=4, rollout_length=4, num_minibatches=1
    )
    own = agent.model(agent.vec_env(task, 4, 0), 0)
    assert type(own) is RecurrentPPO
    own.learn(16)


def test_torch_stays_on_the_cpu_beside_a_gpu(monkeypatch):
    """`load` asks for `auto`, with Stable-Baselines3 the GPU where there is one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert model_of(device="auto").device.type == "cpu"


def test_wrong_settings_are_told():
    with pytest.raises(ValueError, match=r"is an option of .* it is output_size"):
        model_of(policy_kwargs={"lstm_hidden_size": 4})
    with pytest.raises(ValueError, match="turn one of them off"):
        model_of(policy_kwargs={"shared_memory": True})
    with pytest.raises(ValueError, match="use device='cpu'"):
        model_of(device="meta")
    with pytest.raises(ValueError, match="got RecurrentActorCriticPolicy"):
        MemoryRecurrentPPO(RecurrentActorCriticPolicy, JaxVecEnv(Toy(), 2), **SMALL)


# Learning -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["gru", "ffm"])
def test_repeat_previous_is_learned(memory):
    """Of -0.5 by chance and 1.0 by any memory, more than 0.9 within 500,000 steps."""
    env = JaxVecEnv("RepeatPreviousEasy-v0", 32, seed=0)
    model = MemoryRecurrentPPO(
        "MlpMemoryPolicy",
        env,
        n_steps=128,
        batch_size=512,
        n_epochs=4,
        learning_rate=1e-3,
        gamma=0.9,
        ent_coef=0.01,
        seed=0,
        policy_kwargs={"memory": memory, "output_size": 128},
    )
    model.learn(500_000)
    mean, _ = evaluate_policy(
        model, JaxVecEnv("RepeatPreviousEasy-v0", 64, seed=1), 256
    )
    assert mean > 0.9
