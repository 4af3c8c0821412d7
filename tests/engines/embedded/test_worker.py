"""The thread that owns the model takes in, refuses, fails and goes on."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from consilium.engines.embedded import worker as worker_module
from consilium.engines.embedded.model import Model
from consilium.engines.embedded.worker import Job, Worker
from consilium.engines.tokens import Tokens
from consilium.errors import BaseUnavailable, EngineBusy, EngineLost, UnknownMember
from consilium.members.base import Base
from consilium.members.catalogue import Member
from tests.support.tiny import Heard, a_prompt, bare_member, some_ids, tiny_catalogue, write_tiny_base

SOON = 20.0
"""Seconds that no test comes near, unless something hangs."""
ENDLESS = 3_000
"""Tokens of a row that is still speaking when its test ends."""


@pytest.fixture
def worker(tiny: Base, crew: list[Member]) -> Iterator[Worker]:
    running = Worker(partial(Model, tiny), tiny_catalogue(tiny, crew), Tokens(tiny))
    running.start()
    yield running
    running.stop()


def a_row(name: str = "pilot", *, seed: int = 0, tokens: int = 6) -> Heard:
    """Return a row that speaks exactly so many tokens."""
    return Heard(a_prompt(name, min_tokens=tokens, max_tokens=tokens), name, some_ids(8, seed=seed))


def wait_until(holds: Callable[[], object]) -> None:
    ends_at = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < ends_at, "it never came"
        time.sleep(0.002)


def submit(worker: Worker, *rows: Heard) -> None:
    for heard in rows:
        worker.submit(heard.row)


class Pause:
    """A job that holds the worker until it is let go."""

    def __init__(self, worker: Worker) -> None:
        self._started, self._go = threading.Event(), threading.Event()
        worker.submit(Job(self._hold))
        assert self._started.wait(SOON)

    def _hold(self, _model: Model) -> None:
        self._started.set()
        assert self._go.wait(SOON)

    def end(self) -> None:
        self._go.set()


def run(worker: Worker, task: Callable[[Model], object]) -> object:
    job: Job[object] = Job(task)
    worker.submit(job)
    return job.result.result(SOON)


def test_more_than_may_wait_is_refused_and_the_rest_is_done(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MAX_IN_HAND", 3)
    pause, rows = Pause(worker), [a_row(seed=seed) for seed in range(3)]
    submit(worker, *rows)
    with pytest.raises(EngineBusy, match="3 requests in hand"):
        worker.submit(a_row().row)
    with pytest.raises(EngineBusy):
        worker.submit(Job(lambda _model: None))
    pause.end()
    wait_until(lambda: all(heard.row.done for heard in rows))
    last = a_row()
    wait_until(lambda: run(worker, lambda model: not model.rows))
    submit(worker, last)
    wait_until(lambda: last.row.done)
    assert all(heard.spoken.completion_tokens == 6 for heard in (*rows, last))


def test_rows_that_speak_are_in_hand_as_well(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "MAX_IN_HAND", 3)
    submit(worker, a_row(tokens=ENDLESS), a_row(tokens=ENDLESS))
    pause = Pause(worker)
    submit(worker, a_row())
    with pytest.raises(EngineBusy):
        worker.submit(a_row().row)
    pause.end()


def test_rows_speak_on_between_jobs(worker: Worker) -> None:
    """However many jobs wait, nobody falls silent until all of them are done."""
    speaker = a_row(tokens=ENDLESS)
    submit(worker, speaker)
    wait_until(lambda: speaker.row.drawn)
    pause, said, jobs = Pause(worker), list[int](), list[Job[None]]()
    for _ in range(8):
        jobs.append(Job(lambda _model: said.append(len(speaker.row.drawn))))
        worker.submit(jobs[-1])
    pause.end()
    for job in jobs:
        job.result.result(SOON)
    assert said == list(range(said[0], said[0] + 8))


def test_a_step_that_breaks_loses_its_rows_and_no_others(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    model = run(worker, lambda model: model)
    assert isinstance(model, Model)
    forward, broken = model._decoder.forward, [True]

    def once(*arguments: object, **named: object) -> object:
        if broken:
            broken.pop()
            raise MemoryError("no room for keys")
        return forward(*arguments, **named)  # type: ignore[arg-type]

    pause, lost = Pause(worker), [a_row("pilot"), a_row("mate"), a_row("clerk")]
    model._decoder.forward = once  # type: ignore[method-assign,assignment]
    submit(worker, *lost)
    pause.end()
    wait_until(lambda: all(heard.row.done for heard in lost))
    for heard in lost:
        (error,) = heard.pieces
        assert isinstance(error, EngineLost)
        assert "no room for keys" in str(error)
        assert heard.row.prompt.member in str(error)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    after = a_row("mate")
    submit(worker, after)
    wait_until(lambda: after.row.done)
    assert after.spoken.completion_tokens == 6


def test_a_job_that_breaks_tells_whoever_waits_and_nobody_else(worker: Worker) -> None:
    speaker = a_row(tokens=200)
    submit(worker, speaker)
    with pytest.raises(ZeroDivisionError):
        run(worker, lambda _model: 1 / 0)
    wait_until(lambda: speaker.row.done)
    assert speaker.spoken.completion_tokens == 200


def test_a_row_of_nobody_is_told_so(worker: Worker) -> None:
    nobody, pilot = a_row("nobody"), a_row()
    submit(worker, nobody, pilot)
    wait_until(lambda: pilot.row.done and nobody.row.done)
    assert isinstance(nobody.pieces[0], UnknownMember)
    assert pilot.spoken.completion_tokens == 6


def test_what_is_in_hand_when_it_stops_is_lost_and_a_new_start_finds_nothing_of_it(worker: Worker) -> None:
    speaking, expected = a_row(tokens=ENDLESS), a_row("mate")
    submit(worker, speaking)
    wait_until(lambda: speaking.row.drawn)
    pause, waiting, job = Pause(worker), a_row(), Job(lambda _model: None)
    submit(worker, waiting)
    worker.submit(job)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    wait_until(worker._closed.is_set)
    pause.end()
    stopping.join(SOON)
    for heard in (speaking, waiting):
        assert isinstance(heard.pieces[-1], EngineLost)
    with pytest.raises(EngineLost):
        job.result.result(0)
    with pytest.raises(EngineLost, match="not running"):
        worker.submit(a_row().row)
    worker.start()
    submit(worker, expected)
    wait_until(lambda: expected.row.done)
    assert expected.spoken.completion_tokens == 6
    assert run(worker, lambda model: model.rows) == []


def test_a_job_that_nobody_waits_for_any_longer_is_not_done(worker: Worker) -> None:
    pause, done = Pause(worker), list[int]()
    job: Job[None] = Job(lambda _model: done.append(1))
    worker.submit(job)
    assert job.result.cancel()
    pause.end()
    assert run(worker, lambda _model: "next") == "next"
    assert done == []


def test_a_base_that_does_not_load_tells_whoever_asks(tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base", "MistralForCausalLM", sliding_window=64)
    worker = Worker(partial(Model, base), tiny_catalogue(base, [bare_member()]), Tokens(base))
    worker.start()
    for _ in range(2):
        row = a_row("clerk")
        submit(worker, row)
        wait_until(lambda row=row: row.row.done)
        assert isinstance(row.pieces[0], BaseUnavailable)
    with pytest.raises(BaseUnavailable, match="sliding-window"):
        run(worker, lambda model: model)
    worker.stop()
