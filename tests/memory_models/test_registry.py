"""Registering and building models, and what the errors say."""

import jax
import pytest

import memory_models
from memory_models import _siblings, registry
from memory_models.controls.none import NoMemory

KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def private_registry(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def test_built_in_models_are_there():
    assert {"none", "frame_stack", "gru", "ffm"} <= set(memory_models.names())


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(KeyError, match=r"no memory model 'gruu'. Did you mean 'gru'"):
        memory_models.builder("gruu", output_size=4)


def test_an_unknown_option_gets_the_nearest_one():
    with pytest.raises(ValueError, match=r"no option 'memory_sise'.*'memory_size'"):
        memory_models.builder("ffm", output_size=4, memory_sise=3)


@pytest.mark.parametrize("name", ["Gru", "my-memory", "", "two words"])
def test_malformed_names_are_refused(name):
    with pytest.raises(ValueError, match="snake-case"):
        memory_models.register(name, NoMemory)


def test_a_taken_name_is_refused_but_registering_again_is_not():
    memory_models.register("none", NoMemory)
    with pytest.raises(ValueError, match="'gru' is taken"):
        memory_models.register("gru", NoMemory)


def test_signatures_are_checked_and_leave_no_trace():
    with pytest.raises(ValueError, match="has no 'key'"):
        memory_models.register("keyless", lambda input_size, output_size: None)
    with pytest.raises(ValueError, match="option 'depth' has no default"):
        memory_models.register(
            "deep", lambda input_size, output_size, *, key, depth: None
        )
    assert not {"keyless", "deep"} & set(memory_models.names())


def test_a_model_that_wants_columns_gets_them():
    seen = {}

    def target(input_size, output_size, *, key, columns):
        seen.update(columns)
        return NoMemory(input_size, output_size, key=key)

    memory_models.register("places", target)
    assert [*memory_models.options("places")] == [*registry.COMMON]
    memory_models.make(
        "places", input_size=4, output_size=4, key=KEY, columns={"place": (0, 2)}
    )
    assert seen == {"place": (0, 2)}


def test_a_missing_column_is_named():
    assert memory_models.column({"place": (0, 2)}, "place", needed_by="sat") == (0, 2)
    with pytest.raises(
        ValueError, match=r"'sat' needs the observation key 'place'.*'x'"
    ):
        memory_models.column({"x": (0, 1)}, "place", needed_by="sat")
    with pytest.raises(ValueError, match="no named keys"):
        memory_models.column({}, "place", needed_by="sat")


def test_a_class_of_ones_own_needs_no_registration():
    build = memory_models.builder_of(NoMemory, "mine", output_size=4)
    assert build(3, key=KEY, columns={"x": (0, 3)}).layer.weight.shape == (3, 4)


def test_a_sibling_from_elsewhere_is_named(monkeypatch, tmp_path):
    foreign = tmp_path / "zoo_of_elsewhere"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=str(foreign)):
        _siblings.check("zoo_of_elsewhere")
    _siblings.check("agents", "envs", "a_package_that_is_nowhere")
