"""Files read with care and written whole."""

import os
from pathlib import Path

import pytest

from consilium.errors import BadPersona
from consilium.members.files import read_plain, write_together, write_whole


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_whole(target, b"old")
    with pytest.raises(TypeError):
        write_whole(target, "new")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_files_are_written_together_or_put_back(tmp_path: Path) -> None:
    old, fresh, impossible = tmp_path / "old", tmp_path / "fresh", tmp_path / "nowhere" / "file"
    old.write_bytes(b"old")
    with pytest.raises(FileNotFoundError):
        write_together({old: b"new", fresh: b"new", impossible: b"new"})
    assert old.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    write_together({old: b"new", fresh: b"new"})
    assert (old.read_bytes(), fresh.read_bytes()) == (b"new", b"new")


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_plain(path, limit=5) == b"12345"
    with pytest.raises(BadPersona, match="has 5 bytes; at most 4 are read"):
        read_plain(path, limit=4)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "does not exist"),
        ("link", "is a link"),
        ("folder", "not a plain file"),
        ("pipe", "not a plain file"),
    ],
)
def test_only_plain_files_are_read(tmp_path: Path, kind: str, reason: str) -> None:
    path, target = tmp_path / "file", tmp_path / "target"
    target.write_bytes(b"secret")
    match kind:
        case "link":
            path.symlink_to(target)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    with pytest.raises(BadPersona, match=reason) as caught:
        read_plain(path, limit=100)
    assert str(path) in str(caught.value)
