# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
.PHONY: help demo test check format clean
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin

help: ## List the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-8s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/.installed ## Calibrate the bundled CPS and write l0-demo/report.html
	$(BIN)/l0 demo --out l0-demo

test: $(VENV)/.installed ## Run the tests (on one thread: small fits on more only wait for each other)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

check: $(VENV)/.installed ## Check lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed ## Format the code and mend what lint can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment and everything that was built
	rm -rf $(VENV) l0-demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
