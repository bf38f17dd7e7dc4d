# featkd: `make demo` shows what it does, `make test` checks that it does it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -q
PINS := pyproject.toml constraints.txt
# Torch takes the most room and time, so it goes in first and by itself, in the pinned version.
TORCH := $(shell grep '^torch==' constraints.txt)

# Arguments for `featkd demo`, for example: make demo ARGS="--workdir runs/second"
ARGS ?=
# Each worker of pytest computes with one thread, so that they do not fight over cores.
WORKERS ?= 2
# All that measure speed and safety; those that train students for a table are started by hand.
BENCHMARKS := benchmarks/manifest_load.py benchmarks/manifest_build.py \
    benchmarks/memory_format.py benchmarks/boundary_pooling.py \
    benchmarks/cache_open.py benchmarks/cache_write.py benchmarks/cache_read.py \
    benchmarks/extraction_overhead.py benchmarks/extraction_memory.py \
    benchmarks/cached_training.py benchmarks/distiller_cost.py benchmarks/sweep.py \
    benchmarks/rendered_frames.py benchmarks/flow.py benchmarks/detection_map.py \
    benchmarks/replay.py benchmarks/flipped_bytes.py benchmarks/killed_extraction.py

.PHONY: help demo test lint bench clean

help: ## Show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## Run a whole experiment on generated videos; needs no GPU and no data
	@$(BIN)/featkd demo $(ARGS)

test: lint ## Lint, type check and run every test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

# Types and import order are checked on an installed copy: only there do the folders extract/ and
# cli/ stand where Python sees them, as featkd.extract and featkd.cli.
lint: $(VENV)/.dev ## Check style, types and the order of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@rm -rf build
	@$(PIP) --no-deps --no-build-isolation --target build/typecheck .
	@cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
	    --cache-dir ../../.mypy_cache -p featkd
	@cd build/typecheck && ../../$(BIN)/mypy --config-file ../../pyproject.toml \
	    --cache-dir ../../.mypy_cache ../../benchmarks/*.py
	@cd build/typecheck && ../../$(BIN)/lint-imports --config ../../pyproject.toml \
	    --cache-dir ../../.import_linter_cache

bench: $(VENV)/.runtime ## Measure speed and safety, about two and a half hours; results go to benchmarks/results
	@for script in $(BENCHMARKS); do $(BIN)/python $$script; done

clean: ## Remove what make made: .venv, build and caches; never runs/
	@rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache \
	    .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
	    f"featkd needs Python 3.11 or later; $(PYTHON) is {sys.version.split()[0]}")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing $(TORCH) into $(VENV)"
	@$(PIP) $(TORCH)
	@touch $@

$(VENV)/.runtime: $(VENV)/.torch $(PINS)
	@echo "Installing featkd into $(VENV)"
	@$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.torch $(PINS)
	@echo "Installing featkd and its development tools into $(VENV)"
	@$(PIP) -c constraints.txt setuptools
	@$(PIP) -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.runtime $@
