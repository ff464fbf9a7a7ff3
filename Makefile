# The same commands as CI's; `python3 manage.py up` and `python3 manage.py test` need no make.

SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
VENV := .venv/bin
BENCHMARKS := control ratelimit caching queries batches pools balancer balancer_reads operations
TEMPLATES = $$(git ls-files '*.html')
COMPILE := $(VENV)/uv pip compile --universal --python-version 3.11 --no-emit-index-url \
	--custom-compile-command "make requirements"

.PHONY: help up test check fmt bench requirements venv

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up:  ## Start everything and print where it is
	python3 manage.py up

test:  ## Run the tests on SQLite and PostgreSQL; ARGS="-k name" goes to pytest
	python3 manage.py test $(ARGS)

check: venv  ## Lint, types, imports, templates, deployment settings, migrations
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy .
	$(VENV)/lint-imports
	@if [ -n "$(TEMPLATES)" ]; then $(VENV)/djlint --quiet --lint $(TEMPLATES); fi
	set -a && source deploy/production.env && \
		$(VENV)/python manage.py check --deploy --fail-level WARNING
	$(VENV)/python manage.py makemigrations --check --dry-run

fmt: venv  ## Format the code and mend what ruff can
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .

bench: venv  ## Run every benchmark: a table each, JSON in var/benchmarks
	@mkdir -p var/benchmarks
	@for name in $(BENCHMARKS); do \
		$(VENV)/python -m benchmarks.$$name --json var/benchmarks/$$name.json || exit 1; \
	done

requirements: venv  ## Pin requirements*.in anew
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-otel.in -o requirements-otel.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt

venv:
	@python3 manage.py venv
