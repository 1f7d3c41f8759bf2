"""A task that observes a place and a cue suits the configurations that ship."""

from pathlib import Path

import equinox as eqx
import gymnasium
import jax
import pytest
import yaml

import memory_models
from agents.networks.distributions import PolicySpec
from agents.networks.encoder import Encoder

FOLDER = Path(__file__).resolve().parents[3] / "configs" / "memory"
TASK = gymnasium.spaces.Dict(
    {"place": gymnasium.spaces.Discrete(5), "cue": gymnasium.spaces.Discrete(3)}
)


@pytest.mark.parametrize("name", ["dual_coding", "spatial_transformer"])
def test_default_configurations_find_their_columns(name):
    given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    raw_keys = tuple(given.pop("raw_keys"))
    given.pop("reconstruction_weight", None)  # the agent's
    policy = PolicySpec(gymnasium.spaces.Discrete(2))
    key = jax.random.key(0)
    encoder = Encoder(TASK, policy, size=8, raw_keys=raw_keys, key=key)
    build = memory_models.builder(given.pop("name"), **given)
    memory = eqx.filter_eval_shape(
        lambda: build(encoder.size, key=key, columns=encoder.columns)
    )
    if name == "spatial_transformer":
        assert memory.slice == encoder.columns["raw/place"]
        assert memory.places.shape[0] == 5
    else:
        assert memory.slices == (encoder.columns["place"], encoder.columns["cue"])
