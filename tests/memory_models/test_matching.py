"""Equal budgets: every model meets them or says how near it comes."""

import jax
import jax.numpy as jnp
import pytest

import memory_models
from benchmarks.memory import COLUMNS
from memory_models.matching import BUDGETS, MEASURES, TOLERANCE, fitted_option

KEY = jax.random.key(0)
WIDTH = 96


def sized(name, budget):
    build = memory_models.builder(name, output_size=128, match=budget)
    return build(WIDTH, key=KEY, columns=COLUMNS)


REFUSE = {
    "state": {
        # Nothing to size.
        *("none", "position"),
        # The last 3 of 96 features are 288 floats; the last 2 are 192.
        "frame_stack",
        # These are larger whatever the option is that sizes them.
        *("griffin", "hybrid", "samba", "xlstm"),
        *("hcam", "memformer", "rate", "rmt", "transformer_fam"),
    },
    "parameters": set(),
}
"""The models that cannot be so sized."""
FAST = ("none", "frame_stack", "gru", "ffm", "linear_attention", "dual_coding", "hcam")
NAMES = [
    name if name in FAST else pytest.param(name, marks=pytest.mark.slow)
    for name in memory_models.names()
]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", NAMES)
def test_within_a_tenth_or_refused(name, budget):
    if name in REFUSE[budget]:
        has = "it has 0" if name in ("none", "position") else r"have is [\d,]+, with "
        message = f"memory '{name}' cannot be sized to.*{has}"
        with pytest.raises(ValueError, match=message):
            sized(name, budget)
    else:
        size = MEASURES[budget](sized(name, budget))
        assert abs(size - BUDGETS[budget]) <= TOLERANCE * BUDGETS[budget]


def test_an_unknown_budget_is_named():
    with pytest.raises(ValueError, match=r"memory\.match='bytes': choose 'state'"):
        sized("gru", "bytes")


def test_the_option_of_the_budget_is_set_and_no_other():
    model = sized("lru", "state")
    assert model.layer.through.shape[-1] == 128
    assert len(model.log_rate) == 128 and len(sized("ffm", "state").log_rate) == 32


@pytest.mark.parametrize("window, width, floats", [(3, 28, 232), (5, 20, 256)])
def test_a_size_may_be_refused_for_being_too_large(window, width, floats):
    """No chunk may be longer than the window: the largest fits, and no other does."""
    small = {"num_chunks": 1, "top_k": 1, "num_heads": 1, "head_size": 2}
    build = memory_models.builder(
        "hcam", output_size=width, match="state", window=window, **small
    )
    model = build(WIDTH, key=KEY)
    assert model.chunk_size == window and MEASURES["state"](model) == floats


def test_counters_are_no_floats():
    model = memory_models.make("hcam", input_size=8, output_size=8, key=KEY)
    leaves = jax.tree.leaves(model.initial_state())
    floats = sum(x.size for x in leaves if x.dtype == jnp.float32)
    assert MEASURES["state"](model) == floats < sum(x.size for x in leaves)


def test_sizes_are_the_nearest_multiples_of_the_unit():
    def build(option, size):
        if size % unit:
            raise ValueError(f"heads of {unit} each")
        return memory_models.make("gru", input_size=3, key=KEY, **{option: size})

    # Of 250 and 275, which is tried after it, the nearer one.
    for unit, nearest in ((8, BUDGETS["state"]), (25, 250)):
        given = ("output_size", unit)
        found = fitted_option("m", "state", build, given, "output_size", unit)
        assert found == ("output_size", nearest)
