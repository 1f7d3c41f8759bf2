"""A tabletop with a gripper, in JAX: what robot-style tasks stand on."""

from envs.robot.tabletop.table import Tabletop as Tabletop
from envs.robot.tabletop.things import Thing as Thing
from envs.robot.tabletop.world import Gripper as Gripper
from envs.robot.tabletop.world import World as World
