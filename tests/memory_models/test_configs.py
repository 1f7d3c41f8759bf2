"""configs/memory/ and the registry agree, and every key is explained."""

from pathlib import Path

import pytest
import yaml

import memory_models
from memory_models.registry import COMMON

RAW_KEYS = {"spatial_transformer": ["place"]}
"""Of the models that read an observation key as it is."""

RECONSTRUCTION = {"hcam": 0.1, "dual_coding": 0.1}
"""Weights of the auxiliary loss of the papers that have it."""

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "memory"


def test_every_model_has_a_file_and_every_file_a_model():
    files = {path.stem for path in FOLDER.glob("*.yaml")}
    assert files == {*memory_models.names(), "custom"}


@pytest.mark.parametrize("name", memory_models.names())
def test_keys_and_defaults_are_those_of_the_model(name):
    config = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    options = {
        option: parameter.default
        for option, parameter in memory_models.options(name).items()
    }
    raw_keys = RAW_KEYS.get(name, [])
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    assert config.pop("reconstruction_weight", 0) == RECONSTRUCTION.get(name, 0)
    assert config == {"name": name, "output_size": 128, "raw_keys": raw_keys, **options}


def test_custom_has_a_target_and_arguments():
    config = yaml.safe_load((FOLDER / "custom.yaml").read_text())
    common = {name: option.default for name, option in COMMON.items()}
    assert config == {
        "name": None,
        "target": None,
        "output_size": 128,
        "args": {},
        "raw_keys": [],
        **common,
    }


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_key_has_a_comment_above_it(path):
    lines = path.read_text().splitlines()
    assert all(line.startswith("# ") for line in lines[::2])
    assert all(line[0].isalpha() for line in lines[1::2])
