"""Character cards with invented contents, and their containers written byte by byte so that a test can spoil them."""

import base64
import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

from consilium.members.card_exchange import Imported, export_card, import_card
from consilium.members.card_files import read_card_file
from consilium.members.persona import Persona

SIGNATURE = b"\x89PNG\r\n\x1a\n"
IHDR = struct.pack(">2I5B", 1, 1, 8, 4, 0, 0, 0)
IDAT = zlib.compress(b"\0\0\0")


def card_table(version: str = "v3", /, **changes: object) -> dict[str, Any]:
    """Return a valid card, with ``changes`` to its data; a change to None removes the field."""
    data = {
        "name": "Skipper",
        "description": "{{char}} keeps the harbour. {{user}} is new here.",
        "personality": "dry",
        "scenario": "A quay at night.",
        "first_mes": "Mind the ropes, {{user}}.",
        "mes_example": "<START>\n{{user}}: Which berth is free?\n{{char}}: Four.",
        "creator_notes": "",
        "system_prompt": "You are {{char}}. Be brief.",
        "post_history_instructions": "",
        "alternate_greetings": [],
        "tags": ["boats"],
        "creator": "nobody",
        "character_version": "1",
        "extensions": {},
        **({"group_only_greetings": []} if version == "v3" else {}),
    }
    spec = {"v2": ("chara_card_v2", "2.0"), "v3": ("chara_card_v3", "3.0")}[version]
    data = {field: value for field, value in {**data, **changes}.items() if value is not None}
    return {"spec": spec[0], "spec_version": spec[1], "data": data}


def card_json(version: str = "v3", /, **changes: object) -> str:
    """Return `card_table` as text."""
    return json.dumps(card_table(version, **changes))


def chunk(kind: bytes, body: bytes, *, length: int | None = None, crc: int | None = None) -> bytes:
    """Return a PNG chunk; ``length`` and ``crc`` make it lie."""
    claimed = len(body) if length is None else length
    checksum = zlib.crc32(kind + body) if crc is None else crc
    return struct.pack(">I", claimed) + kind + body + struct.pack(">I", checksum)


def text_chunk(keyword: str, text: str | bytes) -> bytes:
    """Return a tEXt chunk with ``text`` in base64."""
    content = text.encode() if isinstance(text, str) else text
    return chunk(b"tEXt", keyword.encode() + b"\0" + base64.b64encode(content))


def picture(*chunks: bytes, end: bytes | None = None) -> bytes:
    """Return a PNG of one dot with ``chunks`` in it."""
    closing = chunk(b"IEND", b"") if end is None else end
    return SIGNATURE + chunk(b"IHDR", IHDR) + chunk(b"IDAT", IDAT) + b"".join(chunks) + closing


def archive(*entries: tuple[str | zipfile.ZipInfo, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of ``entries``, names as given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, content in entries:
            file.writestr(name, content, method)
    return buffer.getvalue()


def link_entry(name: str) -> zipfile.ZipInfo:
    """Return the entry of a symbolic link."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = 0o120777 << 16
    return entry


def write_card(folder: Path, name: str, content: str | bytes) -> Path:
    """Write a card's file and return its path."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def tree(root: Path) -> dict[str, bytes]:
    """Return every file below ``root`` with what it holds."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def imported(root: Path, content: str | bytes, file: str = "card.json", **options: Any) -> Imported:  # noqa: ANN401 -- as import_card
    """Import a card with this content, written beside ``root``."""
    return import_card(write_card(root.parent, file, content), root, **options)


def exported(root: Path, name: str, file: str = "out.json", **options: Any) -> str:  # noqa: ANN401 -- as export_card
    """Export a member beside ``root`` and return the card's text."""
    target = root.parent / file
    export_card(name, root, target, **options)
    return read_card_file(target).text


def without_part(text: str) -> Any:  # noqa: ANN401 -- any JSON value
    """Return the card without our own part."""
    value = json.loads(text)
    value["data"]["extensions"].pop("consilium")
    return value


def persona_of(root: Path, name: str = "skipper") -> Persona:
    """Return the persona of a member."""
    return Persona.read(root / name / "persona.toml")
