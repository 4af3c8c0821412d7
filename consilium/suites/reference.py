"""The format's reference as Markdown, out of the models that read a suite.

``python -m consilium.suites.reference docs/suites.md`` puts it into the page between its two marks.
"""

import sys
from pathlib import Path

from pydantic import BaseModel

from consilium.scripts import reference
from consilium.suites.suite_file import (
    Columns,
    Controls,
    CouncilTable,
    DataPart,
    InlineRow,
    JudgeTable,
    Limits,
    SuiteFile,
)

BEGIN = "<!-- reference: made by consilium.suites.reference -->"

TABLES: dict[str, type[BaseModel]] = {
    "The file": SuiteFile,
    "`[[data]]`": DataPart,
    "`[data.columns]`": Columns,
    "`[[data.rows]]`": InlineRow,
    "`[judges.NAME]`": JudgeTable,
    "`[council]`": CouncilTable,
    "`[controls]`": Controls,
    "`[limits]`": Limits,
}


def placed(page: str) -> str:
    """Return the page with the reference between its marks."""
    return reference.placed(page, reference.sections(TABLES), begin=BEGIN)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(placed(path.read_text(encoding="utf-8")), encoding="utf-8")
