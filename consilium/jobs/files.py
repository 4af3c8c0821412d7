"""A job's files: the results, to which whole lines are appended, the index beside them, and the lock."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from consilium.errors import JobError
from consilium.jobs.result import Result
from consilium.members.files import write_whole

JobStatus = Literal["running", "finished", "stopped", "cancelled", "failed"]


class JobIndex(BaseModel):
    """What is known of a job beside its rows: ``OUT.job.json``, always written whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    id: str
    """Names the job's turns in the ledger."""
    spec: dict[str, Any]
    """The `JobSpec` of its last run."""
    asked: str
    """Digest of what every row is asked with; results of another asking are not mixed with these."""
    attempt: int = 0
    """Rises with each retry, so that what failed is asked anew."""
    status: JobStatus
    why: str = ""
    rows: int = 0
    done: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    """Of all runs together."""
    updated_at: datetime


class JobFiles:
    """The results at ``output``, held against other processes while the job runs.

    A line is in the results once `append` has returned: written, and synced to the disk. What a dying process left of
    a line is cut off by the next one.

    Raises:
        JobError: the output is no file's name, the folder cannot be written, or another process runs the job.
    """

    def __init__(self, output: Path) -> None:
        if not output.name:
            raise JobError(f"the output {str(output)!r} is a folder. Name a file, such as out.jsonl.")
        self.output = output
        self.index_file = output.with_name(f"{output.name}.job.json")
        self.cancel_file = output.with_name(f"{output.name}.cancel")
        self._lock_file = output.with_name(f"{output.name}.lock")
        self._lock: BinaryIO | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        """Take the lock and mend the results."""
        try:
            self._lock = self._lock_file.open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.cancel_file.unlink(missing_ok=True)
            self._file = self.output.open("a+b", buffering=0)
            self._cut_torn_line(self._file)
        except BlockingIOError as error:
            self._close()
            raise JobError(f"another process runs the job of {self.output}. Wait for it, or cancel it.") from error
        except OSError as error:
            self._close()
            raise JobError(
                f"{self.output} cannot be written: {error.strerror}. Name a place that can be, outside the input."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the lock; a job that never began leaves nothing behind."""
        self._close()
        if not self.index_file.exists() and self.output.stat().st_size == 0:
            self.output.unlink()
            self._lock_file.unlink()

    @property
    def in_use(self) -> bool:
        """Whether some process runs the job."""
        if not self._lock_file.exists():
            return False
        with self._lock_file.open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def append(self, results: Iterable[Result]) -> None:
        """Add whole lines and sync them. Raises `JobError` where there is no room; then none of them is there."""
        if self._file is None:
            raise JobError(f"{self.output} is not open. Use it inside `with`.")
        end = self._file.seek(0, os.SEEK_END)
        lines = memoryview(b"".join(result.line() for result in results))
        try:
            while lines:
                lines = lines[self._file.write(lines) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(end)
            raise JobError(
                f"{self.output} takes no more: {error.strerror}. Make room, and run the same command again: "
                "what was answered is in the ledger and will not be paid again."
            ) from error

    def results(self) -> Iterator[Result]:
        """Yield the results, in the order in which they came. Raises `JobError` at a line that is none."""
        if not self.output.exists():
            return
        with self.output.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return  # a line that is just being written
                try:
                    yield Result.from_line(line)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    raise JobError(
                        f"{self.output} line {number} is no result of a job ({error!r:.80}). Name another output."
                    ) from error

    def read_index(self) -> JobIndex | None:
        """Return the index; None where there is none. Raises `JobError` where it is damaged."""
        try:
            return JobIndex.model_validate_json(self.index_file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise JobError(f"{self.index_file} cannot be read: {error}. Restore it, or name another output.") from error

    def write_index(self, index: JobIndex) -> None:
        """Write the index whole."""
        try:
            write_whole(self.index_file, index.model_dump_json(indent=1).encode())
        except OSError as error:
            raise JobError(
                f"{self.index_file} cannot be written: {error.strerror}. Make room or mend rights."
            ) from error

    def drop_failed(self) -> int:
        """Take the failed rows out of the results, which are replaced whole, and return how many there were."""
        kept = self.output.with_name(f".{self.output.name}.kept")
        dropped = 0
        with kept.open("wb") as file:
            for result in self.results():
                if result.error:
                    dropped += 1
                else:
                    file.write(result.line())
            file.flush()
            os.fsync(file.fileno())
        kept.replace(self.output)
        if self._file is not None:
            self._file.close()
            self._file = self.output.open("a+b", buffering=0)
        return dropped

    def _close(self) -> None:
        for file in (self._file, self._lock):
            if file is not None:
                file.close()
        self._file = self._lock = None

    @staticmethod
    def _cut_torn_line(file: BinaryIO) -> None:
        end = at = file.seek(0, os.SEEK_END)
        while at > 0:
            start = max(0, at - 65_536)
            file.seek(start)
            last = file.read(at - start).rfind(b"\n")
            if last >= 0:
                at = start + last + 1
                break
            at = start
        if at < end:
            file.truncate(at)
            os.fsync(file.fileno())
