"""The table of the T-maze says what was not at its default."""

from benchmarks import tmaze


def test_settings_are_shown_beside_the_seconds():
    row = {"returns": [1.0, 0.5], "verdicts": ["memory used", "not used"]}
    rows = {
        "gru": row | {"seconds": [60, 61], "settings": []},
        "griffin": row | {"seconds": [258, 260], "settings": ["total_steps=6e5"]},
    }
    lines = tmaze.table(rows).splitlines()
    used = "1.00, 0.50 | memory used: 1 of 2"
    assert lines[2] == f"| griffin | {used} | 258, 260 (total_steps=6e5) |"
    assert lines[3] == f"| gru | {used} | 60, 61 |"
