"""A trained adapter is checked, put in place whole, and pinned; a bad one changes nothing."""

from pathlib import Path

import pytest
import tomlkit

from consilium.errors import AdapterRefused
from consilium.members.adapter import CONFIG_FILE, WEIGHTS_FILE
from consilium.members.catalogue import load_member
from consilium.training.installing import data_digest, install_adapter
from tests.support.adapters import BASE, MODULES, Q_PROJ, header_and_body, weights_bytes, write_adapter
from tests.support.personas import TRAINING, write_persona


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "personas"
    path = write_persona(root, "pilot", "crew", training=TRAINING)
    path.write_text("# the harbour's own pilot\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    return root


def zeroed(matrix: str) -> bytes:
    """Return weights whose A or B matrix is zero."""
    header, body = header_and_body(modules=MODULES)
    entry = header[f"{Q_PROJ}.{matrix}.weight"]
    assert isinstance(entry, dict)
    start, end = entry["data_offsets"]
    return weights_bytes(header, body[:start] + bytes(end - start) + body[end:])


def test_an_installed_adapter_is_pinned_by_its_content(root: Path, tmp_path: Path) -> None:
    pin = write_adapter(tmp_path / "trained")
    adapter = install_adapter(tmp_path / "trained", root, "pilot")
    member = load_member(root, "pilot")
    assert adapter.pin == pin
    assert member.content_name == f"pilot@{pin.digest[:12]}"
    assert (member.persona.adapter, pin.base) == (pin, BASE)
    text = (root / "pilot" / "persona.toml").read_text(encoding="utf-8")
    assert text.startswith("# the harbour's own pilot\n")
    assert sorted(path.name for path in (root / "pilot").iterdir()) == ["adapter", "persona.toml"]


def test_installing_again_replaces(root: Path, tmp_path: Path) -> None:
    write_adapter(tmp_path / "first")
    first = install_adapter(tmp_path / "first", root, "pilot")
    write_adapter(tmp_path / "second", weights=zeroed("lora_A"))
    second = install_adapter(tmp_path / "second", root, "pilot")
    assert first.pin != second.pin == load_member(root, "pilot").persona.adapter
    document = tomlkit.parse((root / "pilot" / "persona.toml").read_text(encoding="utf-8"))
    assert list(document).count("adapter") == 1


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (zeroed("lora_B"), "every B matrix is zero"),
        (weights_bytes(*header_and_body())[:-4] + b"\x00\x00\xc0\x7f", "not finite"),
        (weights_bytes(*header_and_body())[:-4], "truncated|lora"),
    ],
)
def test_a_useless_adapter_is_refused_and_the_old_one_stays(
    root: Path, tmp_path: Path, weights: bytes, reason: str
) -> None:
    write_adapter(tmp_path / "good")
    good = install_adapter(tmp_path / "good", root, "pilot")
    write_adapter(tmp_path / "bad", weights=weights)
    with pytest.raises(AdapterRefused, match=reason):
        install_adapter(tmp_path / "bad", root, "pilot")
    assert load_member(root, "pilot").persona.adapter == good.pin
    assert {path.name for path in (root / "pilot" / "adapter").iterdir()} == {CONFIG_FILE, WEIGHTS_FILE}


def test_the_data_digest_is_of_what_the_files_hold(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}\n")
    one = data_digest([tmp_path])
    (tmp_path / "notes.txt").write_text("no matter")
    assert data_digest([tmp_path]) == one
    (tmp_path / "train.jsonl").write_text("{ }\n")
    assert data_digest([tmp_path]) != one
