# `make` alone lists what there is. Everything runs in .venv, which the first target that needs it makes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PYTHONDONTWRITEBYTECODE := 1

# Most tests wait for brokers, cameras and timers, so three files at a time suit two cores.
SIDE_BY_SIDE ?= -n 3 --dist loadfile

# make demo CAMERA=0, CAMERA=/dev/video0 or CAMERA=rtsp://... watches a real camera instead of the video.
CAMERA ?=

.PHONY: help demo test check format bench wheels arm64 sweep fuzz homeassistant without-mxnet clean

help: ## this list
	@echo 'gluon-edge: from a GluonCV model to detections over MQTT'
	@echo
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24
	@echo
	@echo '  make demo CAMERA=0   the demo on a real camera: an index, /dev/video0, rtsp://... or http://...'

$(READY): pyproject.toml .ci/setup
	@.ci/setup $(VENV)
	@touch $@

demo: $(READY) ## convert, verify and quantize a trained GluonCV SSD, then watch its detections arrive over MQTT
	@.ci/system-packages demo
	@$(BIN)/python examples/demo.py $(if $(CAMERA),--camera '$(CAMERA)')

test: $(READY) ## all tests, with a real Mosquitto, real nets, real processes
	@.ci/system-packages test
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m 'not alone'
	@$(BIN)/python -m pytest -m 'alone'
endif

check: $(READY) ## lint, types, formatting, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports

format: $(READY) ## let ruff format and mend what it can
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(READY) ## measure the figures of benchmarks/ and write its tables
	@$(BIN)/python -m benchmarks $(ARGS)

wheels: $(READY) ## prove that wheels of every dependency resolve for aarch64 and x86-64, Python 3.10 to 3.14
	@.ci/wheels

arm64: $(READY) ## as root: install and run the agent in an emulated arm64 Debian, and compare results (15 minutes)
	@.ci/arm64

sweep: $(READY) ## convert, verify and time every net of the zoo (hours; goes on where it stopped); writes docs/zoo.md
	@$(BIN)/python -m benchmarks.sweep $(ARGS)

fuzz: $(READY) ## damage inputs of every parser for ten minutes each
	@$(BIN)/python -m tests.fuzz.run all $(ARGS)

homeassistant: $(READY) ## install Home Assistant beside (needs Python 3.13), have its own code read what it is told
	@.ci/homeassistant

without-mxnet: ## install with each Python at hand, without MXNet, and convert a saved model
	@.ci/without-mxnet

clean: ## remove the environment and everything built
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
