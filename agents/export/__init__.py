"""Export a trained policy as one file that other programs run: docs/export.md."""

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

import gymnasium
import jax
import numpy as np

from agents.convert import ConfigError
from agents.evaluate.policy import Policy
from agents.export.checking import Checked, check
from agents.export.formats import format_of
from agents.export.step import Shapes, step_of
from agents.load import load, load_plan
from agents.running.files.records import versions
from agents.running.output.results import finite

STATE_FILE = "initial_state.npz"
DESCRIPTION_FILE = "policy.json"


def export_run(
    run: str | Path,
    folder: str | Path | None = None,
    *,
    to: str,
    seed: int | None = None,
    streams: int = 1,
    uint8_flags: bool = False,
) -> tuple[Path, Checked]:
    """Export the newest checkpoint of a run.

    Args:
        run: the run's folder.
        folder: to write into; None is `exported/<format>` in the run, with several
            seeds `exported/<format>_seed_<n>`.
        to: 'jax' or 'onnx'.
        seed: which of the run's seeds; None takes the only one.
        streams: how many streams one call acts for.
        uint8_flags: whether flags are uint8, for runtimes without booleans.

    Returns:
        The folder, and how the file plays beside the agent.

    Raises:
        ConfigError: no run or no such seed there, a package is missing, or the policy
            cannot be exported.
    """
    format_of(to)  # before the run is read
    plan = load_plan(run)
    policy = load(run, seed=seed)
    about = {
        "task": plan.env_name,
        "memory": plan.memory_name,
        "agent": plan.agent_name,
        "seed": plan.config["seed"] if seed is None else seed,
    }
    if folder is None:
        several = plan.config["num_seeds"] > 1
        last = f"{to}_seed_{about['seed']}" if several else to
        folder = Path(run) / "exported" / last
    return Path(folder), export_policy(
        policy, folder, to=to, streams=streams, uint8_flags=uint8_flags, about=about
    )


def export_policy(
    policy: Policy,
    folder: str | Path,
    *,
    to: str,
    streams: int = 1,
    uint8_flags: bool = False,
    about: dict[str, Any] | None = None,
) -> Checked:
    """Write a policy, its initial state and its description into a folder.

    The file is played beside the agent first; where the two differ nothing is written.

    Args:
        policy: from `agents.load`; it is exported greedy.
        folder: made if missing; files of an earlier export are replaced.
        to: as of `export_run`, like the rest.
        streams: how many streams one call acts for.
        uint8_flags: whether flags are uint8.
        about: what the description says of where the policy is from.

    Raises:
        ConfigError: as of `export_run`.
        OSError: the folder cannot be written.
    """
    form = format_of(to)
    if streams < 1:
        raise ConfigError(f"streams={streams} must be at least 1.")
    step = step_of(policy, streams, uint8_flags=uint8_flags)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / form.file
        try:
            details = form.write(step, path)
            player = form.open(path, list(step.inputs))
        except Exception as error:  # a converter's, of any kind
            raise _refusal(to, error) from error
        checked = check(policy, step, player)
        if not checked.passed:
            raise ConfigError(
                f"this policy cannot be exported to {to}: beside the agent, in "
                f"{checked.steps} steps, {checked.same_actions:.1%} of its actions are "
                f"equal and its state is wrong by {checked.state_error:.1e}; see "
                "docs/export.md."
            )
        contents = path.read_bytes()
    description = {
        "file": form.file,
        "initial_state": STATE_FILE,
        "format": {"name": to, **details},
        **(about or {}),
        "inputs": _told(step.inputs),
        "outputs": _told(step.outputs),
        "state": {f"next_{name}": name for name in step.state},
        "observation_space": str(policy.agent.env.observation_space),
        "action_space": _space(policy.agent.env.action_space),
        "checked": checked._asdict(),
        "versions": {
            **versions(),
            **{name: importlib.metadata.version(name) for name in form.packages},
        },
    }
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / form.file).write_bytes(contents)
    np.savez(folder / STATE_FILE, **step.state)  # pyright: ignore
    text = json.dumps(finite(description), indent=2, allow_nan=False)
    (folder / DESCRIPTION_FILE).write_text(text + "\n")
    return checked


def _refusal(to: str, error: Exception) -> ConfigError:
    """What a converter could not do, in one sentence."""
    reason = (str(error).splitlines() or [""])[0].rstrip(".")
    other = "" if to == "jax" else "; --to jax has every operation"
    return ConfigError(
        f"this policy cannot be exported to {to}: {type(error).__name__}: "
        f"{reason}{other}."
    )


def _told(arrays: Shapes) -> list[dict[str, Any]]:
    return [
        {"name": name, "shape": list(x.shape), "dtype": str(x.dtype)}
        for name, x in arrays.items()
    ]


def _space(space: gymnasium.Space) -> dict[str, Any]:
    """An action space in plain values; bounds that are infinite are null."""
    fields = ("n", "nvec", "start", "low", "high", "shape")
    told = {name: getattr(space, name) for name in fields if hasattr(space, name)}
    plain = jax.tree.map(lambda x: np.asarray(x).tolist(), told)
    return {"type": type(space).__name__, **plain, "dtype": str(space.dtype)}
