"""Other distributions install an `agents` or `envs` too: find out on import."""

import importlib.util
from pathlib import Path


def check(*packages: str) -> None:
    """Raise ImportError if a package would be imported from another folder."""
    home = Path(__file__).resolve().parent.parent
    for package in packages:
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or []) if spec else []
        places = places or ([spec.origin] if spec and spec.origin else [])
        if places and Path(places[0]).resolve().parent != home:
            raise ImportError(
                f"the package {package!r} would come from {places[0]}, not from {home}:"
                " something of that name shadows Engram's. Uninstall it, or put"
                f" {home} first on PYTHONPATH."
            )
