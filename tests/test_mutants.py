"""The table of planted bugs applies, and what runs it tells the outcomes apart."""

import dataclasses
import io
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from tests.mutants import tester, trial
from tests.mutants.__main__ import ROOT, main
from tests.mutants.table import Fault, Mutant, faults, read, read_all

AGE = "def older(age):\n    return age + 1\n"
TEST = "import age\n\n\ndef test_older():\n    assert age.older(1) == 2\n"
LOOSE = "\n\ndef test_loose():\n    assert age.older(1) > 1\n"


def entry(old, new, reason, test="test_older", more=""):
    return (
        f"[[mutant]]\nfile = 'age.py'\nold = '{old}'\nnew = '{new}'\n"
        f"reason = '{reason}'\ntests = ['tests/test_age.py::{test}']\n{more}\n"
    )


def tree(folder: Path, *entries: str, test: str = TEST + LOOSE) -> Path:
    (folder / "tests" / "mutants").mkdir(parents=True)
    (folder / "age.py").write_text(AGE)
    (folder / "tests" / "test_age.py").write_text(test)
    (folder / "tests" / "mutants" / "toy.toml").write_text("".join(entries))
    (folder / "pyproject.toml").write_text(
        "[tool.pytest.ini_options]\npythonpath = ['.']\nmarkers = ['slow']\n"
    )
    return folder


def outcomes(folder: Path, *words: str) -> tuple[int, str]:
    told = io.StringIO()
    console = Console(file=told, width=300)
    status = main(["--root", str(folder), "--workers", "1", *words], console)
    return status, told.getvalue()


def test_every_entry_applies_and_names_tests_that_are_there():
    mutants = read_all(ROOT / "tests" / "mutants")
    assert mutants
    assert faults(mutants, ROOT) == {}
    assert len({str(mutant) for mutant in mutants}) == len(mutants)


def test_outcomes_are_told_apart(tmp_path):
    tree(
        tmp_path,
        entry("age + 1", "age - 1", "younger"),
        entry("age + 1", "age + 2", "not seen", "test_loose"),
        entry("age + 7", "age + 2", "gone"),
        entry("age + 1", "age + 2", "no such test", "test_nothing"),
        entry("def older", "def newer", "renamed"),
        entry("def older", "import nothing\ndef older".replace("\n", ";"), "syntax"),
    )
    status, told = outcomes(tmp_path)
    assert status == 1
    lines = {line.split("age.py: ")[-1]: line.split()[0] for line in told.splitlines()}
    assert lines["younger"] == "killed"
    assert lines["renamed"] == "killed"
    assert lines["not seen"] == "survived"
    assert "1 times" not in told and "occurs 0 times" in told
    assert "there is no test tests/test_age.py::test_nothing" in told
    assert "is no Python" in told
    assert told.splitlines()[-1].startswith(
        "6 planted bugs: 3 fault, 2 killed, 1 survived"
    )


def test_a_broken_import_is_a_fault_unless_announced(tmp_path):
    broken = entry("def older", "NEW", "broken").replace(
        "'NEW'", r'"raise ValueError\ndef older"'
    )
    tree(tmp_path, broken + broken.replace("broken", "announced") + "by = 'import'")
    status, told = outcomes(tmp_path)
    assert status == 1
    assert "2 planted bugs: 1 fault, 1 killed" in told


def test_a_hang_is_ended(tmp_path):
    tree(tmp_path, entry("age + 1", 'age + __import__("time").sleep(99)', "endless"))
    status, told = outcomes(tmp_path, "--limit", "6")
    assert status == 1
    assert "1 planted bugs: 1 timed out" in told


@pytest.mark.parametrize(
    "by, killing", [("failure", [1]), ("import", [1, 2, 4]), ("hang", [1, trial.HANG])]
)
def test_exit_statuses_count_as_the_entry_says(by, killing):
    mutant = Mutant("toy", "age.py", "a", "b", "why", ("t",), by=by)
    for status in (trial.HANG, *range(6)):
        what = trial.outcome_of(mutant, status, "", 0.0).what
        if status in killing:
            assert what == trial.KILLED
        else:
            others = {0: trial.SURVIVED, trial.HANG: trial.HUNG}
            assert what == others.get(status, trial.FAULT)


def test_tests_must_pass_with_nothing_planted(tmp_path):
    wrong = TEST.replace("== 2", "== 3") + LOOSE
    tree(
        tmp_path,
        entry("age + 1", "age - 1", "younger"),
        entry("age + 1", "age - 1", "seen loosely", "test_loose"),
        test=wrong,
    )
    status, told = outcomes(tmp_path)
    assert status == 1
    assert "1 of 2 pass in tests/test_age.py" in told
    assert "with nothing planted: FAILED tests/test_age.py::test_older" in told
    assert "1 fault, 1 killed" in told


def test_slow_tests_run_where_asked_and_the_tree_stays_as_it_is(tmp_path):
    slow = TEST.replace("def test", "import pytest\n@pytest.mark.slow\ndef test")
    tree(
        tmp_path, entry("age + 1", "age - 1", "younger", more="slow = true"), test=slow
    )
    status, told = outcomes(tmp_path)
    assert (status, (tmp_path / "age.py").read_text()) == (0, AGE)
    assert "1 planted bugs: 1 killed" in told


def test_what_is_listed_and_checked_is_not_run(tmp_path):
    tree(
        tmp_path,
        entry("age + 1", "age - 1", "younger"),
        entry("age + 7", "age - 1", "gone"),
    )
    assert outcomes(tmp_path, "--list")[0] == 0
    status, told = outcomes(tmp_path, "--check")
    assert status == 1 and "gone: its old text occurs 0 times" in told
    assert outcomes(tmp_path, "--check", "--only", "younger")[0] == 0
    assert outcomes(tmp_path, "--only", "nothing like it")[0] == 2


def test_a_key_that_means_nothing_is_refused(tmp_path):
    tree(tmp_path, entry("age + 1", "age - 1", "younger", more="because = 'no'"))
    with pytest.raises(Fault, match="because"):
        read(tmp_path / "tests" / "mutants" / "toy.toml")


def test_the_testers_configurations_name_files_and_tests_that_are_there(tmp_path):
    paths = tester.write(tmp_path)
    assert len(paths) == len(tester.FILES)
    for path, (file, tests) in zip(paths, tester.FILES.items(), strict=True):
        config = tomllib.loads(path.read_text())["cosmic-ray"]
        assert config["module-path"] == file
        assert config["test-command"].endswith(" ".join(tests))
        text = (ROOT / file).read_text()
        mutant = Mutant("tester", file, text, f"{text}#", "any", tests)
        for test in tests:
            named = "::" in test
            entry = dataclasses.replace(mutant, tests=(test,))
            assert not (faults([entry], ROOT) if named else not (ROOT / test).is_file())
