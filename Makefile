# make demo    the main job, small: environment, simulation, training, axioms, report
# make test    environment and tests
# make gpu     on a machine with an NVIDIA GPU: its tests, then its figures in docs/results/gpu.json, .md and .png
# make soak    a quarter of an hour of kills, full disks, bad input and damaged files, counted in docs/results/soak.json
# make lint    formatting, common mistakes, types (`make types` alone for the last)
# make docs    the documentation as a web site, in build/docs
# make clean   removes the environment and whatever was built
#
# PYTHON=python3.12 make ...   another interpreter than python3
# Everything is installed into .venv, with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test gpu soak lint types docs clean

demo: .venv/installed
	mkdir -p out
	$(BIN)/gputhermo reproduce --preset demo --out out/demo
	$(BIN)/gputhermo render out/demo/dataset.h5 --process 55 --out out/demo/process.png
	@echo "out/demo/report.md tells what was learned, out/demo/process.png shows a process"

test: .venv/installed-test
	$(BIN)/pytest

# CUDA=12 make gpu              by the driver; 13 if nothing is said
# GPU_PYTHON=python3 make gpu   an interpreter that has the packages already; nothing is installed then
GPU_PYTHON ?= $(BIN)/python
CUDA ?= 13
gpu: $(if $(filter $(BIN)/python,$(GPU_PYTHON)),.venv/installed-test .venv/installed-cuda$(CUDA))
	$(GPU_PYTHON) -m pytest -m gpu
	$(GPU_PYTHON) scripts/gpu_report.py --out docs/results/gpu.json

soak: .venv/installed-test
	nice $(BIN)/python scripts/soak.py --json docs/results/soak.json

lint: .venv/installed-dev types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

docs: .venv/installed-docs
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build out *.egg-info kernels/__pycache__ .pytest_cache .ruff_cache .mypy_cache .hypothesis

# kernels/ is the package gputhermo.kernels; links under build/types show it to mypy where it looks for it.
types: .venv/installed-dev
	rm -rf build/types
	mkdir -p build/types/gputhermo
	ln -s $(CURDIR)/gputhermo/*.py build/types/gputhermo
	ln -s $(CURDIR)/kernels build/types/gputhermo/kernels
	cd build/types && $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/pyproject.toml --cache-dir $(CURDIR)/.mypy_cache

# The files .venv/installed* are empty; their dates say what .venv holds.
.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "gputhermo needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing into .venv; the first time takes some minutes."
	$(PIP) --editable .
	@touch $@

.venv/installed-%: .venv/installed
	$(PIP) --editable '.[$*]'
	@touch $@
