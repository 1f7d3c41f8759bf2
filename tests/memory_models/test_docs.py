"""The Python blocks of the documentation run, in order."""

import re
from pathlib import Path

import memory_models
from benchmarks import memory as costs
from benchmarks.common.rows import RESULTS, load
from memory_models import registry

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_adding_a_memory_model(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    code = blocks("adding_a_memory_model.md")
    assert "check_memory" in code[-1]
    namespace = {"__name__": "adding_a_memory_model"}
    for block in code:
        exec(block, namespace)
    assert "leaky_average" in memory_models.names()


def test_the_page_of_all_models_is_as_their_cards_say():
    """Otherwise: python -m benchmarks.memory --publish."""
    assert costs.PAGE.read_text() == costs.page(load(RESULTS / "memory.json"))
