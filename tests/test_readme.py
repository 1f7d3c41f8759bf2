"""The README says what is so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]


def test_ci_runs_the_test_command():
    commands = re.findall(
        r"^    (python3 -m venv .+)$", (ROOT / "README.md").read_text(), re.M
    )
    train, test = commands
    assert train.endswith("pip install -c constraints.txt -e . && python train.py")
    script = (ROOT / ".ci" / "run").read_text()
    for part in test.split(" && "):
        assert part in script


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["README.md", "docs/agents.md", "docs/runs.md"])
def test_python_examples_run(page):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    assert blocks
    for block in blocks:
        exec(block, {})


def test_the_map_lists_what_there_is():
    text = (ROOT / "README.md").read_text()
    for package in ("agents", "envs", "memory_models", "benchmarks", "docs", "tests"):
        assert f"`{package}/`" in text
    for module in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()
