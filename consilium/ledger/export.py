"""Taking a ledger elsewhere: whole turns as JSON lines, or one row a seat as Parquet."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydantic import TypeAdapter

from consilium.errors import BadInput, ConsiliumError, MissingExtra
from consilium.ledger.entries import TurnLog
from consilium.ledger.protocol import Ledger
from consilium.ledger.reading import pages

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = TypeAdapter(TurnLog)
FORMATS = (".jsonl", ".parquet")


async def export(ledger: Ledger, file: Path, *, session_id: str | None = None) -> int:
    """Write all turns, or those of one session, to a file that is whole or not there; return how many turns.

    Args:
        ledger: open.
        file: ``.jsonl`` gets a `TurnLog` a line, ``.parquet`` a seat a row.
        session_id: only that session.

    Raises:
        BadInput: the file's name ends otherwise, or it cannot be written.
        MissingExtra: pyarrow is not installed.
    """
    if file.suffix not in FORMATS:
        raise BadInput(f"file={str(file)!r} ends neither in .jsonl nor in .parquet. Name it so.")
    written = 0
    with _whole(file) as part, _jsonl(part) if file.suffix == ".jsonl" else _parquet(part) as writer:
        async for logs in pages(ledger, session_id=session_id):
            writer.write(logs)
            written += len(logs)
    return written


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    part = file.with_name(f"{file.name}.part")
    try:
        yield part
        os.replace(part, file)
    except OSError as error:
        if isinstance(error, ConsiliumError):  # the ledger's own
            raise
        raise BadInput(f"file={str(file)!r} cannot be written: {error.strerror}. Name another.") from error
    finally:
        with suppress(OSError):  # where it could not be written there may be nothing to remove it from
            part.unlink(missing_ok=True)


class _Lines:
    def __init__(self, opened: IO[str]) -> None:
        self._opened = opened

    def write(self, logs: Sequence[TurnLog]) -> None:
        for log in logs:
            self._opened.write(json.dumps(_LOG.dump_python(log, mode="json"), ensure_ascii=False) + "\n")


class _Table:
    def __init__(self, writer: "pa.parquet.ParquetWriter", schema: "pa.Schema") -> None:
        self._writer, self._schema = writer, schema

    def write(self, logs: Sequence[TurnLog]) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist([row for log in logs for row in _seats(log)], self._schema))


@contextmanager
def _jsonl(part: Path) -> Iterator[_Lines]:
    with part.open("w", encoding="utf-8") as opened:
        yield _Lines(opened)
        opened.flush()
        os.fsync(opened.fileno())


@contextmanager
def _parquet(part: Path) -> Iterator[_Table]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtra("writing Parquet needs pyarrow: pip install 'consilium[parquet]'") from error
    text, whole, real = pa.string(), pa.int64(), pa.float64()
    schema = pa.schema(
        {
            **dict.fromkeys(("session_id", "turn_id"), text),
            **{"turn_number": whole, "admitted_at": pa.timestamp("us", "UTC")},
            **dict.fromkeys(("status", "message", "router_digest"), text),
            **{"seat": whole, "member": text, "content_name": text, "role": text},
            **{"weight": real, "propensity": real, "attempt": whole, "text": text, "error": text},
            **{"prompt_tokens": whole, "completion_tokens": whole, "latency_ms": real, "engine": text},
            **{"is_verdict": pa.bool_(), "score": real},
        }
    )
    with pq.ParquetWriter(part, schema) as writer:
        yield _Table(writer, schema)


def _seats(log: TurnLog) -> Iterator[dict[str, Any]]:
    """Yield a row a statement; a seat's score is its own outcomes', else its turn's, weighted."""
    said = {(entry.seat, entry.attempt): entry for entry in log.statements}
    for seat in log.seats:
        own = [entry for entry in log.outcomes if entry.seat == seat.number]
        scores = own or [entry for entry in log.outcomes if entry.seat is None]
        weight = sum(entry.weight for entry in scores)
        for (number, attempt), entry in said.items():
            if number != seat.number:
                continue
            yield {
                **{"session_id": log.turn.session_id, "turn_id": log.turn.id, "turn_number": log.turn.number},
                **{"admitted_at": log.turn.admitted_at, "status": log.turn.status, "message": log.turn.message},
                "router_digest": log.decision.router_digest if log.decision else None,
                **{"seat": seat.number, "member": seat.member, "content_name": seat.content_name},
                **{"role": seat.role, "weight": seat.weight, "attempt": attempt},
                "propensity": log.decision.propensities.get(seat.member) if log.decision else None,
                **{"text": entry.text, "error": entry.error, "engine": entry.engine},
                **{"prompt_tokens": entry.prompt_tokens, "completion_tokens": entry.completion_tokens},
                "latency_ms": entry.latency_ms,
                "is_verdict": log.verdict is not None and log.verdict.source_seat == seat.number,
                "score": sum(e.score * e.weight for e in scores) / weight if weight else None,
            }
