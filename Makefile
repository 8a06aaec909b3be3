# Each command does its own set-up on a fresh machine.
.PHONY: help demo test check docs format clean
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# The release that this one succeeds, in a folder of its own; tests/peer runs it on our torch.
PEER := $(VENV)/peer/l0-python-0.6.2

help: ## List the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

$(VENV)/.docs-installed: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[docs]'
	touch $@

$(PEER)/.installed: | $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --target $(PEER) l0-python==0.6.2
	touch $@

demo: $(VENV)/.installed ## Calibrate the bundled CPS and write l0-demo/report.html
	$(BIN)/l0 demo --out l0-demo

test: $(VENV)/.installed $(PEER)/.installed ## Run the tests (on one thread: small fits on more only wait for each other)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

check: $(VENV)/.installed ## Check lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.docs-installed ## Build docs/_build/html: every cell runs, and every warning is an error
	OMP_NUM_THREADS=1 $(BIN)/sphinx-build --jobs 2 --fresh-env --fail-on-warning --keep-going \
		--nitpicky --show-traceback --quiet --doctree-dir docs/_build/doctrees docs docs/_build/html
	@echo Open docs/_build/html/index.html

format: $(VENV)/.installed ## Format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment and everything that was built
	rm -rf $(VENV) l0-demo docs/_build dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
