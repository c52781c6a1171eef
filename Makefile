# `make demo` and `make test` each do everything on a machine that has Python and make.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PYTEST  = $(BIN)/python -m pytest

.PHONY: demo test check fix lint gallery model clean

demo: $(VENV)/.installed
	$(BIN)/dicomnode demo $(ARGS)

# What works alone runs side by side; what starts whole programs and kills them, one after the other.
SIDE_BY_SIDE = tests/unit tests/docs tests/integration
IN_TURN      = tests/interop tests/crash tests/fuzz tests/gallery
test: $(VENV)/.dev
	$(PYTEST) -n auto --maxprocesses 4 $(SIDE_BY_SIDE)
	$(PYTEST) $(IN_TURN)

check: lint test

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# One page with every kind of result, drawn; with pictures of the viewers that are here.
gallery: $(VENV)/.dev
	$(BIN)/python -m tests.gallery $(ARGS)

# Builds the demonstration model again; the result is the same, bit for bit.
model: $(VENV)/.installed
	$(BIN)/python -m dicomnode.learn.demonstration

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --editable .
	touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --editable ".[dev]"
	touch $@ $(VENV)/.installed
