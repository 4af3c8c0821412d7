"""Pictures are written as what their names end in, or not at all."""

from pathlib import Path

import pytest

from consilium.errors import BadSettings
from consilium.evaluation.pictures import FORMATS, empty, save


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_drawing_makes_the_same_file(tmp_path: Path, suffix: str) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in ("one", "two")]
    for file in files:
        save(empty(1, 1), file)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(("name", "said"), [("x.foo", "ends in '.foo'"), ("none/x.png", "No such file")])
def test_what_cannot_be_written_is_told_in_a_line(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        save(empty(1, 1), tmp_path / name)
