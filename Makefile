# `make demo` and `make test` need nothing but Python 3.11 or 3.12.

VENV := .venv
BIN := $(VENV)/bin
SHELL := /bin/bash

.PHONY: demo test test-compiled wheel coverage attacks-table faults soak lint lock bench bench-quick fuzz mutation clean

demo: $(VENV)/.demo
	@exec $(BIN)/cafpro demo $(ARGS)

# Four files at a time, on two cores: half of them wait for processes, sockets and deadlines. In the order of
# tests/conftest.py. The tests start hundreds of processes: what is imported is compiled once, whatever the environment
# says.
test test-compiled coverage: SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder
test test-compiled coverage: export PYTHONDONTWRITEBYTECODE :=
test: $(VENV)/.test
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(ARGS)
	@$(if $(ARGS),,if ( $(compiler) ); then $(MAKE) --no-print-directory test-compiled; else test -z "$$CI"; fi)

# The rooms that a request goes through, once more on what is deployed: the wheel, compiled, in an environment of its own.
# This folder comes after what is installed there, so that of its modules only the tests are found.
ON_COMPILED := $(addprefix tests/,attacks database deploy faults fuzz limits loop metrics openid proxy record redaction server story)
ON_COMPILED += tests/identity/test_identity_{log_in,own_sessions,revocation,sessions,store_failures}.py
# Nothing of what these try first is compiled: policy files, the description, the tables' history, the demo.
ON_COMPILED += $(addprefix --ignore=tests/,attacks/test_attack_policy.py database/test_database_history.py \
  database/test_database_rights.py fuzz/test_described_requests.py fuzz/test_mutated_policies.py story/test_story_demo.py \
  story/test_story_workbench.py)
test-compiled: .compiled/.test
	PYTHONSAFEPATH=1 .compiled/bin/python -m pytest $(SIDE_BY_SIDE) $(or $(ARGS),$(ON_COMPILED))

# What is deployed, in dist/: for this version of Python on machines like this one.
wheel: dist/.built
	@echo dist/*.whl

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
	$(BIN)/python -m pip freeze --all --exclude-editable --exclude pip --exclude py-spy > requirements.lock

# Side by side with what a user would pick instead, then growth: 10 minutes, with the gateway as it is deployed. It installs
# the peers into .bench/.
bench: $(VENV)/.bench .compiled/.test
	.compiled/bin/python -P -m tests.bench $(ARGS)
	.compiled/bin/python -P -m tests.bench.growth

# 90 seconds, once the peers are installed. It fails where a ratio falls short.
bench-quick: $(VENV)/.bench .compiled/.test
	.compiled/bin/python -P -m tests.bench --quick $(ARGS)

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
	rm -rf $(VENV) .bench .compiled .mutation build dist *.egg-info .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache

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

dist/.built: $(VENV)/.test $(shell find gateway policies upstream_stub -type f -not -path '*/__pycache__/*')
	@$(call compiler)
	rm -rf build dist
	$(BIN)/python -m pip wheel . --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist \
	  --config-settings=--build-option=--compiled
	@touch $@

# The second time for whatever has changed since: it has the version that is there.
.compiled/.test: dist/.built
	$(BIN)/python -m venv .compiled
	.compiled/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.lock "$$(echo dist/*.whl)[test]"
	.compiled/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	pwd > "$$(echo .compiled/lib/python3*/site-packages)/cafpro_tests.pth"
	@touch $@

# An environment of its own, so that `make lock` freezes nothing of mutmut's.
.mutation/.installed: $(VENV)/.test
	$(BIN)/python -m venv .mutation
	.mutation/bin/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e .[test,mutation]
	@touch $@

# What mypyc's C is compiled with, installed where that may be done, or one sentence that says what is missing.
define compiler
	if ! $(call compiles) && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends gcc libc6-dev \
	    libpython$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')-dev; } >/dev/null 2>&1; \
	fi; \
	if ! $(call compiles); then \
	  echo 'The wheel is compiled with gcc and the headers of Python: apt-get install gcc libc6-dev python3-dev' >&2; exit 1; \
	fi
endef
compiles = { command -v gcc && test -f "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h"; } >/dev/null

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
