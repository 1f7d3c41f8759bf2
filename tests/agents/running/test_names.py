"""What runs are called: folders that say what differs, and nothing else."""

import pytest

from agents.convert import ConfigError
from agents.running.configuration.config import build
from agents.running.output.names import (
    LONGEST,
    model_name,
    run_folder,
    tag_of,
    task_name,
)
from agents.running.overrides import check, compose_config, for_hydra


@pytest.mark.parametrize(
    ("words", "task", "model"),
    [
        ([], "tmaze", "ffm-ppo"),
        (["env.length=10"], "tmaze+env.length=10", "ffm-ppo"),
        (["partial.flicker=.5"], "tmaze+partial.flicker=0.5", "ffm-ppo"),
        (["partial.drop=[a,b]"], "tmaze+partial.drop=a-b", "ffm-ppo"),
        (
            ["evaluation.env.length=40", "evaluation.episodes=7"],
            "tmaze+evaluation.env.length=40",
            "ffm-ppo",
        ),
        (
            ["memory=gru", "agent=dqn", "agent.gamma=0.9", "memory.num_layers=2"],
            "tmaze",
            "gru-dqn+agent.gamma=0.9+memory.num_layers=2",
        ),
        (["total_steps=3e6", "seed=4"], "tmaze", "ffm-ppo+total_steps=3e6"),
        (["agent.learning_rate=3e-4"], "tmaze", "ffm-ppo+agent.learning_rate=0.0003"),
        (["agent.num_envs=12345678"], "tmaze", "ffm-ppo+agent.num_envs=12345678"),
        (["device=cpu", "num_seeds=3", "checkpoint.keep=1"], "tmaze", "ffm-ppo"),
        (["memory=min_gru", "env=n_back"], "n_back", "min_gru-ppo"),
        (["env=gymnasium", "env.id=CartPole-v1"], "cart_pole", "ffm-ppo"),
        (
            ["start_from=runs/a b/c"],
            "tmaze",
            "ffm-ppo+start_from=c",
        ),
    ],
)
def test_names_say_what_differs(words, task, model):
    config = compose_config(words)
    assert (task_name(config), model_name(config)) == (task, model)
    assert str(run_folder(config)) == f"runs/{task}/{model}"


@pytest.mark.parametrize("memory", ["ffm", "gru", "memo"])
def test_a_resolved_configuration_is_called_as_it_was_composed(memory):
    composed = compose_config([f"memory={memory}", "env=tmaze_noisy"])
    names = {(task_name(x), model_name(x)) for x in (composed, build(composed).config)}
    assert names == {("tmaze_noisy", f"{memory}-ppo")}


def test_long_names_are_cut_and_stay_apart():
    words = [f"env.args.option_number_{i}=[1,2,3,4]" for i in range(12)]
    own = ["env=custom", "env.target=tests.agents.toy:Toy", *words]
    left, right = (
        task_name(compose_config([*own, f"env.args.z={value}"])) for value in (1, 2)
    )
    assert len(left) == len(right) == LONGEST and left != right
    assert left[:90] == right[:90]


def test_a_name_is_a_word_on_the_command_line():
    config = compose_config(["env.length=10", "partial.drop=[a,b]", "total_steps=3e6"])
    folder = f"{run_folder(config)}/20261130-140000"
    (job,) = check([f"start_from={folder}"])
    assert job["start_from"] == folder
    assert compose_config([f"start_from={folder}"])["start_from"] == folder
    swept = check(["-m", f"start_from={folder},{folder}-2"])
    assert [job["start_from"] for job in swept] == [folder, f"{folder}-2"]
    for_job = for_hydra([f"start_from={folder}"])
    assert for_job == [f"start_from='{folder}'"]
    with pytest.raises(ConfigError, match="is not the folder of a run") as error:
        check([f"resume={folder}"])
    assert str(error.value).startswith(folder)


def test_a_choice_that_is_gone_is_told_by_all_of_its_settings():
    config = compose_config(["env.length=10"])
    gone = {**config, "env": {**config["env"], "id": "Gone-v0"}}
    assert task_name(gone).startswith("gone+env.")
    assert "env.length=10" in task_name(gone)


def test_only_tags_of_one_task_carry_its_name():
    assert tag_of("evaluation/return", "tmaze") == "evaluation/tmaze/return"
    assert tag_of("train/success", "tmaze") == "train/tmaze/success"
    assert tag_of("loss/total", "tmaze") == "loss/total"
