# Every target installs what it needs into .venv; `services` alone touches the system.
#
#   make demo ARGS="--devices 6 --drop"      PYTHON=/path/to/python3.11 picks the interpreter

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SETTINGS := pyproject.toml constraints.txt

FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help demo test test-long coverage fuzz check docs protos bundles services

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|'

demo: .venv/.demo ## four devices learn from each other's dreams, masks on (ARGS=... is passed on)
	@$(BIN)/dreamshare demo $(ARGS)

test: .venv/.dev ## the whole suite; needs no root; what lacks a service is skipped and says so
	@scripts/test all

test-long: .venv/.dev ## processes killed at random instants; the properties with many more examples
	@scripts/test long

coverage: .venv/.dev ## how much of the crypto room the tests reach, by branches; fails below 97 %
	@scripts/coverage

fuzz: .venv/.fuzz ## look for inputs that break a decoder or a machine (TARGET=name FUZZ_SECONDS=60 each)
	@$(BIN)/python -m tests.fuzz run $(TARGET) --seconds $(FUZZ_SECONDS)

check: .venv/.dev ## format, lint, types, arrows, sizes, generated code, documentation
	@scripts/check

docs: .venv/.dev ## the documentation as a site, in build/site
	@scripts/docs

protos: .venv/.dev ## make the wire format's Python code anew
	@scripts/protos

bundles: .venv/.dev ## build the demo's nets for devices without torch anew
	@$(BIN)/python -m dreamshare_cli.demo.bundles

services: ## install the system services that integration tests want (root, Debian)
	@scripts/services

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Dreamshare needs Python 3.11 or later; name one: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# A stamp is older than the settings exactly when the environment may differ from them.
.venv/.demo: $(SETTINGS) | .venv/bin/python
	@echo "Installing what the demo needs into .venv (once)"
	$(PIP) install -c constraints.txt -e '.[demo]'
	@touch $@

.venv/.dev: $(SETTINGS) | .venv/bin/python
	@echo "Installing what the tests need into .venv (once; torch is the largest part)"
	$(PIP) install -c constraints.txt -e '.[demo,dev]'
	@touch $@ .venv/.demo

.venv/.fuzz: $(SETTINGS) | .venv/bin/python
	@echo "Installing what fuzzing needs into .venv"
	$(PIP) install -c constraints.txt -e '.[fuzz]'
	@touch $@ .venv/.demo .venv/.dev
