"""The thread that owns the model, and the queue in front of it.

Between two steps of the model it takes in what has arrived: rows join those that are speaking, whichever turn they
belong to, and jobs are done.
"""

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from consilium.engines.embedded.model import Model
from consilium.engines.embedded.row import Row
from consilium.engines.tokens import Tokens
from consilium.errors import ConsiliumError, EngineBusy, EngineLost
from consilium.members.catalogue import Catalogue

MAX_IN_HAND = 1_024
"""Rows and jobs that may be in hand at one time; more are refused, so that nobody waits without an end in sight."""

TOGETHER_S = 0.004
"""How long a step waits for more rows where none speaks yet: the seats of a turn arrive within milliseconds of each
other, and prompts that are read side by side take less time than one after another."""

Result = TypeVar("Result")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job(Generic[Result]):
    """Something to be done with the model between two steps."""

    task: Callable[[Model], Result]
    result: "Future[Result]" = field(default_factory=Future)

    def run(self, model: Callable[[], Model]) -> None:
        """Do it; what it raises goes to whoever waits for the result."""
        if self.result.set_running_or_notify_cancel():
            try:
                self.result.set_result(self.task(model()))
            except BaseException as error:
                self.result.set_exception(error)


class Worker:
    """Runs steps and jobs, one at a time, in a thread of its own, on a model that is loaded there."""

    def __init__(self, load: Callable[[], Model], catalogue: Catalogue, tokens: Tokens) -> None:
        self._load = load
        self._catalogue = catalogue
        self._tokens = tokens
        self._model: Model | None = None
        self._inbox: queue.Queue[Row | Job[Any] | None] = queue.Queue()
        self._in_hand = 0  # rows that the model has; written by the thread alone
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
        """Queue a row or a job.

        Raises:
            EngineLost: the worker was stopped or never started.
            EngineBusy: too much is in hand already.
        """
        with self._gate:
            if self._closed.is_set() or self._thread is None:
                raise EngineLost("the embedded engine is not running. Use it inside `async with engine:`.")
            if self._inbox.qsize() + self._in_hand >= MAX_IN_HAND:
                raise EngineBusy(
                    f"the embedded engine has {MAX_IN_HAND:,} requests in hand. Ask again when some are done."
                )
            self._inbox.put(item)

    def _run(self) -> None:
        Job(lambda _model: None).run(self._loaded)  # a base that does not load tells whoever asks next
        while self._take_in():
            self._step()
        self._abandon()

    def _loaded(self) -> Model:
        if self._model is None:
            self._model = self._load()
        return self._model

    def _take_in(self) -> bool:
        """Take in what has arrived, up to the first job; wait where nothing is in hand. False once it was stopped.

        One job between two steps, so that no number of them silences the rows that speak.
        """
        nobody_spoke = self._in_hand == 0
        while not self._closed.is_set():
            waits = None if self._in_hand == 0 else TOGETHER_S
            try:
                item = self._inbox.get(block=nobody_spoke, timeout=waits)
            except queue.Empty:
                return True
            if isinstance(item, Job):
                item.run(self._loaded)
                if self._in_hand:
                    return not self._closed.is_set()
            elif item is not None:
                self._seat(item)
        return False

    def _seat(self, row: Row) -> None:
        """Hand a row to the model, or tell it why not."""
        try:
            row.bind(self._tokens.backend)
            model = self._loaded()
            model.add(row, self._catalogue.get(row.prompt.member))
            self._in_hand = len(model.rows)
        except ConsiliumError as error:
            row.fail(error)
        except Exception as error:
            logger.exception("a row could not be taken in hand")
            _fail([row], f"it could not be taken in hand: {error!r}")

    def _step(self) -> None:
        model = self._loaded()
        rows = model.rows
        try:
            model.step()
        except Exception as error:
            logger.exception("a step with %d rows in hand broke", len(rows))
            _fail(rows, f"a step broke: {error!r}. The engine goes on; ask again")
        self._in_hand = len(model.rows)

    def _abandon(self) -> None:
        if self._model is not None:
            _fail(self._model.rows, "the engine was closed")
            self._model.step()  # a row that has ended leaves; the next start finds none
        while True:
            try:
                item = self._inbox.get_nowait()
            except queue.Empty:
                return
            if isinstance(item, Row):
                _fail([item], "the engine was closed")
            elif item is not None and item.result.set_running_or_notify_cancel():
                item.result.set_exception(EngineLost("the engine was closed."))


def _fail(rows: list[Row], reason: str) -> None:
    for row in rows:
        row.fail(EngineLost(f"{row.prompt.member!r} was not heard: {reason}."))
