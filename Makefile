# `make demo` and `make test` do all the set-up themselves.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
STAMP   = $(VENV)/.installed
AXE     = tests/axe/node_modules/.package-lock.json
LOCK    = uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header \
          --no-emit-index-url --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup build-setup train-setup python310 demo install test pictures check lint types contracts licences lock clean

help:  ## What can be made here
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(STAMP): pyproject.toml requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "There is no $(PYTHON) here. Install it: apt install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else f"Bleedwatch needs Python 3.11, 3.12 or 3.13; $(PYTHON) is {v[0]}.{v[1]}. Call: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python cannot make virtual environments here. Install them: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(STAMP)  ## The virtual environment with the product and its checks: no GPU, no torch

build-setup: $(STAMP)  ## Adds what `build_engine.py` needs, on the processor: no GPU
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[build]'

train-setup: $(STAMP)  ## Adds torch, for `bleedwatch train`
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[train]'

demo: $(STAMP)  ## The whole appliance with a simulated scanner; HEADLESS=1 for a check without a person
	@$(BIN)/bleedwatch demo $(if $(HEADLESS),--headless) $(DEMO)

install:  ## Installs or upgrades on this machine, under systemd: as root, with PREFIX=/opt/bleedwatch
	@PYTHON=$(PYTHON) systemd/install.sh

$(AXE): tests/axe/package-lock.json
	@if command -v npm >/dev/null; then npm ci --silent --prefix tests/axe; else echo "There is no npm here: pages are not checked for accessibility." >&2; fi

test: $(STAMP) $(AXE)  ## The tests
	$(BIN)/python -m pytest $(TESTS)

pictures: $(STAMP)  ## Every page in every state, dark and light, into docs/pictures (needs Chromium, Noto fonts)
	$(BIN)/python -m tests.real.pictures docs/pictures

check: lint types contracts  ## Format, lint, types, the rule of imports

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

PYTHON310 ?= python3.10

python310:  ## That what meets TensorRT loads under Python 3.10 with numpy alone (in an environment of its own)
	$(PYTHON310) -m venv .venv-310
	.venv-310/bin/python -m pip install --quiet --disable-pip-version-check 'numpy==1.26.*'
	.venv-310/bin/python tests/under_python310.py

licences: requirements.lock  ## No GPL in what ships: an environment of its own, made from the lock
	$(PYTHON) -m venv .venv-licences
	.venv-licences/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv-licences/bin/python tests/licences.py

lock:  ## Makes both locks anew: of this house, and of a box (needs uv)
	$(LOCK) --extra test --extra check -o requirements.lock
	$(LOCK) --constraint requirements.lock -o requirements-box.lock

clean:  ## Removes the environments and caches
	rm -rf $(VENV) .venv-310 .venv-licences .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
