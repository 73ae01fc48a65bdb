# `make demo` and `make test` need nothing but Python 3.11 or 3.12.

VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.PHONY: demo test coverage attacks-table faults soak lint lock bench bench-quick fuzz mutation clean

demo: $(VENV)/.demo
	@exec $(BIN)/cafpro demo $(ARGS)

# Four files at a time, on two cores: half of them wait for processes, sockets and deadlines. In the order of
# tests/conftest.py. The tests start hundreds of processes: what is imported is compiled once, whatever the environment
# says.
test coverage: SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder
test coverage: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.test
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)

# The same, and which lines no test has run, in any process; it fails under 95 %. Twice as long.
coverage: $(VENV)/.test
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest $(SIDE_BY_SIDE) $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# Runs the tests of the list of attacks and writes what proves what into tests/README.md.
attacks-table: $(VENV)/.test
	$(BIN)/python -m tests.attacks.table $(ARGS)

# Every fault in its long form, as root for the small disks: half an hour. It writes tests/faults/results/faults.md.
faults: $(VENV)/.test
	$(BIN)/python -m tests.faults $(ARGS)

# Ten minutes at 80 % of capacity, alone on the machine. It fails where memory grows by 5 % or an answer is wrong.
soak: $(VENV)/.test
	$(BIN)/python -m tests.faults.soak $(ARGS)

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

# What searches by chance, ten minutes: the three parsers side by side, guided by coverage; then the whole service, 500
# times in 30 steps, and requests, policies and documents by lot. `make fuzz SECONDS=3600 STORY=5000` goes on longer.
fuzz: SECONDS = 300
fuzz: STORY = 500
fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz all $(SECONDS)
	STORY_EXAMPLES=$(STORY) STORY_STEPS=30 DESCRIBED_EXAMPLES=$(STORY) REQUEST_EXAMPLES=$(STORY)0 POLICY_EXAMPLES=$(STORY) \
	  REDACTION_EXAMPLES=$(STORY)0 $(BIN)/python -m pytest tests/story/test_story_state_machine.py tests/fuzz \
	  tests/redaction/test_any_document.py $(ARGS)

# Which mistakes in a line of the rooms that decide and redact would the tests not notice? Hours, in a copy of the project;
# `make mutation ARGS="policy.difference"` tries one file, and what was tried is kept in .mutation/.
mutation: .mutation/.installed
	nice -n 15 .mutation/bin/python -m tests.mutation $(ARGS)

clean:
	rm -rf $(VENV) .bench .mutation build *.egg-info .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache

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

# An environment of its own, so that `make lock` freezes nothing of mutmut's.
.mutation/.installed: $(VENV)/.test
	$(BIN)/python -m venv .mutation
	.mutation/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .[test,mutation]
	@touch $@

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
