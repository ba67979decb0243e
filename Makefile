# Two commands: `make quickstart` and `make test`. Both make .venv and install what they need.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: quickstart test test-long test-faults test-slurm lint clean help

help:            ## this list
	@grep -E '^[a-z-]+: .*##' Makefile | sed 's/:.*##/\t/'

$(BIN)/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or newer is needed"'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(BIN)/python pyproject.toml
	$(BIN)/pip install -q -c requirements/$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])').txt -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/pip install -q -c requirements/$$($(BIN)/python -c 'import sys; print("py%d%d" % sys.version_info[:2])').txt -e '.[dev]'
	@touch $@

quickstart: $(VENV)/.core   ## pretrain, evaluate, embed, export and report on the simulated planet (a few minutes)
	$(BIN)/smarties train --config configs/quickstart.py --workdir runs/quickstart
	$(BIN)/smarties export runs/quickstart --output runs/quickstart/weights.safetensors

test: $(VENV)/.dev          ## the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-long: $(VENV)/.dev     ## what of the tests measures memory and restarts for minutes
	$(BIN)/python -m pytest -m long tests

test-faults: $(VENV)/.dev   ## kill runs of two processes at random moments, many times
	$(BIN)/python -m pytest -m faults -s tests/faults

test-slurm: $(VENV)/.dev    ## install SLURM and munge (as root), requeue a run, and compare bits
	$(BIN)/python -m pytest -m slurm -s tests/slurm

lint: $(VENV)/.dev          ## format, lint and types
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/pyright --pythonpath $(BIN)/python

clean:                      ## remove the environment and the runs
	rm -rf $(VENV) runs
