# SPDX-License-Identifier: Apache-2.0
# Each target is one command that also works without make, in the environment that `make install` builds.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
FOR ?= 30

.PHONY: help install demo test javascript conformance conformance-browser selftest lint deep spec soak faults bench fuzz site site-serve dist clean

help:  ## Say what there is
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*## /\t/'

$(STAMP): pyproject.toml conformance/pyproject.toml requirements/constraints.txt
	$(PYTHON) -m venv .venv && $(BIN)/python -m pip install -q --disable-pip-version-check -c requirements/constraints.txt -e '.[dev]' -e conformance && touch $(STAMP)

install: $(STAMP)  ## Build the environment in .venv

demo: $(STAMP)  ## A real group call of several processes on this machine
	$(BIN)/callchannel demo

test: $(STAMP)  ## Run the tests in Python; those that need Node or Chromium are skipped without it
	$(BIN)/python -m pytest -q

javascript:  ## Check the types of the JavaScript implementation and run its tests; needs Node 20 or newer
	cd reference/javascript && { test -d node_modules || npm ci --silent; } && npm run --silent check && node --test

conformance: $(STAMP)  ## Run the conformance suite against the reference
	$(BIN)/callchannel-conformance run --budget 50s --adapter "$(BIN)/python -m callchannel.adapter"

conformance-browser: $(STAMP)  ## Run the suite against the JavaScript implementation inside Chromium, and record the result
	PYTHONPATH=reference/python $(BIN)/python -m tests.web.suite_in_chromium --json conformance/results/javascript-chromium.json

selftest: $(STAMP)  ## Test the suite: seeded defects die, legal variants pass, bad adapters are seen for what they are
	$(BIN)/callchannel-conformance selftest && $(BIN)/callchannel-conformance matrix --check

lint: $(STAMP)  ## Formatting, linting, types, and the standard's own checks
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/python -m tools.spec_check && $(BIN)/python -m tools.spec_render --check && $(BIN)/python -m tools.vectors --check && $(BIN)/python -m tools.release.versions && $(BIN)/python -m tools.release.changelog

deep: $(STAMP)  ## The property tests with 10,000 examples each
	HYPOTHESIS_PROFILE=deep $(BIN)/python -m pytest -q -k property

spec: $(STAMP)  ## Fill the generated parts of the standard, and its vectors
	$(BIN)/python -m tools.spec_render && $(BIN)/python -m tools.vectors && $(BIN)/python -m tools.spec_check --update

soak: $(STAMP)  ## Simulate calls for FOR seconds on all cores
	PYTHONPATH=reference/python $(BIN)/python -m simulator.soak --for $(FOR)

faults: $(STAMP)  ## Cut, kill and stop what takes part in real calls; QUICK=1 for the short form, ONLY=name for one
	PYTHONPATH=reference/python $(BIN)/python -m faults $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

bench: $(STAMP)  ## Compare speed side by side; QUICK=1 for a short run, ONLY=name for one, JSON=file to keep results
	PYTHONPATH=reference/python $(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(JSON),--json $(JSON))

fuzz: $(STAMP)  ## Fuzz codec, endpoint and relay for FOR seconds each; ONLY=relay for one
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements/constraints.txt -e '.[fuzz]'
	PYTHONPATH=reference/python $(BIN)/python -m fuzz --for $(FOR) $(if $(ONLY),--only $(ONLY))

site: $(STAMP)  ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build -q --strict

site-serve: $(STAMP)  ## Show the documentation
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

dist: $(STAMP)  ## Build the packages and the archive of the standard into dist/, and try each alone; needs npm
	$(BIN)/python -m tools.release.build && $(BIN)/python -m tools.release.trial

clean:  ## Remove what the other targets made
	rm -rf .venv .hypothesis .pytest_cache .mypy_cache .ruff_cache build dist site
