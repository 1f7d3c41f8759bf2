"""What models show of themselves: attention weights, choices and gates."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memory_models
from memory_models.mechanisms import inspection
from memory_models.mechanisms.stores import ring_attention
from tests.conformance import small_models

TIME, HALF = 14, 7
REPRESENTATIVES = (  # one per mechanism, and those with something of their own
    "attention",
    "hcam",
    "rmt",
    "episodic_knn",
    "spatial_transformer",
    "dnc",
    "gru",
    "ffm",
    "gated_delta_net",
)
FIRST_READ = {"episodic_knn": 1, "dual_coding": 1, "spatial_transformer": 1}
"""The step of an episode at which something can be read, where it is not the first."""
ONE = ("attention", "chunk_attention", "slots", "places")
"""What sums to 1 over its last axis, or to 0 where nothing can be read."""
OWN = {
    "hcam": {"chunk_attention", "chunks"},
    "rmt": {"tokens"},
    "rate": {"tokens"},
    "transformer_fam": {"tokens"},
    "memformer": {"slots"},
    "relational_memory": {"slots"},
    "spatial_transformer": {"places"},
    "dnc": {"read", "write"},
    "gru": {"reset", "update"},
    "lstm": {"input", "forget", "output"},
    "gtrxl": {"update", "update_2"},
    "griffin": {"layer_0/decay", "layer_1/decay", "layer_2/attention"},
    "gated_delta_net": {"rate", "decay"},
}
GATES = ("decay", "reset", "update", "input", "forget", "output", "read", "write")


def builder(name):
    small = {"output_size": 8} | small_models.OPTIONS.get(name, {})
    columns = small_models.COLUMNS.get(name)
    return functools.partial(
        memory_models.builder(name, **small), 5, key=jax.random.key(3), columns=columns
    )


@functools.cache
def build(name):
    return eqx.filter_jit(builder(name))()


@functools.cache
def shown(name):
    """The names of what a model shows; traced, not computed."""

    def look(inputs, starts):
        model = builder(name)()
        return model.inspect(model.initial_state(), inputs, starts)

    return tuple(jax.eval_shape(look, jnp.zeros((TIME, 5)), jnp.zeros(TIME, bool)))


def sequences(name, streams=None, seed=0):
    """State, inputs and starts of one stream, or of as many streams."""
    model, lead = build(name), () if streams is None else (streams,)
    inputs = jax.random.normal(jax.random.key(seed), (*lead, TIME, 5))
    state = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (*lead, *x.shape)), model.initial_state()
    )
    return state, inputs, jnp.zeros((*lead, TIME), bool)


@functools.cache
def looked(name):
    """Starts, and what a model shows: of a sequence in one call, and in two."""
    model = build(name)
    arrays, static = eqx.partition(model, eqx.is_array)

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(None, 0, 0, 0))
    def look(arrays, state, inputs, starts):
        model = eqx.combine(arrays, static)
        return inspection.with_records(model)(state, inputs, starts)

    patterns = np.zeros((4, TIME), bool)
    patterns[1, 0] = patterns[2, 5:7] = True
    patterns[3] = np.random.default_rng(1).random(TIME) < 0.3
    state, before, none = sequences(name, 4)
    used = look(arrays, state, before, none)[0][0]
    inputs, starts = sequences(name, 4, seed=1)[1], jnp.asarray(patterns)
    (_, outputs), records = look(arrays, used, inputs, starts)
    plain = jax.jit(jax.vmap(model))(used, inputs, starts)[1]
    halves, state = [], used
    for part in (slice(0, HALF), slice(HALF, TIME)):
        (state, _), found = look(arrays, state, inputs[:, part], starts[:, part])
        halves.append(found)
    return jax.tree.map(np.asarray, (patterns, outputs, plain, records, halves))


def entries(name):
    """Name without its layer, and array, of all that a model shows."""
    return [(n.split("/")[-1], x) for n, x in looked(name)[3].items()]


def tokens_of(name, entry):
    """Weights of the tokens beside those of the steps, in the same softmax."""
    if entry != "attention" or "tokens" not in shown(name):
        return 0.0
    return looked(name)[3]["tokens"].sum(-1)


def ages(starts):
    """Steps since the start of the episode; of the used state's, many."""
    age = np.full(starts.shape, 100)
    for row, t in np.argwhere(starts):
        age[row, t:] = np.arange(TIME - t)
    return age


SILENT = {
    "none",
    "position",
    "frame_stack",
    "linear_attention",
    "elman",
    "ind_rnn",
    "lmu",
    "slstm",
}
MODELS = [
    pytest.param(name, marks=() if name in REPRESENTATIVES else pytest.mark.slow)
    for name in memory_models.names()
    if name not in SILENT
]
over_models = pytest.mark.parametrize("name", MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("name", memory_models.names())
def test_which_models_show_something(name):
    assert bool(shown(name)) == (name not in SILENT)


@pytest.mark.parametrize("name", MODELS)
def test_attention_chunk_and_slot_models_show_what_they_read(name):
    mechanisms = ("ring-cache attention", "segment clock", "slot store")
    if build(name).card.mechanism in mechanisms:
        assert "attention" in shown(name)
    assert set(shown(name)) >= OWN.get(name, set())


@over_models
def test_looking_changes_nothing(name):
    _, outputs, plain, records, _ = looked(name)
    np.testing.assert_allclose(outputs, plain, rtol=1e-5, atol=1e-6)
    assert set(records) == set(shown(name))


@over_models
def test_everything_is_finite_and_per_step(name):
    for entry, values in entries(name):
        assert values.shape[:2] == (4, TIME), entry
        assert np.isfinite(values).all(), entry


@over_models
def test_weights_sum_to_one_over_what_can_be_read(name):
    age = ages(looked(name)[0])
    for entry, values in entries(name):
        if entry.partition("_2")[0] not in ONE:
            continue
        first = FIRST_READ.get(name, 0)
        if entry == "chunk_attention":
            first = small_models.OPTIONS["hcam"]["chunk_size"]
        total = values.sum(-1) + tokens_of(name, entry)
        wanted = (age >= first).astype(float).reshape(4, TIME, *[1] * (total.ndim - 2))
        np.testing.assert_allclose(
            total, np.broadcast_to(wanted, total.shape), atol=1e-5
        )
        assert (values >= 0).all()


@over_models
def test_nothing_is_seen_across_a_start_or_in_the_future(name):
    starts = looked(name)[0]
    number = np.cumsum(starts, axis=1)
    same = number[:, :, None] == number[:, None, :]
    seen = same & np.tril(np.ones((TIME, TIME), bool))
    for entry, values in entries(name):
        if not entry.endswith("attention"):
            continue
        past = values.shape[-1] - TIME
        visible = np.concatenate(
            [np.broadcast_to((number == 0)[..., None], (4, TIME, past)), seen], axis=2
        )
        assert (values[~np.broadcast_to(visible[:, :, None], values.shape)] == 0).all()
        assert (values[visible[:, :, None] & (values > 0)]).size


@over_models
def test_gates_are_shares(name):
    starts = looked(name)[0]
    for entry, values in entries(name):
        if entry.partition("_2")[0] in GATES:
            assert (values >= 0).all() and (values <= 1 + 1e-6).all()
        if entry == "decay":
            assert (values[starts] == 0).all() and (values[~starts] > 0).all()


@over_models
def test_one_call_shows_what_two_show(name):
    _, _, _, whole, (first, second) = looked(name)
    for entry, values in whole.items():
        early, late = values[:, :HALF], values[:, HALF:]
        if entry.endswith("attention"):
            gone, late = np.split(late, [HALF], axis=-1)
            early, unseen = np.split(early, [early.shape[-1] - HALF], axis=-1)
            assert not unseen.any()
            if name == "spatial_transformer":  # of what is kept, by slot
                early, late = early[..., -HALF:], late[..., -HALF:]
                parts = [part[entry][..., -HALF:] for part in (first, second)]
            else:
                assert not gone.any()
                parts = [first[entry], second[entry]]
        else:
            parts = [first[entry], second[entry]]
        for found, wanted in zip(parts, (early, late), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


# Against what models do -----------------------------------------------------------


def run(name, start):
    """Model, inputs, starts, outputs and what is shown of a stream."""
    model, (state, inputs, starts) = build(name), sequences(name)
    starts = starts.at[start].set(True)
    look = eqx.filter_jit(lambda model, *rest: inspection.with_records(model)(*rest))
    (_, outputs), records = look(model, state, inputs, starts)
    return model, inputs, starts, outputs, records


def test_the_weights_of_a_window_make_its_outputs():
    model, inputs, _, outputs, records = run("attention", 6)

    @eqx.filter_jit
    def slow(model, inputs, weights):
        x = model.encode(inputs)
        values = jnp.split(model.project(memory_models.layer_norm(x)), 3, axis=-1)[2]
        values = values.reshape(TIME, model.num_heads, -1)
        read = jnp.einsum("ths,shd->thd", weights, values).reshape(TIME, -1)
        y = x + model.out(read)
        return y + model.feed_forward(memory_models.layer_norm(y))

    wanted = slow(model, inputs, records["attention"][..., -TIME:])
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-5)


def test_the_weights_of_neighbours_make_their_outputs():
    model, inputs, _, outputs, records = run("episodic_knn", 0)

    @eqx.filter_jit
    def slow(model, inputs, weights):
        values = jnp.split(model.write(inputs), 2, axis=-1)[1]
        found = jnp.concatenate([inputs, weights @ values], axis=-1)
        return memory_models.layer_norm(model.read(found))

    wanted = slow(model, inputs, records["attention"][:, 0, -TIME:])
    np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-5)


def test_the_weights_of_a_computer_are_those_of_its_state():
    model, inputs, starts, _, records = run("dnc", 0)
    step, state = eqx.filter_jit(type(model).step), model.initial_state()
    for t in range(3):
        state, _ = step(model, state, inputs[t], starts[t])
        np.testing.assert_allclose(records["read"][t], state.reads, atol=1e-6)
        np.testing.assert_allclose(records["write"][t], state.write, atol=1e-6)


def test_gates_of_a_gru_are_those_of_its_equations():
    model, inputs, _, outputs, records = run("gru", 4)
    before = np.concatenate([np.zeros((1, 8)), outputs[:-1]])
    before[4] = 0
    weight, bias = np.asarray(model.project.weight), np.asarray(model.project.bias)
    given = np.split(np.asarray(inputs) @ weight + bias, 3, axis=-1)
    for name, gate in (("reset", 0), ("update", 1)):
        logits = given[gate] + before @ np.asarray(model.recurrent[gate].weight)
        wanted = 1 / (1 + np.exp(-logits))
        np.testing.assert_allclose(records[name], wanted, rtol=1e-5, atol=1e-6)


def test_decay_is_the_magnitude_of_what_is_left():
    model, _, _, _, records = run("ffm", 4)
    wanted = np.exp(-1e-6 - np.exp(np.asarray(model.log_rate)))[None, :, None]
    wanted = np.broadcast_to(wanted, records["decay"].shape).copy()
    wanted[4] = 0
    np.testing.assert_allclose(records["decay"], wanted, rtol=1e-5)


@pytest.mark.parametrize("name", ["attention", "rmt"])
def test_many_blocks_show_what_one_shows(name, monkeypatch):
    one = run(name, 6)[-1]
    monkeypatch.setattr(ring_attention, "SMALLEST_BLOCK", 2)
    jax.clear_caches()
    many = run(name, 6)[-1]
    for entry, weights in one.items():
        np.testing.assert_allclose(many[entry], weights, rtol=1e-4, atol=1e-6)


def test_chosen_chunks_are_where_the_weight_is():
    starts, _, _, records, _ = looked("hcam")
    chunks, weights = records["chunks"], records["chunk_attention"].sum(2)
    length = small_models.OPTIONS["hcam"]["chunk_size"]
    past = weights.shape[-1] - TIME
    for row, t in np.ndindex(starts.shape):
        wanted = np.zeros(past + TIME, bool)
        for age in chunks[row, t]:
            if age >= 0:
                wanted[past + t - age - length + 1 : past + t - age + 1] = True
        np.testing.assert_array_equal(weights[row, t] > 0, wanted)
    assert (chunks >= 0).any() and (chunks == -1).any()


def test_the_entering_state_is_seen_in_the_leading_columns():
    starts, _, _, records, _ = looked("attention")
    past = records["attention"].shape[-1] - TIME
    assert records["attention"][0, 0, :, :past].sum() > 0  # goes on with an episode
    assert starts[1, 0] and not records["attention"][1, 0, :, :past].any()


# The recording ---------------------------------------------------------------------


def test_nothing_is_made_unless_somebody_looks():
    def function(x):
        inspection.record("x", lambda: pytest.fail("made though nobody looks"))
        return x

    assert function(1) == 1
    with pytest.raises(pytest.fail.Exception):
        inspection.with_records(function)(1)


def test_the_program_of_a_call_has_no_trace_of_it():
    model, arguments = build("attention"), sequences("attention")
    program = str(jax.make_jaxpr(model)(*arguments))
    shown = str(jax.make_jaxpr(model.inspect)(*arguments))
    assert "gather" in shown and "gather" not in program
    assert str(jax.make_jaxpr(model)(*arguments)) == program


def test_names_tell_layers_and_repetitions_apart():
    def function(x):
        for number in range(2):
            with inspection.part(f"layer_{number}"), inspection.part("inner"):
                inspection.record("x", lambda number=number: jnp.asarray(x + number))
                inspection.record("x", lambda number=number: jnp.asarray(x - number))
        with inspection.unrecorded():
            inspection.record("never", lambda: jnp.asarray(x))
        return x

    result, records = inspection.with_records(function)(5)
    assert result == 5
    assert {name: int(x) for name, x in records.items()} == {
        "layer_0/inner/x": 5,
        "layer_0/inner/x_2": 5,
        "layer_1/inner/x": 6,
        "layer_1/inner/x_2": 4,
    }


def test_layers_of_a_stack_show_what_they_would_alone():
    make = memory_models.builder("min_gru", output_size=8, num_layers=2)
    stack = eqx.filter_jit(make)(5, key=jax.random.key(0))
    _, inputs, starts = sequences("gru")

    @eqx.filter_jit
    def both(stack, inputs, starts):
        first = stack.layers[0]
        entering = memory_models.layer_norm(stack.encode(inputs))
        alone = first.inspect(first.initial_state(), entering, starts)
        return stack.inspect(stack.initial_state(), inputs, starts), alone

    records, alone = both(stack, inputs, starts)
    assert set(records) == {"layer_0/decay", "layer_1/decay"}
    np.testing.assert_allclose(records["layer_0/decay"], alone["decay"], rtol=1e-6)
