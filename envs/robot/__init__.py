"""Robot-style tasks on a tabletop: what was where, which one, how often, in what order.

The groups of MIKASA-Robo with a gripper above a table. See docs/robots.md.
"""

from envs.robot.groups import (
    batteries_checker,
    blink_count,
    gather_and_recall,
    intercept,
    recall_colours,
    remember,
    rotate,
    shell_game,
    shell_game_moves,
    take_it_back,
    timed_transfer,
    trace_shape,
)
from envs.robot.task import Tasks

TASKS: Tasks = {
    **remember.TASKS,
    **shell_game.TASKS,
    **recall_colours.TASKS,
    **blink_count.TASKS,
    **shell_game_moves.TASKS,
    **intercept.TASKS,
    **rotate.TASKS,
    **take_it_back.TASKS,
    **timed_transfer.TASKS,
    **trace_shape.TASKS,
    **gather_and_recall.TASKS,
    **batteries_checker.TASKS,
}
