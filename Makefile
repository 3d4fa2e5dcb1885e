# Every target sets up what it needs. `make demo` and `make test` work in a clean clone.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The stamp is newer than everything that decides what is installed, so set-up runs once.
STAMP := $(VENV)/.installed
# VBench ships its prompt list inside its package; the program itself is not run, so its own
# (old) dependencies are left out.
VBENCH := vbench==0.1.5

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo test check docs parity families compiled clean

help:
	@echo "make setup   install into $(VENV) (once; again when pyproject.toml or constraints.txt change)"
	@echo "make demo    compare the shipped models on a small suite; prints the page's path last"
	@echo "make test    make check, then all tests"
	@echo "make check   lint, types, import order, spelling, generated pages"
	@echo "make parity  compare every official network with VBench's recorded outputs (half an hour)"
	@echo "make compiled  a whole student through torch.compile, against the eager one (minutes)"
	@echo "make families  draw with tiny random pipelines of every family that has one (minutes)"
	@echo "make docs    write the generated pages in docs/"
	@echo "make clean   remove $(VENV) and caches; runs and reports stay"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@echo "setup: Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1)" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "setup: too old. Fix: make PYTHON=python3.11 setup" >&2; exit 4; }
	@echo "setup: virtual environment in $(VENV)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) >&2
	@echo "setup: turbo-eval with the pinned libraries (several minutes the first time)" >&2
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]' >&2
	@echo "setup: the prompt list of VBench ($(VBENCH), without its dependencies)" >&2
	@$(BIN)/python -m pip install --quiet --no-deps $(VBENCH) >&2
	@touch $@
	@echo "setup: done" >&2

demo: $(STAMP)
	@$(BIN)/turbo-eval demo

# Two test processes with one thread each: most tests wait for small programs, not for arithmetic.
# A file stays together, for what its tests share.
test: check
	@echo "test: a browser for the tests of the page" >&2
	@sh tests/browser/install.sh >&2
	@echo "test: pytest" >&2
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile \
	  --no-loadscope-reorder

parity: $(STAMP)
	@$(BIN)/python -m pytest tests/golden -m parity
	@$(BIN)/python benchmarks/parity.py

families: $(STAMP)
	@$(BIN)/python -m pytest tests/models/test_families.py tests/models/test_diffusers_system.py \
	  -m "families or not parity"

compiled: $(STAMP)
	@$(BIN)/python -m pytest tests/train/test_compile.py -m "compiled"

check: $(STAMP)
	@echo "check: ruff (lint)" >&2
	@$(BIN)/ruff check .
	@echo "check: ruff (format)" >&2
	@$(BIN)/ruff format --check .
	@echo "check: mypy --strict" >&2
	@$(BIN)/mypy
	@echo "check: import order" >&2
	@$(BIN)/lint-imports
	@echo "check: spelling" >&2
	@$(BIN)/codespell
	@echo "check: generated pages" >&2
	@$(BIN)/python docs/generate.py --check

docs: $(STAMP)
	@$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
