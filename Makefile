# Everything a change must pass: `make check`. PYTHON names the interpreter that has the `dev` extra.
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python)
PACKAGES := node protocol scoring config

.PHONY: check lint format types imports test test-slow

check: lint types imports test

lint:
	$(PYTHON) -m ruff format --check $(PACKAGES) tests
	$(PYTHON) -m ruff check $(PACKAGES) tests

format:
	$(PYTHON) -m ruff format $(PACKAGES) tests
	$(PYTHON) -m ruff check --fix $(PACKAGES) tests

types:
	$(PYTHON) -m mypy

imports:
	$(PYTHON) -c "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"

test:
	$(PYTHON) -m pytest

# The tests that the default run leaves out and that need nothing but time.
test-slow:
	$(PYTHON) -m pytest -m "slow or chaos"
