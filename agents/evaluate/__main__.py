"""Play a saved run on other settings: python -m agents.evaluate RUN env.length=40.

    python -m agents.evaluate RUN env.length=40 episodes=1000
    python -m agents.evaluate RUN seed=2 exploration=null --json

Settings are the task's (`env.<name>`), `episodes`, `exploration` (0.0 is greedy, null
the policy itself), `step_limit`, and `seed`, to play one of the run's seeds only. What
is not given is as in the run's own evaluations.
"""

import argparse
import json
import sys

from rich.console import Console

from agents.convert import ConfigError
from agents.running.output.report import tell_scores
from agents.running.output.results import finite
from agents.running.playing import play_run


def main() -> None:
    """Read the command line, play, and print a table or JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m agents.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("words", nargs="*", metavar="name=value")
    parser.add_argument("--json", action="store_true", help="print JSON, no table")
    asked = parser.parse_args()
    try:
        played = play_run(asked.run, asked.words)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
    if asked.json:
        print(json.dumps(finite(played.record()), indent=2, allow_nan=False))
        return
    console = Console(markup=False)
    console.print(played.describe(), highlight=False, soft_wrap=True)
    tell_scores(played.rows(), played.card, console)


if __name__ == "__main__":
    main()
