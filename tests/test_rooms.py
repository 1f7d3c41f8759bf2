"""Rooms of a package: no file is imported by one of a lower room."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSES = {
    "agents": (
        ("base", "convert", "devices", "footprint", "keys", "spaces"),
        ("experience",),
        ("networks",),
        ("algorithms", "sb3"),
        ("registry", "evaluate"),
        ("running",),
        ("load", "run"),
        ("video", "launch", "search", "export", "track"),
    ),
    "memory_models.mechanisms": (
        ("platform", "affine", "clock", "inspection", "layers", "recent"),
        ("heads", "convolution"),
        ("scans",),
        ("stores",),
    ),
    "envs.popgym": (
        ("common", "cards"),
        ("diagnostic", "control", "games", "navigation", "multiarmed_bandit"),
    ),
    "envs.robot": (
        ("tabletop",),
        ("seeing", "hand", "episodes"),
        ("rewards",),
        ("task", "measured"),
        ("returns", "one_at_a_time"),
        ("groups",),
        ("mujoco", "filmstrips"),
    ),
}
"""Of each package the floors from the lowest to the highest: what all build on first,
what users call last."""
LATE = {"envs.robot": {("task", "mujoco")}}
"""Imported within a function: the way out to another backend, which is an extra."""


def imported(path: Path, house: str) -> set[str]:
    """Files and rooms of a package that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        within = f"{node.module}.".removeprefix(f"{house}.")
        if within == "":
            found |= {alias.name for alias in node.names}
        elif within != f"{node.module}.":
            found.add(within.split(".")[0])
    return found


def rooms(house: str) -> dict[str, list[Path]]:
    """The files of every room, and those at the top, by name."""
    folder = ROOT.joinpath(*house.split("."))
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.py")):
        if path.name == "__main__.py":  # a command, above everything
            continue
        name = path.relative_to(folder).parts[0].removesuffix(".py")
        found.setdefault(name, []).append(path)
    del found["__init__"]
    return found


@pytest.mark.parametrize("house", HOUSES)
def test_every_file_has_a_floor(house: str) -> None:
    named = [name for floor in HOUSES[house] for name in floor]
    assert sorted(rooms(house)) == sorted(named)


@pytest.mark.parametrize("house", HOUSES)
def test_imports_point_down(house: str) -> None:
    floor_of = {name: i for i, floor in enumerate(HOUSES[house]) for name in floor}
    wrong = [
        f"{path.relative_to(ROOT)} imports {house}.{name}"
        for room, paths in rooms(house).items()
        for path in paths
        for name in imported(path, house) & set(floor_of)
        if floor_of[name] > floor_of[room]
        and (room, name) not in LATE.get(house, set())
    ]
    assert not wrong
