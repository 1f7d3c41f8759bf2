"""What a researcher does after training: compare runs, find out what they learned."""

from analysis.runs import Run, find_runs, read_run
from envs._siblings import check_siblings

__all__ = ["Run", "find_runs", "read_run"]

check_siblings(__file__, ("agents", "envs", "memory_models"))
