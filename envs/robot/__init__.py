"""Robot-style tasks on a tabletop: what was where, which one, how often, in what order.

The groups of MIKASA-Robo with a gripper above a table. See docs/robots.md.
"""

from envs.robot.groups import (
    batteries_checker,
    blink_count,
    gather_and_recall,
    recall_colours,
    remember,
    shell_game,
)
from envs.robot.task import Tasks

TASKS: Tasks = {
    **remember.TASKS,
    **shell_game.TASKS,
    **recall_colours.TASKS,
    **blink_count.TASKS,
    **gather_and_recall.TASKS,
    **batteries_checker.TASKS,
}
