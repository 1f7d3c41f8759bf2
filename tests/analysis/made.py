"""Folders of runs as training leaves them, without training."""

import json

import yaml

from agents.running.output.names import run_folder, task_name
from agents.running.output.tensorboard import Writer
from agents.running.overrides import compose_config

REFERENCES = {"floor": -0.5, "memoryless": 0.5, "recall": 1.0, "oracle": 1.0}


def make_run(root, words, seeds, *, name="20261130-120000", every=100, **told):
    """Write a run's folder.

    Args:
        root: the run directory.
        words: of the command line.
        seeds: by number, the return at every evaluation.
        name: of the folder.
        every: steps between evaluations.
        told: entries of result.json; ended=None leaves it out.
    """
    config = compose_config([*words, f"run_directory={root}"])
    config["num_seeds"] = len(seeds)
    directory = run_folder(config) / name
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(config))
    for seed, values in seeds.items():
        writer = Writer(directory / f"seed_{seed}", task_name(config))
        for index, value in enumerate(values):
            writer.scalars(
                {
                    "evaluation/return": value,
                    "evaluation/success": value / 2,
                    "time/steps_per_second": 1000.0 + index,
                },
                index * every,
            )
        writer.finish(True)
    verdicts = [
        "memory used" if values and values[-1] > 0.6 else "memory not shown"
        for values in seeds.values()
    ]
    result = {
        "ended": "complete",
        "measure": "return",
        "parameters": 1234,
        "state_bytes": 64,
        "references": REFERENCES,
        "seeds": [
            {"seed": seed, "verdict": verdict}
            for seed, verdict in zip(seeds, verdicts, strict=True)
        ],
        **told,
    }
    if result["ended"] is not None:
        (directory / "result.json").write_text(json.dumps(result))
    return directory
