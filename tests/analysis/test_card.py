"""Cards of memory models: scores by kind of memory, worked out by hand."""

import json
import re

import pytest

import agents
from analysis import find_runs
from analysis.__main__ import main
from analysis.card import cards_of, write
from analysis.retention import retention
from analysis.retention.report import write as write_retention
from tests.analysis.made import make_run

TASKS = {"tmaze": 0.9, "sequence_order": 0.8, "count_recall_easy": 0.6, "n_back": 0.7}
"""What gru returns at the end; the spatial one is of a run of its own."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("cards")
    for env, value in TASKS.items():
        for memory, share in (("gru", 1.0), ("none", 0.0)):
            final = 0.5 + share * (value - 0.5)
            words = [f"memory={memory}", f"env={env}"]
            make_run(root, words, {n: [0.0, final] for n in range(2)})
    make_run(root, ["memory=gru", "env=battleship_easy"], {0: [0.0, 1.0]})
    make_run(root, ["memory=gru", "env=position_only_cart_pole_easy"], {0: [0.0, 1.0]})
    return root


@pytest.fixture(scope="module")
def cards(folder):
    return cards_of(find_runs([folder]).runs)


def test_kinds_are_means_over_tasks_and_the_mean_is_over_kinds(cards):
    (gru, none), notes = cards
    assert (gru.label, none.label) == ("gru-ppo", "none-ppo")
    found = {kind: round(x.value, 6) for kind, x in gru.kinds.items()}
    # (0.9 - 0.5) / 0.5 and so on; two tasks are sequential.
    assert found == {"object": 0.8, "sequential": 0.5, "capacity": 0.2}
    assert gru.mean.value == pytest.approx((0.8 + 0.5 + 0.2) / 3)
    assert none.mean.value == pytest.approx(0)
    assert (gru.parameters, gru.state_bytes) == (1234, 64)
    assert gru.mechanism == "cell scan" and "Cho" in gru.paper
    assert gru.reach == "reaches back without limit"
    assert none.reach == "reaches 0 steps back"
    told = " ".join(notes)
    assert "battleship_easy is left out: not every model has it" in told
    assert "position_only_cart_pole_easy has no place on a card" in told


def test_half_lives_are_those_that_were_measured(cards, folder):
    (gru, _), _ = cards
    assert gru.half_life is None and "was not measured" in gru.half_life_told
    for env, steps, beyond in (
        ("tmaze", None, 300),
        ("n_back", 12.0, None),
        ("count_recall_easy", None, None),
    ):
        (run,) = folder.glob(f"{env}/gru-*/*/")
        (run / "analysis").mkdir(exist_ok=True)
        life = {"steps": steps, "beyond": beyond, "told": f"told on {env}"}
        told = json.dumps({"half_life": life})
        (run / "analysis" / "retention.json").write_text(told)
    (gru, _), _ = cards_of(find_runs([folder]).runs)
    assert gru.half_life == "> 300"
    assert gru.half_life_told == "Half-life of its memory: told on tmaze (on tmaze)."
    (run,) = folder.glob("tmaze/gru-*/*/")
    (run / "analysis" / "retention.json").write_text("{")
    (gru, _), _ = cards_of(find_runs([folder]).runs)
    assert gru.half_life == "12"


def test_a_half_life_is_what_retention_writes(solved):
    write_retention(retention(solved, factors=(1, 2), episodes=64))
    (card,), _ = cards_of(find_runs([solved]).runs)
    assert card.half_life is not None and "(on tmaze+env.length=4)" in (
        card.half_life_told
    )


def test_a_page_per_model_and_a_table(cards, tmp_path):
    pages = write(cards[0], tmp_path / "cards")
    assert [path.name for path in pages] == ["gru-ppo.html", "none-ppo.html"]
    text = pages[0].read_text()
    assert len(re.findall("<img ", text)) == 1 and "sequence_order" in text
    lines = (tmp_path / "cards" / "cards.csv").read_text().splitlines()
    header, gru, none = (line.split(",") for line in lines)
    assert dict(zip(header, gru, strict=True))["capacity"][:3] == "0.2"
    assert dict(zip(header, gru, strict=True))["spatial"] == ""
    assert none[0] == "none-ppo"
    assert list((tmp_path / "cards").glob("*tfevents*"))
    write(cards[0], tmp_path / "cards")


def test_the_command(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "cards"
    monkeypatch.setattr(
        "sys.argv", ["analysis", "card", str(folder), "--out", str(out)]
    )
    main()
    text = capsys.readouterr().out
    assert f"wrote   {out / 'gru-ppo.html'}" in text and "note    battleship" in text


def test_runs_of_stable_baselines_are_left_out(tmp_path):
    words = ["memory=none", "env=n_back", "agent=sb3_ppo"]
    make_run(tmp_path, words, {0: [0.0, 1.0]})
    told = r"1 run\(s\) of Stable-Baselines3 are left out"
    with pytest.raises(agents.ConfigError, match=f"no card to write: {told}"):
        cards_of(find_runs([tmp_path]).runs)
    make_run(tmp_path, ["memory=gru", "env=tmaze"], {0: [0.0, 1.0]})
    [card], notes = cards_of(find_runs([tmp_path]).runs)
    assert card.label == "gru-ppo"
    assert any(re.match(told, note) for note in notes)


def test_no_task_in_common_is_refused(tmp_path):
    make_run(tmp_path, ["memory=gru", "env=tmaze"], {0: [0.0, 1.0]})
    make_run(tmp_path, ["memory=none", "env=n_back"], {0: [0.0, 1.0]})
    with pytest.raises(agents.ConfigError, match="there is no card to write"):
        cards_of(find_runs([tmp_path]).runs)
