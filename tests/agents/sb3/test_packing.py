"""A memory's state as two tensors of float32: nothing is lost, whatever it holds."""

import numpy as np
import pytest
import torch

from agents.sb3.packing import StatePacking

BATCH = 3


def state_of(batch=BATCH, seed=0):
    """Every kind of number, of several shapes, large and not finite ones too."""
    generator = np.random.default_rng(seed)
    normal = generator.normal(size=(batch, 2, 3)).astype(np.float32)
    normal[0, 0, 0] = np.nan
    counts = generator.integers(2**24, 2**31, (batch, 5))
    words = generator.integers(0, 2**32, (batch, 2))
    return {
        "floats": torch.tensor(normal),
        "counts": torch.tensor(counts, dtype=torch.int32),
        "key": torch.tensor(words, dtype=torch.uint32),
        "flags": (torch.tensor(generator.integers(0, 2, (batch, 4))) == 1,),
        "small": torch.tensor(generator.integers(-128, 128, batch), dtype=torch.int8),
        "long": torch.tensor(generator.integers(-(2**60), 2**60, (batch, 1))),
        "double": torch.tensor(generator.normal(size=(batch, 2))),
        "waves": torch.complex(torch.tensor(normal), 2 * torch.tensor(normal)),
        "nothing": torch.zeros(batch, 0, 7),
    }


def test_packed_and_unpacked_is_the_same_bits():
    state = state_of()
    packing = StatePacking(state_of(1, seed=1))
    first, second = packing.pack(state, BATCH)
    assert first.dtype == second.dtype == torch.float32
    found = packing.unpack((first.clone(), second.clone()))
    assert sorted(found) == sorted(state)
    for name, value in state.items():
        (back,) = found[name] if name == "flags" else (found[name],)
        (value,) = value if name == "flags" else (value,)
        assert back.dtype == value.dtype
        assert back.shape == value.shape
        assert back.numpy().tobytes() == value.numpy().tobytes(), name


def test_both_tensors_are_used_and_sized_as_counted():
    """Six floats, five counts, a key of two, four flags, one small number, a long and
    two doubles of two each, six complex numbers of two: 36 in all, 18 in each."""
    packing = StatePacking(state_of())
    assert packing.size == 18
    first, second = packing.pack(state_of(), BATCH)
    assert first.shape == second.shape == (1, BATCH, 18)
    odd = StatePacking(torch.zeros(1, 5))
    assert odd.size == 3
    first, second = odd.pack(torch.arange(1.0, 6.0).expand(2, 5), 2)
    assert first[0, 1].tolist() == [1, 2, 3]
    assert second[0, 1].tolist() == [4, 5, 0]


def test_a_state_of_nothing_has_a_batch():
    packing = StatePacking(())
    assert [x.shape for x in packing.pack((), 4)] == [(1, 4, 1)] * 2
    assert packing.unpack(packing.pack((), 4)) == ()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_gradients_do_not_reach_stored_states(dtype):
    packing = StatePacking(torch.zeros(1, 4, dtype=dtype))
    given = torch.ones(2, 4, dtype=dtype, requires_grad=True)
    first, second = packing.pack(given, 2)
    assert not first.requires_grad
    assert not second.requires_grad


def test_other_states_are_refused():
    packing = StatePacking(torch.zeros(1, 4))
    for other in (torch.zeros(2, 5), torch.zeros(2, 4, dtype=torch.int32), ()):
        with pytest.raises(ValueError, match="must keep its structure"):
            packing.pack(other, 2)
    for wrong in (3.0, torch.zeros(())):
        with pytest.raises(ValueError, match=r"pytree of tensors \[batch"):
            StatePacking((torch.zeros(1, 2), wrong))
