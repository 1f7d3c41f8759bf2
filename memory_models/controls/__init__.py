"""Controls: what a task looks like without a memory, or with the plainest one."""

from memory_models.controls.frame_stack import FrameStack
from memory_models.controls.none import NoMemory
from memory_models.controls.position import Position

MODELS = {"none": NoMemory, "frame_stack": FrameStack, "position": Position}
