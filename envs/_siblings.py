"""A guard against packages of the same name from elsewhere."""

import importlib.util
import sys
from pathlib import Path


def check_siblings(package_file: str, siblings: tuple[str, ...]) -> None:
    """Check that sibling packages would be imported from the same folder.

    Looks without importing: `agents`, above all, is a name that other distributions
    install too, and the wrong one would fail far away from the cause.

    Args:
        package_file: the `__file__` of the package that asks.
        siblings: names of the packages that belong next to it.

    Raises:
        ImportError: a sibling would come from another folder; names that folder.
    """
    root = Path(package_file).resolve().parent.parent
    for name in siblings:
        module = sys.modules.get(name)
        spec = importlib.util.find_spec(name) if module is None else module.__spec__
        if spec is None:
            continue
        places = [*(spec.submodule_search_locations or ()), spec.origin]
        found = [Path(place).resolve() for place in places if place]
        if any(root in place.parents for place in found):
            continue
        raise ImportError(
            f"`import {name}` would load {found[0]}, but the {name!r} that belongs to "
            f"{Path(package_file).parent.name!r} is {root / name}: another "
            "distribution or folder of that name comes first on sys.path. Uninstall "
            f"or rename it, or put {root} first on PYTHONPATH."
        )
