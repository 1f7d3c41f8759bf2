"""The place memory against lists of items, for every eviction."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from memory_models.checking.probe import make_probe
from memory_models.checking.properties import PROPERTIES
from tests.memory_models.episodic import loops

SLOTS, HEADS, SIZE, PLACES = 6, 2, 8, 3


def make(eviction="fifo"):
    model = loops.make(
        "spatial_transformer",
        columns={"raw/place": (0, PLACES)},
        eviction=eviction,
        num_slots=SLOTS,
        slot_size=SIZE,
        num_heads=HEADS,
        top_places=2,
    )
    return loops.perturbed(model)


def item_of(model, x, place, step):
    """An input with the embeddings of where and when."""
    period = np.round(np.geomspace(4, 10_000, SIZE // 2))
    angle = 2 * np.pi * (step % period) / period
    when = np.concatenate([np.sin(angle), np.cos(angle)]) / SIZE**0.5
    return loops.linear(model.encode, x) + loops.double(model.places)[place] + when


def without_one(eviction, items, visits):
    """A full list, oldest first, after its eviction."""
    seen = [visits[place] for place, _ in items]
    victim = {
        "fifo": 0,
        "lifo": len(items) - 1,
        "most_visited": seen.index(max(seen)),
        "least_visited": seen.index(min(seen)),
    }[eviction]
    return items[:victim] + items[victim + 1 :]


def read(model, items, q):
    """Both stages, place by place and head by head."""
    query = loops.linear(model.summary_query, q) / SIZE
    buckets = {p: [e for place, e in items if place == p] for p in range(PLACES)}
    scores = {
        p: np.mean([query @ loops.linear(model.summary_key, e) for e in bucket])
        for p, bucket in buckets.items()
        if bucket
    }
    chosen = sorted(scores, key=lambda p: -scores[p])[: model.top_places]
    result = np.zeros(SIZE)
    if chosen:
        weights = loops.softmax([scores[p] for p in chosen])
        heads = loops.linear(model.query, q).reshape(HEADS, -1)
        for p, weight in zip(chosen, weights, strict=True):
            both = loops.linear(model.key_value, np.array(buckets[p]))
            keys, values = np.split(both, 2, axis=1)
            found = []
            for head in range(HEADS):
                part = slice(head * SIZE // HEADS, (head + 1) * SIZE // HEADS)
                logits = keys[:, part] @ heads[head] / (SIZE // HEADS) ** 0.5
                found.append(loops.softmax(logits) @ values[:, part])
            result = result + weight * np.concatenate(found)
    return loops.linear(model.mix, result)


def reference(model, inputs, starts):
    items, visits, step, outputs = [], [0] * PLACES, 0, []
    for x, start in zip(inputs, starts, strict=True):
        if start:
            items, visits, step = [], [0] * PLACES, 0
        h = loops.linear(model.enter, x)
        h = h + read(model, items, loops.layer_norm(h))
        hidden = np.maximum(loops.linear(model.first, loops.layer_norm(h)), 0)
        outputs.append(h + loops.linear(model.second, hidden))
        place = int(np.argmax(x[:PLACES]))
        visits[place] += 1
        own = [i for i, (other, _) in enumerate(items) if other == place]
        if model.eviction == "place":
            if len(own) == SLOTS // PLACES:
                items.pop(own[0])
        elif len(items) == SLOTS:
            items = without_one(model.eviction, items, visits)
        items.append((place, item_of(model, x, place, step)))
        step += 1
    return np.array(outputs)


# The others: in test_slot_store.py, and below.
@pytest.mark.parametrize("eviction", ["place", "least_visited"])
def test_outputs_are_those_of_lists_of_items(x64, eviction):
    loops.compare(make(eviction), reference)


@pytest.mark.parametrize("time", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_float32_stays_with_float64(time):
    loops.compare_in_float32(make("most_visited"), reference, time)


def test_no_other_place_takes_what_a_place_holds(x64):
    """A cue of the first step is read after 1,000 steps elsewhere, but not by fifo."""
    steps = np.random.default_rng(0).normal(size=(1_001, loops.INPUTS))
    steps[:, :PLACES] = np.eye(PLACES)[[0, *[1] * 1_000]]
    starts = np.arange(1_001) == 0

    def reach(eviction):
        model = make(eviction)

        def last(first):
            inputs = jnp.asarray(steps).at[0, -1].set(first)
            outputs = model(model.initial_state(), inputs, jnp.asarray(starts))[1]
            return outputs[-1] @ jnp.arange(float(outputs.shape[1]))

        return float(jax.jit(jax.grad(last))(0.5))

    assert abs(reach("place")) > 1e-6 and reach("fifo") == 0


def test_gradients_of_unused_shares_agree(x64):
    """Some places are never visited: their slots stay empty for the whole run."""
    probe = make_probe(make("place"), input_size=loops.INPUTS, half=7, seed=0)
    PROPERTIES["gradients_agree"](probe, np.arange(14) == 4, 5)


def test_only_first_in_first_out_has_a_limited_context():
    assert make("fifo").card.context == SLOTS
    assert make("lifo").card.context is None


def test_what_is_missing_or_has_no_meaning_is_named():
    def build(columns, **options):
        return memory_models.make(
            "spatial_transformer",
            input_size=5,
            output_size=6,
            key=jax.random.key(0),
            columns=columns,
            **options,
        )

    with pytest.raises(ValueError, match="no eviction 'random'"):
        build({"raw/place": (0, 3)}, eviction="random")
    with pytest.raises(ValueError, match="slot_size=6"):
        build({"raw/place": (0, 3)}, slot_size=6)
    with pytest.raises(ValueError, match=r"add it to memory\.raw_keys"):
        build({"place": (0, 3)})
    with pytest.raises(ValueError, match=r"needs the observation key 'place'.*'cue'"):
        build({"cue": (0, 3)})
