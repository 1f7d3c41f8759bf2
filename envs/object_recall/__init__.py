"""What was seen of several objects is asked of one of them later."""

from typing import Any

from envs.base import Environment
from envs.object_recall.ballet import Ballet

_LEVELS = {
    f"{dancers}Delay{delay}": {"dancers": dancers, "delay": delay, "max_steps": steps}
    for delay, steps in ((16, 320), (48, 1024))
    for dancers in (2, 4, 8)
}
"""The six levels of the paper."""

TASKS: dict[str, tuple[type[Environment], dict[str, Any]]] = {
    "Ballet-v0": (Ballet, {}),
    "BalletSymbolic-v0": (Ballet, {"pixels": False}),
    **{f"Ballet{name}-v0": (Ballet, level) for name, level in _LEVELS.items()},
    **{
        f"BalletSymbolic{name}-v0": (Ballet, {**level, "pixels": False})
        for name, level in _LEVELS.items()
    },
}
