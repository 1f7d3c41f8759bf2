"""The study: Optuna's record of all trials, opened, asked, and told what came out."""

import types
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from agents.convert import ConfigError
from agents.search.settings import Search
from agents.search.sharing import Worker, turn

WAIT = 100
"""Seconds that a process waits for another's writing to an SQLite file."""

FIRST_TRIALS = 5
"""Trials that the median is taken of, at least, before any is pruned."""


def load_optuna() -> types.ModuleType:
    """Optuna, which tells nothing but warnings.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "a search needs Optuna, which is not installed: "
            'pip install -c constraints.txt -e ".[search]".'
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


class Study:
    """A study on a storage, shared with other processes.

    Attributes:
        optuna: the module.
        own: Optuna's study.
    """

    def __init__(self, search: Search):
        """Open it, or make it.

        Raises:
            ConfigError: Optuna or the storage is not there, or the study of that name
                searches something else.
        """
        self.optuna, self.search = load_optuna(), search
        try:
            search.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"run_directory={search.config['run_directory']} cannot be written: "
                f"{error.strerror} ({error.filename})."
            ) from error
        with turn(search.folder), warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            self._storage = self._open()
            self.own = self.optuna.create_study(
                storage=self._storage,
                study_name=search.settings.study,
                load_if_exists=True,
                direction="maximize",
                pruner=self._pruner(),
            )
            self._check_the_same()

    def close(self) -> None:
        """Let go of the storage."""
        engine = getattr(self._storage, "engine", None)
        if engine is not None:
            self._storage.remove_session()
            engine.dispose()

    def _open(self) -> Any:
        """The storage that the settings name."""
        given = self.search.settings.storage
        name = given or f"sqlite:///{self.search.folder / 'study.db'}"
        kind, _, place = name.partition(":")
        path = Path(place.removeprefix("///") if kind == "sqlite" else place)
        storages = self.optuna.storages
        try:
            if kind in ("sqlite", "journal"):
                path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "journal" and place:
                backend = storages.journal.JournalFileBackend(str(path))
                return storages.JournalStorage(backend)
            if "://" not in name:
                raise ConfigError(
                    f"storage={name} must be sqlite:///path, journal:path, or the "
                    "address of a database."
                )
            waits = {"connect_args": {"timeout": WAIT}} if kind == "sqlite" else {}
            return storages.RDBStorage(name, engine_kwargs=waits)
        except ConfigError:
            raise
        except Exception as error:  # of any driver
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ConfigError(f"storage={name} cannot be opened: {reason}.") from error

    def _pruner(self) -> Any:
        """What ends trials early: not in the first quarter of a run."""
        pruners, config = self.optuna.pruners, self.search.config
        if not self.search.has_pruning:
            return pruners.NopPruner()
        evaluations = int(config["total_steps"] // config["evaluation"]["interval"])
        return pruners.MedianPruner(
            n_startup_trials=FIRST_TRIALS, n_warmup_steps=evaluations // 4 + 1
        )

    def _sampler(self, number: int) -> Any:
        """What chooses the values of a trial: by the seed and its number alone.

        So no two processes choose alike, and one that starts again does not repeat.
        """
        entropy = [int(self.search.config["seed"]), number]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        samplers = self.optuna.samplers
        kinds = {"tpe": samplers.TPESampler, "random": samplers.RandomSampler}
        return kinds[self.search.settings.sampler](seed=seed)

    def _check_the_same(self) -> None:
        """Refuse to mix trials that cannot be compared."""
        search = self.search
        asked = {
            "settings": sorted(search.words),
            "ranges": sorted(map(str, search.ranges)),
            "metric": search.settings.metric,
        }
        noted = self.own.user_attrs
        for name, value in asked.items():
            if name not in noted:
                self.own.set_user_attr(name, value)
            elif noted[name] != value:
                raise ConfigError(
                    f"study={search.settings.study} is there already, with {name} "
                    f"{_told(noted[name])} in place of {_told(value)}; choose another "
                    "name."
                )

    def trials(self, *states: str) -> list[Any]:
        """Trials as they are now, in order; of these states, or all."""
        kinds = self.optuna.trial.TrialState
        wanted = tuple(kinds[state] for state in states) or None
        return self.own.get_trials(deepcopy=False, states=wanted)

    def next_trial(self, worker: Worker) -> Any | None:
        """A trial to work at: one that a process left, or else a new one.

        Returns:
            Optuna's trial with all its values drawn; None where there are enough.
        """
        with turn(self.search.folder):
            for left in self.trials("RUNNING"):
                if worker.may_take_over(left.user_attrs.get("worker")):
                    trial = self.optuna.trial.Trial(self.own, left._trial_id)
                    break
            else:
                if len(self.trials()) >= self.search.settings.trials:
                    return None
                trial = self.own.ask()
            trial.set_user_attr("worker", worker.name)
            self.own.sampler = self._sampler(trial.number)
            for one in self.search.ranges:
                one.draw(trial)
        return trial

    def tell(self, trial: Any, state: str, value: float | None = None) -> None:
        """Note how a trial ended: COMPLETE with a value, PRUNED or FAIL."""
        self.own.tell(trial, value, state=self.optuna.trial.TrialState[state])


def _told(value: Any) -> str:
    return (" ".join(value) or "none") if isinstance(value, list) else str(value)
