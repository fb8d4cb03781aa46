# Everything a change must pass: `make check`. PYTHON names the interpreter that has the `dev` extra.
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python)
PACKAGES := node protocol scoring config

.PHONY: check static format test test-slow

check: static test

# Format, lint, types and import contracts.
static:
	PYTHON=$(PYTHON) .ci/checks

format:
	$(PYTHON) -m ruff format $(PACKAGES) tests
	$(PYTHON) -m ruff check --fix $(PACKAGES) tests

test:
	$(PYTHON) -m pytest

# The tests that the default run leaves out and that need nothing but time.
test-slow:
	$(PYTHON) -m pytest -m "(slow or chaos) and not (docker or browser or gpu or minilm)"
