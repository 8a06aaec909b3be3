# Each command does its own set-up on a fresh machine.
.PHONY: help demo test test-slow test-oldest soak check docs format clean
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# The oldest supported versions, in an environment of their own.
OLDEST := .venv-oldest
# The release that this one succeeds, in a folder of its own; tests/peer runs it on our torch.
PEER := $(VENV)/peer/l0-python-0.6.2

# Bytecode is made when a module is first imported: most modules of torch and sympy never are.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile
INSTALL := $(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable
# Small fits on more threads only wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest
# Lines are counted at the least cost that the version of Python allows.
COVERAGE := COVERAGE_CORE=$$($(BIN)/python -c 'import sys; print("sysmon" if sys.version_info >= (3, 12) else "ctrace")')

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

# What a user installs, and nothing else.
$(VENV)/.installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(INSTALL) .
	touch $@

$(VENV)/.test-installed: $(VENV)/.installed
	$(INSTALL) '.[test]'
	touch $@

$(VENV)/.dev-installed: $(VENV)/.test-installed
	$(INSTALL) '.[dev]'
	touch $@

$(VENV)/.docs-installed: $(VENV)/.installed
	$(INSTALL) '.[docs]'
	touch $@

$(PEER)/.installed: | $(VENV)/.installed
	$(BIN)/python $(PIP_INSTALL) --no-deps --target $(PEER) l0-python==0.6.2
	touch $@

# Of the extra `files`, without pyreadstat, which needs a newer narwhals than the oldest one.
$(OLDEST)/.installed: pyproject.toml constraints-oldest.txt
	python3 -m venv $(OLDEST)
	$(OLDEST)/bin/python $(PIP_INSTALL) --constraint constraints-oldest.txt \
		--editable '.[plot,sklearn]' pandas polars pytest hypothesis \
		python-calamine xlsxwriter
	touch $@

demo: $(VENV)/.installed ## Calibrate the bundled CPS and write l0-demo/report.html
	$(BIN)/l0 demo --out l0-demo

test: $(VENV)/.test-installed $(PEER)/.installed ## Run the tests and the examples in docstrings, and count the lines they run
	$(COVERAGE) $(PYTEST) --numprocesses 2 --dist worksteal -m "not slow" --cov --cov-report=term

test-slow: $(VENV)/.test-installed $(PEER)/.installed ## Run the tests of scale, which `make test` leaves out
	$(PYTEST) -m slow || test $$? -eq 5 # 5: there are none

soak: $(VENV)/.test-installed ## Kill runs, fill disks, damage files and try strange input for MINUTES (20), outside of CI
	$(BIN)/python benchmarks/soak.py --minutes $(or $(MINUTES),20)

test-oldest: $(OLDEST)/.installed ## Run the tests of calibration, gates and command line on the oldest supported versions
	OMP_NUM_THREADS=1 $(OLDEST)/bin/python -m pytest -m "not slow" \
		tests/calibration tests/cli tests/common tests/data tests/gates

check: $(VENV)/.dev-installed ## Check lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs-installed ## Build docs/_build/html: every cell runs, and every warning is an error
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --jobs 2 --fresh-env --fail-on-warning --keep-going \
		--nitpicky --show-traceback --quiet --doctree-dir docs/_build/doctrees docs docs/_build/html
	@echo Open docs/_build/html/index.html

format: $(VENV)/.dev-installed ## Format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environments and everything that was built
	rm -rf $(VENV) $(OLDEST) l0-demo docs/_build dist build .coverage \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
