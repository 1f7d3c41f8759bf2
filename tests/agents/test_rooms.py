"""Rooms of `agents/`: no file is imported by one of a lower room."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOORS = (
    ("base", "convert", "devices", "footprint", "keys", "spaces"),
    ("experience",),
    ("networks",),
    ("algorithms", "sb3"),
    ("registry", "evaluate"),
    ("running",),
    ("load", "run"),
    ("video", "launch", "search", "export", "track"),
)
"""From the lowest to the highest: the contract first, what users call last."""


def imported(path: Path) -> set[str]:
    """Files and rooms of `agents/` that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        package, *rest = node.module.split(".")
        if package == "agents":
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found


def rooms() -> dict[str, list[Path]]:
    """The files of every room, and those at the top, by name."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "agents").rglob("*.py")):
        if path.name == "__main__.py":  # a command, above everything
            continue
        name = path.relative_to(ROOT / "agents").parts[0].removesuffix(".py")
        found.setdefault(name, []).append(path)
    del found["__init__"]
    return found


def test_every_file_has_a_floor() -> None:
    named = [name for floor in FLOORS for name in floor]
    assert sorted(rooms()) == sorted(named)


def test_imports_point_down() -> None:
    floor_of = {name: i for i, floor in enumerate(FLOORS) for name in floor}
    wrong = [
        f"{path.relative_to(ROOT)} imports agents.{name}"
        for room, paths in rooms().items()
        for path in paths
        for name in imported(path) & set(floor_of)
        if floor_of[name] > floor_of[room]
    ]
    assert not wrong
