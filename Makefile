# `make check` is what CI runs.
.PHONY: check format lint types test parity slow mutants

check: lint types test

format:
	ruff format .
	ruff check --fix .

lint:
	ruff format --check .
	ruff check .

types:
	pyright --pythonpath "$$(command -v python)"

test:
	python -m pytest -n 2 --dist loadfile

# Every POPGym task, at every level, step by step beside the package.
parity:
	python -m pytest tests/envs/popgym -m "slow or not slow"

# Full products, 100,000 steps and killed runs; see docs/tests.md.
slow:
	XLA_FLAGS='--xla_backend_optimization_level=3' python -m pytest -m slow -n 2 --dist loadfile

# Planted bugs, one at a time: a test must see each; see docs/tests.md.
mutants:
	python -m tests.mutants
