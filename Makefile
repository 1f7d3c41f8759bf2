# `make check` is what CI runs.
.PHONY: check format lint types test quick parity slow mutants versions

check: lint types
	python -m pytest -n 2 --dist loadfile

format:
	ruff format .
	ruff check --fix .

lint:
	ruff format --check .
	ruff check .

types:
	pyright --pythonpath "$$(command -v python)"

# The default tests; their compiled programs are kept, so that the next time is shorter.
CACHE ?= .cache/tests
test:
	ENGRAM_TESTS_CACHE=$(CACHE) python -m pytest -n 2 --dist loadfile

# What the changed files concern, in under two minutes; see docs/tests.md.
quick: lint
	ENGRAM_TESTS_CACHE=$(CACHE) python -m tests.quick

# The default tests on other versions of Python, JAX and Gymnasium; see docs/tests.md.
versions:
	python -m tests.versions

# Every POPGym task, at every level, step by step beside the package.
parity:
	python -m pytest tests/envs/popgym -m "slow or not slow"

# Full products, 100,000 steps and killed runs; see docs/tests.md.
slow:
	XLA_FLAGS='--xla_backend_optimization_level=3' python -m pytest -m slow -n 2 --dist loadfile

# Planted bugs, one at a time: a test must see each; see docs/tests.md.
mutants:
	python -m tests.mutants
