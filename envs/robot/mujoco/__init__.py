"""Robot tasks with MuJoCo moving their things: environments of the host.

    envs.make("TakeItBack-v0", backend="mujoco")

needs `pip install 'engram-rl[mujoco]'`. See docs/robots.md.
"""

import dataclasses
import importlib.util
from typing import Any

import gymnasium

from envs.base import Environment
from envs.host import HostTask

ID = "engram/MuJoCoRobot-v0"
"""The id in Gymnasium under which all of them are made."""

gymnasium.register(
    ID,
    entry_point="envs.robot.mujoco.environment:MuJoCoEnv",
    vector_entry_point="envs.robot.mujoco.environment:MuJoCoVectorEnv",
)


@dataclasses.dataclass(frozen=True, eq=False)
class MuJoCoTask(HostTask):
    """A robot task that MuJoCo moves: its class and parameters are the arguments."""

    def settings(self) -> dict[str, Any]:
        """The robot task's own."""
        return {**self.arguments["fields"], "backend": "mujoco"}


def hosted(task: Environment) -> MuJoCoTask:
    """A robot task, of any backend, as one that MuJoCo moves.

    Raises:
        ValueError: MuJoCo is not installed.
    """
    if importlib.util.find_spec("mujoco") is None:
        raise ValueError(
            "backend=mujoco needs MuJoCo, which is not installed: pip install "
            "'engram-rl[mujoco]'."
        )
    fields = task.settings()
    del fields["backend"]
    path = f"{type(task).__module__}:{type(task).__qualname__}"
    return MuJoCoTask(ID, {"task": path, "fields": fields}, vectorization="own")
