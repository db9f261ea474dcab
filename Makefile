# Two commands matter: `make run` and `make test`. `make help` lists the rest.
# File targets keep both idempotent: when nothing changed they do nothing.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell command -v python3.11 || command -v python3)
MODE ?= embedded
FRONTEND := editor/frontend
FRONTEND_SOURCES = $(shell find $(FRONTEND)/src -type f 2>/dev/null) \
	$(wildcard $(FRONTEND)/*.json $(FRONTEND)/*.ts $(FRONTEND)/*.html) $(FRONTEND)/.npmrc
BIN := .venv/bin
# uv reads neither pip's configuration nor its certificates; with this it trusts what the system trusts.
export UV_SYSTEM_CERTS ?= 1
# node may come from a wheel in the environment; a node of the machine goes first.
export PATH := $(PATH):$(CURDIR)/.venv/node/bin

INSTALL = scripts/install.sh

.PHONY: help run test lint format types contracts frontend-checks unit browser bench chaos chaos-rows chaos-rest docs lock clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; \
	do printf '  make %-16s %s\n' "$$name" "$$text"; done

run: .venv/.run static/dist/manifest.json ## start the product; Ctrl-C stops it (MODE=full: on PostgreSQL)
	@if [ "$(MODE)" = full ]; then scripts/need.sh full; fi
	@exec $(BIN)/python manage.py up --mode $(MODE)

test: .venv/.test static/dist/manifest.json ## everything: lint, types, contracts, front end, suite, browser
	@scripts/need.sh test
	@$(MAKE) lint types contracts frontend-checks unit browser

lint: .venv/.test ## ruff: mistakes and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: .venv/.test ## let ruff put the format right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: .venv/.test ## mypy, strict for engine/
	@$(BIN)/mypy

contracts: .venv/.test ## which room may import which
	@$(BIN)/lint-imports

frontend-checks: $(FRONTEND)/node_modules/.stamp ## Biome, TypeScript and Vitest
	@cd $(FRONTEND) && npm run --silent lint && npm run --silent check && npm run --silent test

unit: .venv/.test static/dist/manifest.json ## the suite without the browser, on PostgreSQL and on SQLite
	@$(BIN)/python -m pytest -n 3 -m "not browser and not chaos"
	@TEST_DATABASE_URL=sqlite:///test.sqlite3 $(BIN)/python -m pytest -n 2 -m "both_databases and not stack"

browser: .venv/.test static/dist/manifest.json ## the suite with the browser
	@$(BIN)/python -m pytest -n 2 -m browser

bench: .venv/.test ## speed against a reference measured in the same run
	@$(BIN)/python -m bench

chaos: .venv/.test static/dist/manifest.json ## kill processes in the middle of work
	@$(MAKE) --no-print-directory -j2 -k chaos-rows chaos-rest

# Rows that measure times have the processors to themselves; F24 and F22 have what waiting leaves of them. F22 comes last: it
# waits for nothing, so alone it fills them.
CHAOS_REST = tests/chaos/test_embedded.py tests/chaos/test_rivals.py

chaos-rows: .venv/.test static/dist/manifest.json
	@$(BIN)/python -m pytest -m chaos tests/chaos $(CHAOS_REST:%=--ignore=%)

chaos-rest: .venv/.test static/dist/manifest.json
	@chrt -i 0 $(BIN)/python -m pytest -m chaos $(CHAOS_REST)

docs: .venv/.test ## check that the documentation's examples and links hold
	@$(BIN)/python -m pytest tests/docs

lock: .venv/bin/uv ## resolve the pinned requirements into the hashed locks
	@scripts/lock.sh

clean: ## remove what was built; the data in var/ stays
	rm -rf .venv $(FRONTEND)/node_modules static/dist build

.venv/bin/uv: scripts/uv.lock
	@scripts/need.sh base "$(PYTHON)"
	@$(INSTALL) uv "$(PYTHON)"
	@touch $@

.venv/.run: requirements.lock .venv/bin/uv
	@$(INSTALL) packages requirements.lock
	@touch $@

.venv/.test: tests/requirements.lock .venv/.run
	@$(INSTALL) packages tests/requirements.lock
	@touch $@

$(FRONTEND)/node_modules/.stamp: $(FRONTEND)/package-lock.json $(FRONTEND)/package.json | .venv/.run
	@scripts/need.sh node
	@$(INSTALL) frontend $(FRONTEND)
	@touch $@

static/dist/manifest.json: $(FRONTEND)/node_modules/.stamp $(FRONTEND_SOURCES)
	@echo "Building the pages."
	@cd $(FRONTEND) && npm run --silent build -- --logLevel warn
	@$(BIN)/python -m whitenoise.compress -q --no-brotli static/dist
	@touch $@
