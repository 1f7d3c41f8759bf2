"""Words of the command line in any order, sweeps, and runs that are named wrongly."""

import pytest

from agents.convert import ConfigError
from agents.running.configuration.words import split
from agents.running.overrides import check, for_hydra


def test_flags_may_stand_anywhere():
    line = ["memory=gru", "-m", "seed=0,1", "hydra.verbose=true", "env.args.x=1"]
    words = split(line)
    assert words.sweeps and words.settings == ["memory=gru", "seed=0,1", "env.args.x=1"]
    assert for_hydra(line, "/tmp/x") == [
        *("-m", "hydra.sweep.dir=/tmp/x", "hydra.verbose=true"),
        *("memory=gru", "seed=0,1", "++env.args.x=1"),
    ]
    assert for_hydra(["seed=1"], "/tmp/x") == ["seed=1"]
    jobs = check(["memory=gru,none", "--multirun", "seed=3"])
    assert [job["memory"]["name"] for job in jobs] == ["gru", "none"]


@pytest.mark.parametrize(
    "line", [["--cfg", "job"], ["--cfg=job"], ["-c", "job"], ["--info", "plugins"]]
)
def test_flags_that_show_settings_keep_their_values(line):
    flags = for_hydra([*line, "seed=3"])
    assert flags[-1] == "seed=3" and "".join(flags[:-1]).endswith(line[-1][-3:])
    assert check([*line, "seed=3"])[0]["seed"] == 3


def test_glob_means_choices_that_need_nothing_else():
    (word,) = for_hydra(["memory=glob(g*)", "-m"], "/tmp/x")[2:]
    names = word.removeprefix("memory=").split(",")
    assert "gru" in names and all(name.startswith("g") for name in names)
    ids = [job["env"]["id"] for job in check(["-m", "env=glob(tmaze*)"])]
    assert ids[0] == "TMaze-v0" and all(id.startswith("TMaze") for id in ids)
    with pytest.raises(ConfigError, match="matches no choice"):
        check(["-m", "memory=glob(custom)"])


def test_parts_of_a_run_lead_to_the_run(tmp_path):
    run = tmp_path / "tmaze" / "ffm-ppo" / "1"
    (run / "seed_0").mkdir(parents=True)
    (run / "config.yaml").write_text("seed: 0\n")
    for part in (run / "seed_0", run / "checkpoints" / "3", run / "config.yaml"):
        with pytest.raises(ConfigError, match=f"Did you mean '{run}', which"):
            check([f"resume={part}"])
