"""Export a trained policy: python -m agents.export RUN --to onnx.

    python -m agents.export RUN --to onnx                 into RUN/exported/onnx
    python -m agents.export RUN --to jax --seed 2 --out policy

Writes the greedy policy as one function of fixed shapes, with its parameters, its
initial state and the names of its inputs and outputs beside it: docs/export.md.
"""

from pathlib import Path

from agents.convert import ConfigError, convert
from agents.export import export_run
from agents.export.formats import FORMATS
from command_line.words import Parser


def main() -> None:
    """Read the command line, export, say where the file is and how it was checked."""
    parser = Parser("python -m agents.export", __doc__)
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--to", required=True, help=" or ".join(FORMATS))
    parser.add_argument("--seed", help="which seed of a group")
    parser.add_argument("--streams", default="1", help="streams that one call acts for")
    parser.add_argument(
        "--out", type=Path, help="default: exported/<format> in the run"
    )
    parser.add_argument(
        "--uint8-flags", action="store_true", help="flags as uint8 in place of bool"
    )
    asked = parser.parse_args()
    try:
        folder, checked = export_run(
            asked.run,
            asked.out,
            to=asked.to,
            seed=convert(asked.seed, int | None, "--seed"),
            streams=convert(asked.streams, int, "--streams"),
            uint8_flags=asked.uint8_flags,
        )
    except (ConfigError, ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(
        f"{folder}: {checked.same_actions:.1%} of the actions of {checked.steps} steps "
        f"are the agent's, and its state to {checked.state_error:.1e}"
    )


if __name__ == "__main__":
    main()
