# What a person types. The work is in deploy/*.sh; ARGS goes to the command behind a target.
.DEFAULT_GOAL := help
.PHONY: help run demo test lint types format bench models settings clean

PYTHON := .venv/bin/python
ARGS ?=
NAME ?= actors

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## install, get the default models and start a node (ARGS="--http-port 9000")
	@exec deploy/run.sh $(ARGS)

demo:  ## walk through a meeting with real speech, against the running node
	@deploy/install.sh
	@exec $(PYTHON) -m deploy.demo $(ARGS)

test:  ## install what the whole suite needs, then run it (ARGS="-k room")
	@exec deploy/test.sh $(ARGS)

lint:  ## ruff: rules and format
	@deploy/install.sh lint
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .

types:  ## mypy --strict over everything
	@deploy/install.sh test lint
	@$(PYTHON) -m mypy

format:  ## let ruff put the code in order
	@deploy/install.sh lint
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

bench:  ## figures beside their peers' (NAME=actors, ARGS="--long")
	@deploy/install.sh test bench
	@exec $(PYTHON) -m tests.bench $(NAME) $(ARGS)

models:  ## get the default models (ARGS="NAME..." for others)
	@exec deploy/models.sh $(ARGS)

settings:  ## write the table in docs/settings.md anew
	@deploy/install.sh
	@$(PYTHON) -m runtime.settings_page docs/settings.md

clean:  ## remove what was built, the environment included; var/, your data, stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
