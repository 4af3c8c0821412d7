"""The thread that owns the model, and the queue in front of it.

Rows that wait at the same time are spoken in one batch, whichever turn they belong to. After the first row the worker
listens a moment longer, because the seats of one turn arrive one by one.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from consilium.engines.embedded.model import BARE, AdaptedModel
from consilium.engines.embedded.row import Row
from consilium.engines.embedded.tokens import Tokens
from consilium.errors import ConsiliumError, EngineLost
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue

GATHER_S = 0.01
"""A batch starts once no row has come for this long; a step of the model takes several times as long."""
MAX_ROWS = 32
"""Rows in one batch; more wait for the next."""

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job(Generic[Result]):
    """Something to be done with the model between two batches."""

    task: Callable[[AdaptedModel], Result]
    result: "Future[Result]" = field(default_factory=Future)

    def run(self, model: Callable[[], AdaptedModel]) -> None:
        """Do it; what it raises goes to whoever waits for the result."""
        if self.result.set_running_or_notify_cancel():
            try:
                self.result.set_result(self.task(model()))
            except BaseException as error:
                self.result.set_exception(error)


class Worker:
    """Runs batches and jobs, one at a time, in a thread of its own."""

    def __init__(self, base: Base, catalogue: Catalogue, tokens: Tokens) -> None:
        self._base = base
        self._catalogue = catalogue
        self._tokens = tokens
        self._model: AdaptedModel | None = None
        self._inbox: queue.Queue[Row | Job[Any] | None] = queue.Queue()
        self._closed = threading.Event()
        self._gate = threading.Lock()  # nothing may be queued behind the end, where nobody would ever look
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread and let it load the base model straight away."""
        self._closed.clear()
        self._thread = threading.Thread(target=self._run, name="consilium-embedded", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End what is running and waiting with `EngineLost`, and wait for the thread to end."""
        with self._gate:
            self._closed.set()
            self._inbox.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def submit(self, item: "Row | Job[Result]") -> None:
        """Queue a row or a job. Raises `EngineLost` where the worker was stopped or never started."""
        with self._gate:
            if self._closed.is_set() or self._thread is None:
                raise EngineLost("the embedded engine is not running. Use it inside `async with engine:`.")
            self._inbox.put(item)

    def _run(self) -> None:
        Job(lambda _model: None).run(self._loaded)  # a base that does not load tells whoever asks next
        while not self._closed.is_set() and (item := self._inbox.get()) is not None:
            if isinstance(item, Job):
                item.run(self._loaded)
            else:
                rows, job = self._gather(item)
                self._speak(rows)
                if job is not None:
                    job.run(self._loaded)
        self._abandon()

    def _loaded(self) -> AdaptedModel:
        if self._model is None:
            self._model = AdaptedModel(self._base)
        return self._model

    def _gather(self, first: Row) -> tuple[list[Row], Job[Any] | None]:
        """Return the rows of the next batch, and a job if one came in between."""
        rows = [first]
        while len(rows) < MAX_ROWS:
            try:
                item = self._inbox.get(timeout=GATHER_S)
            except queue.Empty:
                break
            if not isinstance(item, Row):
                if item is None:
                    self._inbox.put(None)
                return rows, item
            rows.append(item)
        return rows, None

    def _speak(self, rows: list[Row]) -> None:
        ready: list[Row] = []
        adapters: list[str] = []
        started = time.perf_counter()
        try:
            model = self._loaded()
            for row in rows:
                if not row.cancelled and (name := self._adapter(row, model)) is not None:
                    ready.append(row)
                    adapters.append(name)
            if ready:
                model.generate(ready, adapters, self._tokens.backend)
        except Exception as error:
            logger.exception("a batch of %d rows broke", len(ready))
            _fail_all(rows, f"the batch broke: {error!r}. The engine goes on; ask again")
        logger.debug("%d rows in %.3f s", len(ready), time.perf_counter() - started)

    def _adapter(self, row: Row, model: AdaptedModel) -> str | None:
        """Return the adapter for the row, loaded; None where it may not be, and the row was told."""
        member = self._catalogue.get(row.prompt.member)
        try:
            model.load(member)
        except ConsiliumError as error:
            row.fail(error)
            return None
        return BARE if member.adapter is None else member.content_name

    def _abandon(self) -> None:
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, Row):
                _fail_all([item], "the engine was closed")
            elif item is not None and item.result.set_running_or_notify_cancel():
                item.result.set_exception(EngineLost("the engine was closed."))


def _fail_all(rows: list[Row], reason: str) -> None:
    for row in rows:
        row.fail(EngineLost(f"{row.prompt.member!r} was not heard: {reason}."))
