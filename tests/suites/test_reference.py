"""The page about suites says what the code does."""

import re
from pathlib import Path

import pytest

from consilium.scripts.source import read_source
from consilium.suites.reference import TABLES, placed
from consilium.suites.suite_file import SuiteFile

PAGE = Path(__file__).parents[2] / "docs" / "suites.md"


def test_the_reference_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == placed(PAGE.read_text(encoding="utf-8")), (
        "run: python -m consilium.suites.reference docs/suites.md"
    )


@pytest.mark.parametrize("title", TABLES)
def test_every_field_is_explained(title: str) -> None:
    assert all(field.description for field in TABLES[title].model_fields.values())


def test_suites_of_the_pages_can_be_read(tmp_path: Path) -> None:
    pages = (PAGE, PAGE.parents[1] / "README.md")
    suites = [
        text for page in pages for text in re.findall(r"```toml\n(# \S+\.suite\.toml\n.*?)```", page.read_text(), re.S)
    ]
    assert suites
    for text in suites:
        (tmp_path / "a.toml").write_text(text, encoding="utf-8")
        SuiteFile.model_validate(read_source(tmp_path / "a.toml").data)
