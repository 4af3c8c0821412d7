"""The page about scripts says what the code does."""

import re
from pathlib import Path

import pytest

from consilium.scripts.reference import TABLES, placed
from consilium.scripts.script import Script
from tests.support.scripts import write_script

PAGE = Path(__file__).parents[2] / "docs" / "scripts.md"


def test_the_reference_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == placed(PAGE.read_text(encoding="utf-8")), (
        "run: python -m consilium.scripts.reference docs/scripts.md"
    )


@pytest.mark.parametrize("title", TABLES)
def test_every_field_is_explained(title: str) -> None:
    assert all(field.description for field in TABLES[title].model_fields.values())


def test_scripts_of_the_pages_can_be_read(tmp_path: Path) -> None:
    pages = (PAGE, PAGE.parents[1] / "README.md")
    scripts = [text for page in pages for text in re.findall(r"```toml\n(title = .*?)```", page.read_text(), re.DOTALL)]
    assert scripts
    for text in scripts:
        Script.read(write_script(tmp_path, text)).catalogue(PAGE.parents[1] / "personas")
