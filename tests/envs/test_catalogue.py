"""docs/tasks.md and the pages of families say what the registry says."""

import pytest

import envs
from envs import catalogue


def test_the_pages_are_as_the_registry_says():
    """Otherwise: python -m envs.catalogue."""
    pages = catalogue.pages()
    assert {path: path.read_text() for path in pages} == pages
    assert set(catalogue.FAMILIES.glob("*.md")) == set(pages) - {catalogue.PAGE}


def test_every_task_is_on_one():
    page = "".join(path.read_text() for path in catalogue.pages())
    assert all(page.count(f"| `{id}` |") == 1 for id in envs.names())
    for family in envs.FAMILIES:
        picture = catalogue.PICTURES / f"{catalogue.title(family)}.png"
        drawn = any(target.render is not None for target in catalogue.classes(family))
        assert picture.exists() == drawn


@pytest.mark.parametrize(
    "value, text",
    [
        (envs.exact(1.0), "1.000 ="),
        (envs.computed(-0.0001), "0.000 ~"),
        (envs.simulated(0.25, 100, 0.0312), "0.250 ± 0.031"),
        (envs.unknown("hard"), "?"),
    ],
)
def test_returns_say_how_they_are_known(value, text):
    assert catalogue.told(value) == text


def test_spaces_in_a_few_words():
    def words(id):
        return catalogue.describe(envs.make(id).observation_space)

    assert words("TMaze-v0") == "Box[2] float32"
    assert words("TMazePlaces-v0") == "`cue`: Discrete(3), `place`: Discrete(23)"
    assert words("ConcentrationHard-v0") == "MultiDiscrete[52] of 14 values"
    assert words("AutoencodeEasy-v0") == "MultiDiscrete[2] of 2 to 4 values"
