"""The page that documents the ledger's tables, made from the models: ``python -m consilium.ledger.schema``."""

from pathlib import Path
from typing import Any

from sqlalchemy import Column
from sqlalchemy import Table as SqlTable
from sqlalchemy.types import TypeEngine

from consilium.ledger.orm import Table

PAGE = Path("docs/schema.md")

_INTRODUCTION = """# The ledger's tables

Made by `python -m consilium.ledger.schema`. `consilium ledger sql "select …"` answers queries over them, read only.

A **session** has **turns**; a turn has a **decision**, its **seats**, a **verdict**, and any number of **outcomes**,
each of the turn or of one seat. A seat has a **statement** an attempt. Members and adapters are named by content and
outlive the sessions that used them. Keys marked PK are what makes records exactly-once: an insert under a key that is
there returns what stands.

`turns.player` names the process that plays a turn, as long as it lives; `turns.tries` how often somebody began to.
`decisions.exploration` is how many seats chance is expected to give away; `statements.prompt_digest` the sha256 of all
that a member was asked; `outcomes.weight` how much a score counts beside others.
"""


def page() -> str:
    """Return the page: an entity-relationship picture in Mermaid, and a table of columns for each table."""
    tables = Table.metadata.sorted_tables
    picture = ["```mermaid", "erDiagram", *(line for table in tables for line in _entity(table)), "```"]
    return "\n".join([_INTRODUCTION, *picture, *(line for table in tables for line in _columns(table))]) + "\n"


def _entity(table: SqlTable) -> list[str]:
    rows = [f"        {_type(column.type)} {column.name}{_marks(column)}" for column in table.columns]
    parents = sorted({key.column.table.name for key in table.foreign_keys})
    relations = [f"    {parent} ||--o{{ {table.name} : has" for parent in parents]
    return [f"    {table.name} {{", *rows, "    }", *relations]


def _columns(table: SqlTable) -> list[str]:
    documented = {mapper.local_table: mapper.class_.__doc__ or "" for mapper in Table.registry.mappers}
    rows = [
        f"| `{column.name}` | {_type(column.type)} | {_marks(column).strip()} | {'yes' if column.nullable else ''} |"
        for column in table.columns
    ]
    heading = ["", f"## {table.name}", "", documented[table].partition("\n\n")[0], ""]
    return [*heading, "| column | type | key | may be null |", "|---|---|---|---|", *rows]


def _type(kind: TypeEngine[Any]) -> str:
    return type(kind).__name__.lower().removeprefix("utc")


def _marks(column: Column[Any]) -> str:
    marks = ["PK"] * column.primary_key + ["FK"] * bool(column.foreign_keys)
    return f" {','.join(marks)}" if marks else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
