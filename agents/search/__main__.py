"""Search over settings: python -m agents.search agent.learning_rate=log(1e-4,3e-3).

    python -m agents.search memory=choice(gru,ffm) 'agent.gamma=uniform(0.9,0.999)'
    python -m agents.search env=tmaze num_seeds=3 'agent.num_epochs=int(1,8)' trials=40

Ranges: log(a,b) and uniform(a,b) draw a number, int(a,b) a whole one, choice(a,b,c) one
of some values; a shell wants quotes around the parentheses. Of the search itself:

    trials=30        how many the study shall have in all
    study=NAME       by default made of what is searched; the same command goes on
    storage=sqlite:///PATH or journal:PATH; by default in the study's folder
    sampler=tpe      or random
    pruner=median    or none: end a trial that is worse than the median so far
    metric=return    or success; by default what the task's card measures
    timeout=3600     seconds after which no further trial is begun

Everything else is a setting of train.py. Start the command again to go on with a search
that was ended by anything; start it several times for several processes on one study.
"""

import sys
from collections.abc import Sequence

from rich.console import Console

from agents.convert import ConfigError
from agents.run import run
from agents.search.loop import search
from agents.search.settings import read
from agents.search.study import load_optuna


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and search; the exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    try:
        load_optuna()
        return search(read(arguments), Console(markup=False), run)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 2


if __name__ == "__main__":
    sys.exit(main())
