"""The page of the tables says what the tables are."""

from consilium.ledger.orm import Table
from consilium.ledger.schema import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m consilium.ledger.schema"


def test_every_column_is_on_it() -> None:
    text = page()
    for table in Table.metadata.sorted_tables:
        assert f"## {table.name}\n" in text
        for column in table.columns:
            assert f"| `{column.name}` |" in text
