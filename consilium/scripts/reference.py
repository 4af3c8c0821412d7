"""The format's reference as Markdown, out of the models that read a script.

``python -m consilium.scripts.reference docs/scripts.md`` puts it into the page between its two marks.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from consilium.scripts.expectation import EndExpectation, Expectation, Judged, Measured, Number
from consilium.scripts.script_file import Cast, Limits, RowsFile, ScriptFile, Speakers, TurnScript

BEGIN, END = "<!-- reference: made by consilium.scripts.reference -->", "<!-- end of the reference -->"

TABLES: dict[str, type[BaseModel]] = {
    "The file": ScriptFile,
    "`[rows.NAME]`": RowsFile,
    "`[cast]`": Cast,
    "`[speakers]`": Speakers,
    "`[limits]`": Limits,
    "`[[turns]]`": TurnScript,
    "`[turns.expect]`": Expectation,
    "`number`": Number,
    "`[[turns.expect.metrics]]`": Measured,
    "`[[turns.expect.judged]]`": Judged,
}


def reference() -> str:
    """Return a section for each table of a script, with its fields."""
    end = f"### `[expect]`\n\nThe fields of `[turns.expect]`. {_described(EndExpectation)}"
    return f"{sections(TABLES)}\n\n{end}"


def sections(tables: Mapping[str, type[BaseModel]]) -> str:
    """Return a section for each table of a format, by its title."""
    return "\n\n".join(f"### {title}\n\n{_described(model)}\n\n{_table(model)}" for title, model in tables.items())


def placed(page: str, text: str | None = None, *, begin: str = BEGIN) -> str:
    """Return the page with a reference, or this of scripts, between its marks."""
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{text or reference()}\n\n{END}{after}"


def _described(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").replace("``", "`").split())


def _table(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    properties = (schema["$defs"][model.__name__] if "$ref" in schema else schema)["properties"]
    lines = ["| field | | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        kind = _kind(properties[name]) + (", required" if field.is_required() else "")
        meaning = " ".join((field.description or "").replace("``", "`").split())
        lines.append(f"| `{name}` | {kind} | {meaning} |")
    return "\n".join(lines)


def _kind(part: dict[str, Any]) -> str:
    """Return in words what a JSON Schema allows."""
    if "$ref" in part:
        return "table"
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return " or ".join(f"`{value}`" for value in part["enum"])
    if "anyOf" in part:
        kinds = [_kind(choice) for choice in part["anyOf"] if choice.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if part["type"] == "array":
        return f"list of {_kind(part['items'])}s"
    return {"string": "text", "boolean": "true or false", "object": "table"}.get(part["type"], str(part["type"]))


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(placed(path.read_text(encoding="utf-8")), encoding="utf-8")
