"""Results as Arrow tables and Parquet files."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from consilium.errors import JobError, MissingExtra
from consilium.jobs.result import Result

if TYPE_CHECKING:
    import pyarrow

ROWS_AT_ONCE = 4_096


def arrow_table(results: Iterable[Result]) -> "pyarrow.Table":
    """Return all results in one table, a column for each field of `Result`."""
    import_pyarrow()
    import pyarrow

    return pyarrow.Table.from_pylist([asdict(result) for result in results], schema=_schema())


def write_parquet(results: Iterable[Result], file: Path) -> None:
    """Write the results as Parquet, a few thousand in memory at a time; the file is there whole or not at all."""
    import_pyarrow()
    from pyarrow.parquet import ParquetWriter

    part, rows = file.with_name(f".{file.name}.part"), iter(results)
    try:
        with ParquetWriter(part, _schema()) as writer:
            while group := list(islice(rows, ROWS_AT_ONCE)):
                writer.write_table(arrow_table(group))
        part.replace(file)
    except OSError as error:
        with suppress(OSError):  # the first error is the one to tell
            part.unlink(missing_ok=True)
        raise JobError(f"{file} cannot be written: {error.strerror or error}. Name another place.") from error


def import_pyarrow() -> None:
    """Raise `MissingExtra` where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401 -- whether it is there
    except ImportError as error:
        raise MissingExtra("frames and Parquet need pyarrow: pip install 'consilium[parquet]'") from error


def _schema() -> "pyarrow.Schema":
    import pyarrow

    text, whole = pyarrow.string(), pyarrow.int64()
    kinds = dict.fromkeys(Result.__slots__, text)
    return pyarrow.schema(
        {
            **kinds,
            "members": pyarrow.list_(text),
            "agreement": pyarrow.float64(),
            "prompt_tokens": whole,
            "completion_tokens": whole,
        }
    )
