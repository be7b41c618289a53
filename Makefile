# `make` alone lists the targets. `demo` and `test` do all the set-up, into .venv in this folder, and can be run again at
# any time: packages are only installed if pyproject.toml or constraints.txt has changed.
#
#   make demo PHOTOS="my photos"      train on your own folder
#   make test PYTHON=python3.12       choose the Python that .venv is made with
#   make unit ARGS="-k split -x"      pass arguments to pytest

SHELL := /bin/sh
PYTHON ?= $(shell sh scripts/find_python.sh)
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check
RUN := $(BIN)/python -m
PHOTOS ?=
ARGS ?=
DATA ?=
PEERS ?=
BASE ?= HEAD
SHORT ?=
PUBLISH ?=
# Python keeps what it compiles: compiling all tests again takes each process ten seconds.
TESTING := OMP_WAIT_POLICY=PASSIVE PYTHONDONTWRITEBYTECODE=
export PIP_REQUIRE_VIRTUALENV := 1

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers unit slow package isa golden measure format docs site bench torture clean

help: ## list the targets
	@echo "regraft: a classifier from a folder of labeled photos"
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' Makefile | column -t -s@ 2>/dev/null \
	  || sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1: \2/p' Makefile

demo: .venv/base.stamp ## install, then train on the embedded sample, or on PHOTOS=folder; no network needed for the run
	@$(RUN) regraft demo $(if $(PHOTOS),"$(PHOTOS)")

test: .venv/dev.stamp lint types layers unit ## install with the dev extra, then lint, types, import contract, tests

lint: .venv/dev.stamp ## formatting, lint, and the words of docs/glossary.md
	@echo "== formatting, lint, words"
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(BIN)/python scripts/check_words.py

types: .venv/dev.stamp ## strict type check
	@echo "== types"
	@$(RUN) mypy

layers: .venv/dev.stamp ## check which package imports which
	@echo "== import contract"
	@$(BIN)/lint-imports

unit: .venv/dev.stamp ## all tests but the slow ones, on all cores; ARGS goes to pytest
	@echo "== tests"
	@$(TESTING) $(RUN) pytest -n auto --dist worksteal -m "not slow" $(ARGS)

slow: .venv/dev.stamp ## the slow tests: killed processes, full disks, memory of many photos
	@echo "== slow tests"
	@$(TESTING) $(RUN) pytest -n auto -m slow $(ARGS)

package: .venv/dev.stamp ## build sdist and wheel, install the wheel into an empty environment, run demo and lesson from it
	@$(BIN)/python scripts/check_package.py

isa: .venv/dev.stamp ## features, inference, training, recipes under the instructions of other processors; SHORT=1 for CI
	@$(BIN)/python scripts/isa.py $(if $(SHORT),--short) $(if $(ARGS),-- $(ARGS))

golden: .venv/dev.stamp ## compare recipes, command line and public names with those of a commit, to the bit; BASE=commit
	@$(BIN)/python scripts/golden.py "$(BASE)" $(ARGS)

measure: .venv/dev.stamp ## size and structure of the source tree and of BASE=commit; with PHOTOS=folder, also the modules of a run
	@$(BIN)/python scripts/measure.py --base "$(BASE)" $(if $(PHOTOS),--walk "$(PHOTOS)") $(ARGS)

format: .venv/dev.stamp ## format the code and repair what the linter can
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

docs: .venv/base.stamp ## write docs/cli.md from --help
	@$(BIN)/python scripts/cli_reference.py

site: .venv/site.stamp ## build the documentation site in site/, for any web server; PUBLISH=folder adds this version to a folder of versions
	@$(BIN)/python scripts/build_site.py $(if $(PUBLISH),--publish --out "$(PUBLISH)")

bench: .venv/dev.stamp ## the benchmarks, one after the other; slow. DATA=folder PEERS=folder adds docs/benchmarks.md
	@for name in loop_overhead probe_solver many_photos; do \
	  echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(if $(PEERS),@$(PIP) install -qq -c constraints.txt -e ".[dev,bench]" && for name in compare training_step; do \
	  echo "== benchmarks/$$name.py"; $(BIN)/python benchmarks/$$name.py "$(DATA)" --peers "$(PEERS)" || exit 1; done)

torture: .venv/dev.stamp ## kill 100 trainings at random instants and compare their results; about an hour. DATA=folder with train/
	@$(BIN)/python benchmarks/torture.py "$(DATA)" --runs 100

clean: ## remove .venv and all caches
	rm -rf .venv build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

.venv/base.stamp: .venv/made.stamp pyproject.toml constraints.txt
	@echo "== installing regraft and its dependencies into .venv (a few minutes the first time, mostly PyTorch)"
	@$(PIP) install -qq -c constraints.txt -e .
	@touch $@

.venv/dev.stamp: .venv/made.stamp pyproject.toml constraints.txt
	@echo "== installing regraft and its development tools into .venv (a few minutes the first time, mostly PyTorch)"
	@$(PIP) install -qq -c constraints.txt -e ".[dev]"
	@touch $@ .venv/base.stamp

.venv/site.stamp: .venv/made.stamp pyproject.toml constraints.txt
	@echo "== installing the generator of the documentation site into .venv"
	@$(PIP) install -qq -c constraints.txt -e ".[site]"
	@touch $@

.venv/made.stamp:
	@sh scripts/find_python.sh "$(PYTHON)" > /dev/null
	@echo "== making .venv with $(PYTHON)"
	@"$(PYTHON)" -m venv --clear .venv
	@touch $@
