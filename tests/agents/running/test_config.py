"""Every mistake on the command line is one sentence; none is a traceback."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import agents
import envs
import memory_models
from agents.convert import ConfigError, convert
from agents.running.configuration.config import CONFIG_DIRECTORY, build, build_env
from agents.running.evaluator import Evaluator
from agents.running.overrides import check, compose_config, for_hydra, group_options
from tests.agents.algorithms.test_ratio_one import MECHANISMS
from tests.agents.networks.test_networks import PlaceMemory

JOINED = "distributed.coordinator=a:1"
WRONG = {
    "env=memory_length31": "there is no env 'memory_length31'. Did you mean 'memory_",
    "env=memory_chain env.bits=0": "at least 1 and at most 1,000,000, not 0.",
    "env=tmze": "there is no env 'tmze'. Did you mean 'tmaze'?",
    "memory=gru2": "there is no memory 'gru2'. Did you mean 'gru'?",
    "agent=pp": "there is no agent 'pp'. Did you mean 'ppo'?",
    "experiment=smok": "there is no experiment 'smok'. Did you mean 'smoke'?",
    "memry=gru": "there is no setting 'memry' here. Did you mean 'memory'?",
    "agent.lerning_rate=1": "Did you mean 'agent.learning_rate'?",
    "env.lenght=3": "Did you mean 'env.length'?",
    "totalsteps=3": "Did you mean 'total_steps'?",
    "evaluation.episode=3": "Did you mean 'evaluation.episodes'?",
    "seed": "'seed' is not a setting: write name=value",
    "seed=[1": "cannot be read",
    "+foo=1": "all settings exist already",
    "~env": "all settings exist already",
    "memory.args.size=3": "needs memory=custom",
    "agent.gamma=high": "agent.gamma='high' must be a number.",
    "agent.num_envs=1.5": "agent.num_envs=1.5 must be a whole number.",
    "agent.num_envs=0": "agent.num_envs must be at least 1, not 0.",
    "agent.memory_learning_rate=-1": "must be at least 0, not -1",
    "agent.separate_memories=3": "agent.separate_memories=3 must be true or false.",
    "agent.normalize_observation=1": "normalize_observation=1 must be true or false.",
    "agent.normalise_reward=true": "Did you mean 'agent.normalize_reward'?",
    "agent.staggered_starts=yes": "staggered_starts='yes' must be true or false.",
    "env=custom env.target=tests.agents.toy:Toy agent.critic_sees_hidden=true": (
        "agent.critic_sees_hidden=true needs a task that tells its hidden variables"
    ),
    "agent.squash=tan": "is not one of 'clip', 'tanh'. Did you mean 'tanh'?",
    "agent.num_minibatches=3": "does not divide the 64 sequences",
    "agent.sequence_length=50": "does not divide agent.rollout_length=128",
    "total_steps=0": "total_steps=0 must be at least 1.",
    "total_steps=lots": "total_steps='lots' must be a whole number.",
    "num_seeds=0": "num_seeds=0 must be at least 1.",
    "seed=-1": "seed=-1 must be at least 0.",
    "device=tpuu": "is not one of 'auto', 'cpu', 'gpu', 'tpu'. Did you mean 'tpu'?",
    "num_devices=0": "num_devices=0 must be at least 1.",
    "num_devices=many": "num_devices='many' must be a whole number.",
    "distributed.process_id=1": "needs distributed.coordinator as well; set all of",
    f"{JOINED} distributed.process_id=0": "needs distributed.num_pro",
    "distributed.coordinator=a distributed.num_processes=1 distributed.process_id=0": (
        "distributed.coordinator='a' must be the first process's host:port"
    ),
    f"{JOINED} distributed.num_processes=2 distributed.process_id=2": (
        "distributed.process_id=2 must be in 0 to 1, since distributed.num_processes=2."
    ),
    f"{JOINED} distributed.num_processes=0 distributed.process_id=0": (
        "distributed.num_processes=0 must be at least 1."
    ),
    "distributed.coordinater=a:1": "Did you mean 'distributed.coordinator'?",
    "env.length=0": "length",
    "env.id=TMaze-v9": "env.id belongs to the choice of env; write env=<choice>.",
    "memory.name=none": "memory.name belongs to the choice of memory",
    "evaluation=null": "evaluation holds settings; set one of them",
    "env=custom env.target=envs.mazes:TMaze env.args=3": "env.args holds settings",
    "memory.raw_keys={a:1}": "the value is of another kind than this setting.",
    "memory.raw_keys=null": "must be a list, such as [a,b].",
    "memory.raw_keys=[observation,observation]": "two inputs are named",
    "seed=${nope}": "'nope'",
    "env@foo=tmaze": "write group=choice without '@'",
    "memory=none,gru": "are several runs; add -m to make a sweep.",
    "memory=custom memory.target=math:pi": "which is not a class or function.",
    "memory=custom memory.target=os:getcwd": "its signature has no 'input_size'",
    "memory=custom memory.target=memory_models:make": "has no default",
    "memory=custom memory.target=:x": "cannot be imported",
    "evaluation.interval=0": "evaluation.interval=0 must be at least 1.",
    "evaluation.step_limit=-1": "evaluation.step_limit=-1 must be at least 1.",
    "seed=4294967295 num_seeds=2": "the last seed, 4294967296, must be below 2**32.",
    "run_directory=": "run_directory is empty",
    "agent.gamma=1.5": "agent.gamma must be in 0 to 1, not 1.5.",
    "agent.clip_ratio=0": "agent.clip_ratio must be above 0, not 0.0.",
    "agent.sequence_length=0": "agent.sequence_length must be at least 1, not 0.",
    "env=probe_flip env.kinds=null": "env.kinds=None must be a list",
    "evaluation.episodes=0": "evaluation.episodes=0 must be at least 1.",
    "evaluation.env.lenght=3": "changes nothing. Did you mean 'env.length'?",
    "evaluation.env.id=Tmaze-v0": "env.id belongs to the choice of env",
    "evaluation.env.length=abc": "evaluation.env.length='abc' must be a whole number",
    "evaluation.env.length=0": "evaluation.env: TMaze needs a corridor with",
    "env=memory_cards_easy evaluation.env.pairs=9": "changes the observation_space",
    "evaluation.env=3": "evaluation.env holds settings; set one of them",
    "evaluation.exploration=0.3": "must be 0.0 (greedy) or null",
    "memory.output_size=0": "memory.output_size=0 must be at least 1.",
    "memory.raw_keys=[image]": "raw_keys names 'image', but this task observes",
    "compilation_cache=3": "compilation_cache=3 must be text.",
    "env=custom": "env.target=None must look like",
    "env=custom env.target=no_such:Thing": "cannot be imported",
    "env=custom env.target=envs:Card": "is not a subclass of envs.Environment",
    "env=custom env.target=envs.mazes:TMaz": "has no 'TMaz'. Did you mean 'TMaze'?",
    "env=custom env.target=envs.mazes.tmaze:TMaze env.args.size=3": (
        "there is no setting env.args.size."
    ),
}


@pytest.mark.parametrize("line", WRONG)
def test_one_sentence(line):
    with pytest.raises(ConfigError) as caught:
        for config in check(line.split()):
            build(config)
    message = str(caught.value)
    assert WRONG[line] in message
    assert "\n" not in message and message.endswith((".", "?"))


def test_custom_classes_take_their_arguments():
    words = ["env=custom", "env.target=envs.mazes.tmaze:TMaze", "env.args.length=7"]
    plan = build(check(words)[0])
    assert plan.env.length == 7 and plan.env_name == "tmaze"
    assert for_hydra(words) == [*words[:2], "++env.args.length=7"]


def test_numbers_accept_exponents():
    plan = build(compose_config(["total_steps=3e6", "agent.learning_rate=3e-4"]))
    assert plan.config["total_steps"] == 3_000_000
    assert plan.agent.learning_rate == 3e-4


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("1e3", int, 1000),
        (2.0, int, 2),
        (None, int | None, None),
        ("5", int | None, 5),
        ([1, 2], tuple[int, ...], (1, 2)),
        ("ab", tuple[str, ...], ("ab",)),
    ],
)
def test_convert(value, annotation, expected):
    assert convert(value, annotation, "name") == expected


def test_sweeps_are_checked_job_by_job():
    jobs = check(["-m", "memory=none,gru", "seed=range(0,3)"])
    assert [job["memory"]["name"] for job in jobs] == ["none"] * 3 + ["gru"] * 3
    assert [job["seed"] for job in jobs] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(ConfigError, match="there is no memory 'grru'"):
        check(["-m", "memory=none,grru"])


def test_a_memory_that_needs_a_missing_key():
    config = compose_config(["memory=custom"])
    config["memory"]["target"] = f"{PlaceMemory.__module__}:PlaceMemory"
    with pytest.raises(ConfigError, match="needs the observation key 'place'"):
        build(config)


def test_every_task_is_a_choice():
    """Those without a file, too: the numbered settings of one task."""
    options = group_options("env")
    assert len(options) == len(set(options))
    assert {envs.config_name(id) for id in envs.names()} <= set(options)
    config = compose_config(["env=memory_size30"])
    assert config["env"] == {"id": "MemorySize30-v0", "length": 2, "bits": 30}
    assert build_env(config["env"]) == envs.make("MemorySize30-v0")
    longer = compose_config(["env=memory_length30", "env.length=31"])["env"]
    assert build_env(longer) == envs.make("MemoryLength30-v0", length=31)


def test_every_agent_has_a_config_with_its_settings():
    assert group_options("agent") == sorted([*agents.names(), "custom"])
    for name in agents.names():
        text = (CONFIG_DIRECTORY / "agent" / f"{name}.yaml").read_text()
        memory = "none" if name in ("sb3_ppo", "sb3_dqn") else "ffm"
        plan = build(compose_config([f"agent={name}", f"memory={memory}"]))
        shared = ("env", "memory", "raw_keys", "total_updates", "axis_name")
        fields = {f.name for f in dataclasses.fields(plan.agent)} - set(shared)
        keys = set(plan.config["agent"]) - {"name"}
        assert keys == fields
        for key in keys:  # every key is documented on the line above it
            lines = text.splitlines()
            at = next(i for i, x in enumerate(lines) if x.startswith(f"{key}:"))
            assert lines[at - 1].startswith("#")
        defaults = type(plan.agent).__dataclass_fields__
        for key in keys:
            assert getattr(plan.agent, key) == defaults[key].default, key


NEED_A_PLACE = {
    "dual_coding": "needs the observation key 'place'",
    "spatial_transformer": "raw_keys names 'place'",
}


def test_every_memory_is_a_choice():
    assert set(memory_models.names()) <= set(group_options("memory"))


# One model per mechanism, and those whose building is special.
BUILT = (*MECHANISMS, *NEED_A_PLACE, "griffin", "xlstm", "hcam")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in BUILT else pytest.mark.slow)
        for name in memory_models.names()
    ],
)
def test_every_memory_config_builds(name):
    config = compose_config([f"memory={name}"])
    if name in NEED_A_PLACE:
        with pytest.raises(ConfigError, match=NEED_A_PLACE[name]):
            build(config)
    else:
        build(config)


@pytest.mark.parametrize("name", group_options("experiment"))
def test_every_experiment_builds(name):
    build(compose_config([f"experiment={name}"]))


def test_arcade_explores_as_its_code_does():
    """Over four tenths of the run, from 1 to 0.05, all streams alike."""
    agent = build(compose_config(["experiment=arcade"])).agent
    index = jnp.arange(agent.num_envs, dtype=jnp.int32)
    shares = (0.0, 0.2, 0.4, 1.0)
    updates = [jnp.asarray(round(x * agent.total_updates), jnp.int32) for x in shares]
    epsilon = [agent.exploration(index, count) for count in updates]
    for found, expected in zip(epsilon, (1.0, 0.525, 0.05, 0.05), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)
    with pytest.raises(ConfigError, match=r"no setting agent\.num_epochs"):
        build(compose_config(["experiment=arcade", "agent=dqn"]))


def run_train(*arguments):
    return subprocess.run(
        [sys.executable, "train.py", *arguments],
        capture_output=True,
        text=True,
        cwd=CONFIG_DIRECTORY.parent,
        check=False,
    )


def test_the_command_line_itself():
    wrong = run_train("env=[tmaze]")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr
    assert wrong.stderr.strip().count("\n") == 0
    assert wrong.stderr == "error: env=[tmaze] must be the name of one choice.\n"
    help = run_train("--help")
    assert help.returncode == 0
    assert "env: " in help.stdout and "tmaze" in help.stdout
    assert "num_minibatches: 8" in help.stdout


LATE = {
    "memory=none -m seed=0,1 run_directory=/proc/x": "/proc/x cannot be written",
    "device=gpu": "device=gpu, but JAX finds none here",
    "-m device=cpu,gpu": "choose one device",
    "-m num_devices=1,3 device=cpu": "num_devices=3 does not split agent.num_envs",
}
"""What is wrong with a command line, and seen as late as a run begins."""


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=() if "/proc" in line else pytest.mark.slow)
        for line in LATE
    ],
)
def test_what_is_seen_late_is_one_sentence_too(line):
    refused = run_train(*line.split(), "experiment=smoke")
    assert refused.returncode == 2
    assert "Traceback" not in refused.stderr and LATE[line] in refused.stderr
    jobs = 2 if "seed=0,1" in line else 1  # one that fails does not end a sweep
    assert refused.stderr.count("error: ") == refused.stderr.count("\n") == jobs
    assert not (CONFIG_DIRECTORY.parent / "multirun.yaml").exists()


def test_evaluations_may_play_other_settings_of_the_task():
    (config,) = check(["evaluation.env.length=30", "env.length=9", "partial.noise=0.1"])
    plan = build(config)
    tasks = (plan.env.env, plan.evaluation_env.env)  # pyright: ignore
    assert tasks == (envs.make("TMaze-v0", length=9), envs.make("TMaze-v0", length=30))
    assert plan.agent.env is plan.env
    assert build(check([])[0]).evaluation_env.card.horizon == (20, 20)
    words = ["env=custom", "env.target=envs.mazes:TMaze", "env.args.length=3"]
    plan = build(check([*words, "evaluation.env.args.active=true"])[0])
    assert plan.evaluation_env == envs.make("TMaze-v0", length=3, active=True)


def test_the_agent_is_told_the_length_of_its_run_in_updates():
    """Which is when an annealed learning rate is 0, and not before."""
    plan = build(check(["total_steps=10000", "agent.num_envs=16"])[0])
    assert plan.num_updates * plan.agent.steps_per_update == 10_240
    assert plan.agent.total_updates == plan.num_updates == 5
    parameter = jnp.ones(1)
    state, optimizer = plan.agent.optimizer.init(parameter), plan.agent.optimizer
    steps = plan.num_updates * plan.agent.num_epochs * plan.agent.num_minibatches
    sizes = []
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(steps + 1):
            change, state = optimizer.update(parameter, state, parameter)
            sizes.append(float(jnp.abs(change[0])))
    assert min(sizes[:-1]) > 0 and sizes[-1] == 0


@pytest.mark.parametrize(
    "line",
    [
        # The critic's encoder is made for the hidden variables of the task trained on.
        "env=labyrinth_escape_easy evaluation.env.size=8 agent.critic_sees_hidden=true",
        # And whether the previous action is an input hangs on its card.
        "env=concentration_easy_pixels evaluation.env.partial_obs=false",
    ],
)
def test_the_network_is_that_of_the_task_trained_on(line):
    plan = build(check(line.split())[0])
    keys = jax.random.split(jax.random.key(0), 1)
    evaluator = Evaluator(plan, keys)

    def play(until):
        params = jax.vmap(plan.agent.init)(keys).params
        playing = evaluator._start((params, evaluator.keys))
        return evaluator._play((params, evaluator.keys, playing), until)

    until = jax.ShapeDtypeStruct((), jnp.int32)
    episodes = plan.config["evaluation"]["episodes"]
    assert jax.eval_shape(play, until).episodes.episode_return.shape == (1, episodes)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        *((True, int), (True, float), ("yes", bool), (1, bool)),
        *((2.5, int), ("2.5", int), (None, int), (None, float)),
        *((float("nan"), float), ("inf", float), (1, str)),
    ],
)
def test_convert_refuses(value, annotation):
    with pytest.raises(ConfigError, match=r"^name=.* must be "):
        convert(value, annotation, "name")
