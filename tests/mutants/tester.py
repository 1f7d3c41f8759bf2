"""Configurations of cosmic-ray, a mutation tester, for the files where it pays most.

    python -m tests.mutants.tester FOLDER

writes one for each file, with the tests that must see its mutants; docs/tests.md says
how to run them and what came of it. The tester is no dependency of this project.
"""

import sys
from pathlib import Path

RATIO = "tests/agents/algorithms/test_ratio_one.py"
FILES = {
    "agents/experience/returns.py": (
        "tests/agents/experience/test_returns.py",
        "tests/agents/algorithms/test_ppo_loss.py",
    ),
    "agents/algorithms/losses.py": ("tests/agents/algorithms/test_ppo_loss.py",),
    "envs/rows.py": ("tests/envs/test_vector.py",),
    "envs/vector.py": ("tests/envs/test_vector.py",),
    "agents/evaluate/__init__.py": ("tests/agents/test_evaluate.py",),
    "agents/experience/normalize.py": ("tests/agents/experience/test_normalize.py",),
    "agents/experience/rollout.py": (
        "tests/agents/algorithms/test_truncation.py",
        f"{RATIO}::test_every_mechanism[gru]",
        f"{RATIO}::test_sequences_are_contiguous",
        f"{RATIO}::test_episode_statistics_by_hand",
        f"{RATIO}::test_masks_are_those_of_the_states_acted_in",
        f"{RATIO}::test_hidden_variables_reach_the_values_and_never_the_policy",
        "tests/agents/experience/test_stagger.py",
    ),
}
"""The tests of each file, by which its mutants are judged."""

LEFT_OUT = (
    # Of arrays of floats and flags these say nothing, or what another one says.
    "core/ReplaceBinaryOperator_.*_(RShift|LShift|FloorDiv|Mod|Pow|BitXor)",
    "core/ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_Bit.*",
    "core/ReplaceBinaryOperator_Bit.*_(Add|Sub|Mul|Div)",
    "core/ReplaceBinaryOperator_(Add|Sub)_(Mul|Div)",
    "core/ReplaceBinaryOperator_Mul_Sub",
    "core/ReplaceBinaryOperator_Div_Add",
    "core/ReplaceComparisonOperator_.*_(Is|IsNot)",
    "core/ReplaceUnaryOperator_.*_(UAdd|Nothing)",
    # A property without its decorator is another program, which fails at once.
    "core/RemoveDecorator",
    "core/ExceptionReplacer",
)
"""Operators that are not tried."""

TEMPLATE = """\
[cosmic-ray]
module-path = "{file}"
timeout = 400.0
excluded-modules = []
test-command = "{python} -m pytest -x -q -p no:cacheprovider {tests}"

[cosmic-ray.distributor]
name = "local"

[cosmic-ray.filters.operators-filter]
exclude-operators = [
{operators}
]
"""


def write(folder: Path) -> list[Path]:
    """Write all configurations; where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for file, tests in FILES.items():
        text = TEMPLATE.format(
            file=file,
            python=sys.executable,
            tests=" ".join(tests),
            operators="\n".join(f'  "{name}",' for name in LEFT_OUT),
        )
        path = folder / f"{Path(file).stem}.toml"
        path.write_text(text)
        written.append(path)
    return written


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)
