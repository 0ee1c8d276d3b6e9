# make classify IMAGE=photo.jpg [MODEL=xception]   says what is in a picture
# make test                                        runs the tests, with coverage
# make test-quick                                  runs those that take no time, in a minute
# make lint, docs, benchmark, benchmark-folder, benchmark-precision, benchmark-teach,
# benchmark-install                                see CONTRIBUTING.md
#
# Each sets up all that it needs in .venv; the machine needs Python 3.11 or newer, and make.

PYTHON ?= python3
export IMAGE ?= examples/soccer_ball.jpg
export MODEL ?=

BIN := .venv/bin
RUN := .venv/installed
DEVELOP := .venv/installed-to-develop

.PHONY: classify test test-quick lint docs benchmark benchmark-folder benchmark-precision benchmark-teach \
	benchmark-install clean

classify: $(RUN)
	@$(BIN)/topfive classify $(if $(MODEL),--model "$$MODEL") -- "$$IMAGE"

test: $(DEVELOP)
	$(BIN)/python -m pytest --cov -n 2 --dist loadfile --no-loadscope-reorder

test-quick: $(DEVELOP)
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --no-loadscope-reorder

lint: $(DEVELOP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(DEVELOP)
	$(BIN)/python scripts/write_docs.py

benchmark: $(DEVELOP)
	$(BIN)/python -m benchmarks.one_photograph --runs 7

benchmark-precision: $(DEVELOP)
	$(BIN)/python -m benchmarks.precision

benchmark-teach: $(DEVELOP)
	$(BIN)/python -m benchmarks.teach

benchmark-install: $(DEVELOP)
	$(BIN)/python -m benchmarks.install --without-default-weights

benchmark-folder: $(DEVELOP)
	$(BIN)/python -m benchmarks.folder
	$(BIN)/python -m benchmarks.flat_memory
	$(BIN)/python -m benchmarks.cluster

clean:
	rm -rf .venv build *.egg-info src/*.egg-info .coverage .*_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "topfive needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.11 ...")'
	@$(PYTHON) -m venv .venv

$(RUN): pyproject.toml | .venv/bin/python
	@echo 'setting up .venv ...'
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEVELOP): pyproject.toml | .venv/bin/python
	@$(BIN)/python -m pip install --quiet --editable '.[dev,tensorflow]'
	@touch $@ $(RUN)
