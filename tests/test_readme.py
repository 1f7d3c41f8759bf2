"""The README says what is so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")),
    ROOT / "benchmarks" / "README.md",
    *(ROOT / "benchmarks" / "pages").glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_ci_runs_the_test_command():
    commands = re.findall(
        r"^    (python3 -m venv .+)$", (ROOT / "README.md").read_text(), re.M
    )
    train, test = commands
    assert train.endswith("pip install -c constraints.txt -e . && python train.py")
    script = (ROOT / ".ci" / "run").read_text()
    for part in test.split(" && "):
        assert part in script


def links(page):
    """Targets of a page's links that stay in the repository: file, and place in it."""
    targets = LINK.findall(page.read_text())
    return [x.partition("#")[::2] for x in targets if not x.startswith("http")]


def places(page):
    """What a page's headings are called in links: words, joined by hyphens."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return [re.sub(r"[^\w\- ]", "", x).lower().replace(" ", "-") for x in headings]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for name, place in links(page):
        target = page.parent / name if name else page
        assert target.exists(), (name, place)
        assert not place or place in places(target), (name, place)


def test_links_are_found():
    """As many as there are pages: README and docs lead to one another."""
    found = {
        (page.parent / name).resolve() for page in PAGES for name, _ in links(page)
    }
    docs = {page for page in PAGES if page.parent != ROOT}
    assert docs - {ROOT / "benchmarks" / "README.md"} <= found, sorted(docs - found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_are_short(page):
    """CHANGELOG apart: it is looked up, not read."""
    name = str(page.relative_to(ROOT))
    if name != "CHANGELOG.md":
        assert len(page.read_text().splitlines()) <= 250


@pytest.mark.parametrize(
    "page",
    [
        *("docs/README.md", "docs/agents.md", "docs/runs.md", "docs/saved_runs.md"),
        *("docs/adding_an_agent.md", "docs/sb3.md"),
    ],
)
def test_python_examples_run(page):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)
    assert blocks
    namespace: dict = {"__name__": "page"}
    for block in blocks:
        exec(block, namespace)


def test_the_map_lists_what_there_is():
    text = (ROOT / "README.md").read_text()
    for package in ("agents", "envs", "memory_models", "benchmarks", "docs", "tests"):
        assert f"`{package}/`" in text
    for module in re.findall(r"python -m (benchmarks\.\w+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists()
