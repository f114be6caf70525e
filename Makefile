# One virtual environment, .venv, made anew when pyproject.toml or the requirements change, or PYTHON names another one
# (as in "make test PYTHON=python3"; the default is the newest that the matrix knows, else python3);
# .venv-bench for the benchmark and .venv-apps for the packages of others, so that none sees the tools of another.

ifndef PYTHON
PYTHON := $(shell sh tests/find_python.sh 3.13 || echo python3)
endif
VENV := .venv
BENCH_VENV := .venv-bench
APPS_VENV := .venv-apps
APPS_DJANGO := 6.1
BIN := $(VENV)/bin
MADE := $(VENV)/.made-with$(subst /,-,-$(PYTHON))
BENCH_MADE := $(BENCH_VENV)/.made-with$(subst /,-,-$(PYTHON))
APPS_MADE := $(APPS_VENV)/.made-with$(subst /,-,-$(PYTHON))-django-$(APPS_DJANGO)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests and benchmarks start hundreds of processes: without bytecode, each of them would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo demo-once test apps pictures soak bench bench-queue bench-inbox docs lint matrix build clean

help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo ## Start the example site and a sandbox, send mail, serve until Ctrl-C; MIGMA_QUEUE=1 through the queue
	@$(BIN)/python example_project/demo.py

demo-once: $(VENV)/.demo ## The same and end, directly and through the queue; fails if any of the mail is missing
	@MIGMA_QUEUE= $(BIN)/python example_project/demo.py --once
	@MIGMA_QUEUE=1 $(BIN)/python example_project/demo.py --once

test: $(VENV)/.test ## Run the tests, with branch coverage; those in a browser, on PostgreSQL and on Redis where these are installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=auto; status=$$?; \
	$(BIN)/python -m tests.services $(BIN)/coverage run -m pytest --numprocesses=auto @tests/on_postgresql.txt || status=1; \
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report && \
	{ $(BIN)/python -m tests.browser.chromium >/dev/null; exit $$status; }

apps: $(APPS_MADE) ## Send the mail of other packages to a sandbox, and write the table of the manual; APPS="wagtail" for one
	@$(APPS_VENV)/bin/python -m compatibility $(APPS)

pictures: $(VENV)/.test ## Take the pictures of the admin and of the inbox in docs/images anew
	REQUIRE_BROWSER=1 PICTURES=$(CURDIR)/docs/images $(BIN)/python -m pytest tests/browser/test_demo.py

soak: $(VENV)/.test ## Send through faults, and kill workers of the queue, for half an hour; SOAK="--seed 7" repeats a part
	$(BIN)/python -m tests.faults.soak $(SOAK)
	QUEUE_EXAMPLES=1000 $(BIN)/python -m pytest tests/delivery/test_states.py
	$(BIN)/python -m tests.crashes --seeds 50
	$(BIN)/python -m tests.crashes --seeds 50 --database postgresql
	$(BIN)/python -m tests.soak --minutes 10 $(SOAK)
	$(BIN)/python -m tests.soak --minutes 10 --database postgresql $(SOAK)
	$(BIN)/python -m tests.soak --minutes 3 --engine tasks $(SOAK)
	$(BIN)/python -m tests.soak --minutes 3 --engine celery $(SOAK)
	$(BIN)/python -m tests.soak --minutes 1 --without-keys $(SOAK)

bench: $(BENCH_MADE) ## Measure speed beside others; BENCH="--quick" for a rough idea, "--against PATH" with another checkout
	@$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

bench-queue: $(BENCH_MADE) ## Measure the queue beside others, on SQLite, PostgreSQL and Redis; BENCH="--quick" for a rough idea
	@$(BENCH_VENV)/bin/python -m benchmarks.queue $(BENCH)

bench-inbox: $(VENV)/.test ## Measure what viewers of the sandbox's inbox cost, in a browser; BENCH="--quick" for a rough idea
	@$(BIN)/python -m benchmarks.inbox $(BENCH)

docs: $(VENV)/.docs ## Build the manual into docs/_build, without a warning
	$(BIN)/python -m sphinx --builder html --fresh-env --nitpicky --fail-on-warning --keep-going --quiet docs docs/_build
	@$(BIN)/python docs/check_links.py
	@echo "The manual: docs/_build/index.html"

lint: $(VENV)/.lint ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy

matrix: ## Run the tests on every supported pair of Python and Django
	sh tests/matrix.sh

build: $(VENV)/.build ## Build the distributions, check them, list the wheel
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m zipfile --list dist/*.whl

clean: ## Remove what these verbs have made
	rm -rf $(VENV) $(BENCH_VENV) $(APPS_VENV) build dist docs/_build \
		.coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache example_project/.ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE): pyproject.toml $(wildcard requirements/*.txt)
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(BENCH_MADE): pyproject.toml requirements/bench.txt
	rm -rf $(BENCH_VENV)
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --requirement requirements/bench.txt
	@touch $@

$(APPS_MADE): pyproject.toml requirements/apps.txt
	rm -rf $(APPS_VENV)
	$(PYTHON) -m venv $(APPS_VENV)
	$(APPS_VENV)/bin/python -m pip install --quiet "django==$(APPS_DJANGO).*" \
		--requirement requirements/apps.txt
	@touch $@

$(VENV)/.%: requirements/%.txt $(MADE)
	$(BIN)/python -m pip install --quiet --requirement $<
	@touch $@
