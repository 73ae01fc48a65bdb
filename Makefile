# `make demo` and `make test` need nothing but Python 3.11 or 3.12.

VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.PHONY: demo test lint lock bench bench-quick clean

demo: $(VENV)/.demo
	@exec $(BIN)/cafpro demo $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The exact versions that deployments and tests install. Run it on Python 3.11 after changing setup.cfg.
lock: $(VENV)/.test
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools --exclude py-spy > requirements.lock

# Side by side with what a user would pick instead, then growth: 10 minutes. It installs the peers into .bench/.
bench: $(VENV)/.bench
	$(BIN)/python -m tests.bench $(ARGS)
	$(BIN)/python -m tests.bench.growth

# 90 seconds, once the peers are installed. It fails where a ratio falls short.
bench-quick: $(VENV)/.bench
	$(BIN)/python -m tests.bench --quick $(ARGS)

clean:
	rm -rf $(VENV) .bench build *.egg-info .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.demo: setup.cfg pyproject.toml requirements.lock
	@$(call environment)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .
	@touch $@

$(VENV)/.test: setup.cfg pyproject.toml requirements.lock
	@$(call environment)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .[test]
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: setup.cfg pyproject.toml requirements.lock
	@$(call environment)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .[bench]
	@touch $@ $(VENV)/.demo

# A virtual environment of a Python that oso has wheels for, or one sentence that says which one is missing. The
# distribution's own Python comes first: it is built with optimisations that one compiled by hand often lacks, and they
# are worth a third of the interpreter's time.
define environment
	if [ ! -x $(BIN)/python ]; then \
	  for python in $(PYTHON) /usr/bin/python3.11 /usr/bin/python3.12 python3.11 python3.12 python3 python; do \
	    if $$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then \
	      $$python -m venv $(VENV) >/dev/null 2>&1 && break; \
	      rm -rf $(VENV); \
	    fi; \
	  done; \
	fi; \
	if [ ! -x $(BIN)/python ]; then \
	  echo 'Cafpro needs Python 3.11 or 3.12 with venv (oso has no wheel for others): install one, or name it, as in make demo PYTHON=/usr/bin/python3.12' >&2; exit 1; \
	fi; \
	if ! $(BIN)/python -c 'import platform, sys; sys.exit(sys.platform == "linux" and platform.machine() != "x86_64")'; then \
	  echo 'Cafpro needs a 64-bit Intel or AMD machine on Linux: oso has no wheel for this processor.' >&2; exit 1; \
	fi
endef
