PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo course test test-all lint format bench

help:  ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "cnnlab needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@$(BIN)/cnnlab doctor | grep '^kernels'
	@touch $@

setup: $(READY)  ## make .venv, install cnnlab into it, build its kernels

demo: $(READY)  ## train LeNet-5 on the digits and show its tables
	$(BIN)/cnnlab train experiments/digits/lenet5.yaml

course: $(READY)  ## run every experiment of the course and check its figures
	$(BIN)/python -m experiments.course

test: $(READY)  ## run the tests, but for the slow ones
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not slow'

test-all: $(READY)  ## run all tests
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: $(READY)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: $(READY)  ## mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## measure start-up, training and accuracy; writes tests/benchmarks/results.md
	$(BIN)/python tests/benchmarks/run.py
