# The project's commands. Each prepares what it needs, may be repeated, and is quick when nothing
# has changed. Needs GNU make, git and Python 3.11 or newer; `make help` lists the targets.

PROFILE ?= paper# smoke, paper or full: how much the notebooks run
DATA ?= auto#    auto, course or synthetic; course fetches the course set first
SEEDS ?=#        number of seeds per experiment; empty: the profile's
JOBS ?=#         parallel workers; empty: one per core
STUDY ?= paper#  the study that `make study` runs
ROOM ?=#         what `make test` tests: data, models … (a folder of tests/), notebooks; empty: all
ROUNDS ?= 10#    how often `make soak` repeats the tests
PYTHON ?=#       the Python that makes .venv; empty: the first that fits

PY := .venv/bin/python
STAMP := .venv/.made-by-make
EXTRAS := cluster,dev,export,faces,lab,study,test
OPTIONS = --profile $(strip $(PROFILE)) --data $(strip $(DATA)) \
  $(if $(strip $(SEEDS)),--seeds $(strip $(SEEDS))) $(if $(strip $(JOBS)),--jobs $(strip $(JOBS)))
NBVAL = --nbval-lax --nbval-current-env --nbval-cell-timeout 120 \
  --nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider
# A file's tests, and a notebook's cells, stay in one process: they share what is slow to make.
PARALLEL = -n $(or $(strip $(JOBS)),logical) --dist loadfile
TESTED = $(if $(strip $(ROOM)),$(if $(filter notebooks,$(ROOM)),,tests/)$(strip $(ROOM)),tests notebooks)

# The first, long installation shows its progress; a later one has little to say.
QUIET = $(if $(wildcard .venv/lib/python3*/site-packages/torch),--quiet)

# What a caller's shell says about other Pythons must not leak into this environment.
unexport PYTHONPATH PYTHONHOME PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export JUPYTER_PREFER_ENV_PATH := 1

.DEFAULT_GOAL := help
.PHONY: help env reports test lint lab bench study data soak clean freeze

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo 'Settings (make reports DATA=course, make test ROOM=data):'
	@awk '/^[A-Z]+ [?]=/ {split($$0, side, "#"); split(side[1], word, " "); \
	  sub(/^ +/, "", side[2]); \
	  printf "  %-8s %-6s %s\n", word[1], word[3], side[2]}' $(MAKEFILE_LIST)

env: $(STAMP) ## make .venv from pyproject.toml and constraints.txt

# The stamp holds the folder that the environment was made for: a copied or broken .venv is remade.
ifneq ($(shell $(PY) -c 'print(1)' 2>/dev/null && cat $(STAMP) 2>/dev/null),1 $(CURDIR))
.PHONY: $(STAMP)
endif

# Python 3.11 goes first because it made the committed numbers.
$(STAMP): pyproject.toml constraints.txt
	@if $(PY) -c 'import pip' 2>/dev/null && \
	    { [ ! -e $(STAMP) ] || [ "$$(cat $(STAMP))" = "$(CURDIR)" ]; }; then :; else \
	  for python in $(or $(strip $(PYTHON)),python3.11 python3.12 python3.13 python3.14 python3); do \
	    if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      2>/dev/null; then found=$$python; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then \
	    echo 'error: no Python 3.11 or newer with venv found (on Debian: apt install' \
	      'python3-venv); name one with make PYTHON=/path/to/python3' >&2; exit 1; fi; \
	  echo "making .venv with $$("$$found" --version)"; \
	  rm -rf .venv; "$$found" -m venv .venv || exit 1; fi
	@rm -f $(STAMP)
	@echo 'installing the pinned packages into .venv (the first time takes some minutes)'
	@$(PY) -m pip install $(QUIET) -c constraints.txt -e '.[$(EXTRAS)]'
	@printf '%s' '$(CURDIR)' > $(STAMP)

reports: env ## run the notebook series and write the pages to reports/html
ifeq ($(strip $(DATA)),course)
	@$(PY) -c 'import sys, sglib.data.course as c; sys.exit(not c.is_imported())' || \
	  $(PY) -m sglib data fetch
endif
	@$(PY) -m sglib report $(OPTIONS)

test: $(if $(strip $(ROOM)),env,lint) ## lint, unit tests, every notebook against its outputs (ROOM=data: one room)
	$(PY) -m pytest $(PARALLEL) $(NBVAL) $(TESTED)

lint: env ## check style and format of code and notebooks
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

lab: env ## open copies of the notebooks in JupyterLab (play/, ignored by git)
	@mkdir -p play; for path in notebooks/*.ipynb; do copy=play/$${path##*/}; \
	  if [ ! -e "$$copy" ]; then sed 's/profile = \\"smoke\\"/profile = \\"paper\\"/' "$$path" > "$$copy"; \
	  elif [ "$$path" -nt "$$copy" ]; then \
	    echo "$$copy is older than $$path and kept: delete it to get a new copy"; fi; done
	$(PY) -m jupyterlab --notebook-dir=. --LabApp.default_url=/lab/tree/play \
	  $(if $(filter 0,$(shell id -u)),--allow-root)

bench: env ## install the peers and measure our speed against theirs
	@$(PY) -m pip install --quiet -c constraints.txt -e '.[bench]'
	@set -e; for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(PY) "$$script"; done

study: env ## run or resume a study (STUDY=paper) and store every run
	@$(PY) -m sglib study $(strip $(STUDY)) $(OPTIONS)

data: env ## import the course set into data/course and verify it
	@$(PY) -m sglib data fetch
	@$(PY) -m sglib data check

soak: env ## repeat the unit tests ROUNDS times with other random examples
	@set -e; round=1; while [ $$round -le $(strip $(ROUNDS)) ]; do echo "== round $$round"; \
	  $(PY) -m pytest $(PARALLEL) -q -p no:cacheprovider --hypothesis-seed=$$round; \
	  round=$$((round + 1)); done

clean: ## remove built pages and caches; keeps .venv, data and runs
	rm -rf reports/html build dist sglib.egg-info .pytest_cache .ruff_cache .hypothesis
	find benchmarks notebooks sglib tests -type d \
	  \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} + 2>/dev/null || true

# Maintainers: after upgrading packages in .venv, write the versions that are now in it.
# CUDA's libraries are torch's own on 64-bit Intel Linux; elsewhere torch chooses (or has none).
CUDA_HOST := sys_platform == "linux" and platform_machine == "x86_64"
freeze: env ## write constraints.txt from what is installed in .venv
	@$(PY) -m pip install --quiet -e '.[bench,$(EXTRAS)]'
	@$(PY) -m pip freeze --all --exclude-editable --exclude pip > .venv/frozen.txt
	@! grep ' @ ' .venv/frozen.txt || { echo 'error: not from a registry' >&2; exit 1; }
	@{ sed -n '/^#/p' constraints.txt; \
	  sed -E -e 's/[+][a-z0-9.]+$$//' -e '/^(nvidia-|cuda-|triton=)/s/$$/; $(CUDA_HOST)/' \
	    .venv/frozen.txt; } > .venv/constraints.txt
	@mv .venv/constraints.txt constraints.txt
	@printf '%s' '$(CURDIR)' > $(STAMP)
