"""The Python blocks of the documentation run, in order."""

import re
from pathlib import Path

import equinox as eqx
import jax
import pytest

import memory_models
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


@pytest.mark.parametrize("name", memory_models.names())
def test_the_table_lists_every_model(name):
    build = memory_models.builder(name, output_size=8)
    model = eqx.filter_eval_shape(build, 4, key=jax.random.key(0))
    row = rf"\| `{name}` \| {model.card.mechanism} \|"
    assert re.search(row, (DOCS / "memory_models.md").read_text())
