"""The three files a character card comes in: JSON, PNG, and CHARX (a zip).

All are read in memory and by name, with a cap on everything that a file may claim; nothing is unpacked to disk, and
of a picture or an archive nothing but the card is ever decoded. Sources: the embedding methods of the Character Card
specifications V2 and V3; PNG (W3C, third edition, sections 5 and 11.3.3); APPNOTE.TXT 6.3 for zip.
"""

import base64
import binascii
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Literal, NamedTuple, TypeAlias

from consilium.errors import BadPersona
from consilium.members.files import open_plain, read_plain

Container: TypeAlias = Literal[".json", ".png", ".charx"]

MAX_CARD_BYTES = 1024 * 1024
"""Longest JSON text of a card."""
MAX_PICTURE_BYTES = 16 * 1024 * 1024
MAX_ARCHIVE_BYTES = 256 * 1024 * 1024
"""An archive is not read whole: its directory and its card are."""
MAX_CHUNKS = 4_096
MAX_DIRECTORY_BYTES = 256 * 1024
MAX_RATIO = 100
"""A card that is packed tighter than this is no text that anybody wrote."""

_CARD_FILE = "card.json"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEYWORDS = (b"ccv3", b"chara")
"""By preference: V3 says that its chunk counts where both are there."""
_MAX_TEXT_BYTES = MAX_CARD_BYTES // 3 * 4 + 4
_END_OF_ARCHIVE = struct.Struct("<4s4H2LH")
_ZIP64_LOCATOR_BYTES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CardFile:
    """What was found in a card's file."""

    text: str
    """The card's JSON text."""
    where: str
    """The file and the place in it, for messages."""
    left: tuple[str, ...] = ()
    """In plain words, what else the file holds and what became of it."""


def container_of(path: Path) -> Container:
    """Return which of the three a file is by its name. Raises `BadPersona` for any other."""
    match path.suffix.lower():
        case (".json" | ".png" | ".charx") as suffix:
            return suffix
    raise BadPersona(f"{path} is none of .json, .png and .charx, which are how cards come. Name such a file.")


def read_card_file(path: Path) -> CardFile:
    """Read the card's text out of its file.

    Raises:
        BadPersona: the file is malformed or oversized, or holds no card.
    """
    match container_of(path):
        case ".json":
            return CardFile(text=_decoded(read_plain(path, limit=MAX_CARD_BYTES), str(path)), where=str(path))
        case ".png":
            return _read_picture(read_plain(path, limit=MAX_PICTURE_BYTES), str(path))
        case ".charx":
            with open_plain(path, limit=MAX_ARCHIVE_BYTES) as file:
                return _read_archive(file, str(path))


def _decoded(content: bytes, where: str) -> str:
    if len(content) > MAX_CARD_BYTES:
        raise BadPersona(f"{where} has more than {MAX_CARD_BYTES:,} bytes of text. Shorten the card.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadPersona(f"{where} is not UTF-8: {error.reason} at byte {error.start:,}. Export it again.") from error


class _Chunk(NamedTuple):
    kind: bytes
    body: bytes


def _read_picture(content: bytes, where: str) -> CardFile:
    texts: dict[bytes, str] = {}
    assets = 0
    for chunk in _chunks(content, where):
        if chunk.kind not in (b"tEXt", b"zTXt", b"iTXt"):
            continue
        keyword, _, rest = chunk.body.partition(b"\0")
        assets += keyword.startswith(b"chara-ext-asset_")
        if keyword not in _KEYWORDS:
            continue
        place = f"{where}, chunk {keyword.decode()!r}"
        if keyword in texts:
            raise BadPersona(f"{place} is there twice. Export the card again.")
        texts[keyword] = _decoded(_from_base64(_inflated(chunk.kind, rest, place), place), place)
    if not texts:
        raise BadPersona(f"{where} holds no card: it has neither a 'ccv3' nor a 'chara' chunk. Export the card again.")
    keyword = next(filter(texts.__contains__, _KEYWORDS))
    left = (f"assets inside the picture ({assets}): not read and not kept.",) if assets else ()
    return CardFile(text=texts[keyword], where=f"{where}, chunk {keyword.decode()!r}", left=left)


def _chunks(content: bytes, where: str) -> Iterator[_Chunk]:
    """Yield a picture's chunks from IHDR to IEND, each with its checksum proved."""
    if not content.startswith(_SIGNATURE):
        raise BadPersona(f"{where} is no PNG. Name a picture with a card in it.")
    at = len(_SIGNATURE)
    for number in range(MAX_CHUNKS):
        if len(content) - at < 12:
            raise BadPersona(f"{where} is cut off: it ends without IEND. Fetch the file again.")
        length, kind = struct.unpack_from(">I4s", content, at)
        if length > len(content) - at - 12:
            raise BadPersona(
                f"{where}, chunk {kind!r} claims {length:,} bytes where {len(content) - at - 12:,} are left. "
                "Fetch the file again."
            )
        body = content[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", content, at + 8 + length)
        if checksum != zlib.crc32(body, zlib.crc32(kind)):
            raise BadPersona(f"{where}, chunk {kind!r} does not match its checksum. Fetch the file again.")
        if (number == 0) != (kind == b"IHDR"):
            raise BadPersona(f"{where} does not start with IHDR, once. Export the card again.")
        yield _Chunk(kind, body)
        if kind == b"IEND":
            return
        at += 12 + length
    raise BadPersona(f"{where} has more than {MAX_CHUNKS:,} chunks, which is all that is read. Export the card again.")


def _inflated(kind: bytes, rest: bytes, where: str) -> bytes:
    """Return the text of a tEXt, zTXt or iTXt chunk; ``rest`` is what follows the keyword."""
    match kind:
        case b"tEXt":
            packed = False
        case b"zTXt":
            packed, rest = True, rest[1:]
        case _:
            flag, rest = rest[:1], rest[2:].partition(b"\0")[2].partition(b"\0")[2]
            packed = flag == b"\1"
    if packed:
        unpacker = zlib.decompressobj()
        try:
            rest = unpacker.decompress(rest, _MAX_TEXT_BYTES + 1)
        except zlib.error as error:
            raise BadPersona(f"{where} cannot be unpacked: {error}. Export the card again.") from error
        if not unpacker.eof and len(rest) <= _MAX_TEXT_BYTES:
            raise BadPersona(f"{where} is cut off. Export the card again.")
    if len(rest) > _MAX_TEXT_BYTES:
        raise BadPersona(f"{where} has more than {MAX_CARD_BYTES:,} bytes of text. Shorten the card.")
    return rest


def _from_base64(text: bytes, where: str) -> bytes:
    try:
        return base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error as error:
        raise BadPersona(f"{where} is not base64: {error}. Export the card again.") from error


def _read_archive(file: BinaryIO, where: str) -> CardFile:
    _check_directory(file, where)
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            content = _packed_card(archive, entries, where)
    except BadPersona:  # a ValueError too
        raise
    except _UNREADABLE as error:
        raise BadPersona(f"{where} is no readable zip: {error}. Export the card again.") from error
    others = sum(not entry.is_dir() for entry in entries) - 1
    left = (f"other files in the archive ({others}): not read and not kept.",) if others else ()
    place = f"{where}, {_CARD_FILE}"
    return CardFile(text=_decoded(content, place), where=place, left=left)


_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error)
"""What `zipfile` raises over a malformed archive; `NotImplementedError` is a RuntimeError."""


def _check_directory(file: BinaryIO, where: str) -> None:
    """Check the size of the archive's directory, which `zipfile` reads whole, before it does."""
    size = file.seek(0, io.SEEK_END)
    tail_at = max(0, size - _END_OF_ARCHIVE.size - 0xFFFF - _ZIP64_LOCATOR_BYTES)
    file.seek(tail_at)
    tail = file.read()
    if (at := tail.rfind(b"PK\5\6")) < 0 or len(tail) - at < _END_OF_ARCHIVE.size:
        raise BadPersona(f"{where} is no zip, or is cut off. Fetch the file again.")
    *_, directory_bytes, _, _ = _END_OF_ARCHIVE.unpack_from(tail, at)
    if b"PK\6\7" in tail[max(0, at - _ZIP64_LOCATOR_BYTES) : at] or directory_bytes > MAX_DIRECTORY_BYTES:
        raise BadPersona(
            f"{where} lists more files than fit {MAX_DIRECTORY_BYTES:,} bytes, which is all that is read. "
            "Export the card with fewer assets."
        )


def _packed_card(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], where: str) -> bytes:
    for entry in entries:
        _check_entry(entry, where)
    found = [entry for entry in entries if entry.filename == _CARD_FILE]
    if len(found) != 1:
        raise BadPersona(f"{where} holds {len(found)} files {_CARD_FILE!r} at its top; one is due. Export it again.")
    (entry,) = found
    if entry.flag_bits & 0x1:
        raise BadPersona(f"{where}: {_CARD_FILE} is encrypted. Export the card without a password.")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BadPersona(f"{where}: {_CARD_FILE} is packed by method {entry.compress_type}. Pack it by deflate.")
    if entry.file_size > MAX_CARD_BYTES or entry.file_size > MAX_RATIO * max(1, entry.compress_size):
        raise BadPersona(
            f"{where}: {_CARD_FILE} unpacks from {entry.compress_size:,} to {entry.file_size:,} bytes; at most "
            f"{MAX_CARD_BYTES:,}, and {MAX_RATIO} times the packed size, are read. Shorten the card."
        )
    with archive.open(entry) as member:
        content = member.read(MAX_CARD_BYTES + 1)
    # zipfile proves the checksum, but lets a size be too large.
    if len(content) != entry.file_size or entry.header_offset + entry.compress_size > archive.start_dir:
        raise BadPersona(f"{where}: {_CARD_FILE} is not of the size that the archive claims. Fetch the file again.")
    return content


def _check_entry(entry: zipfile.ZipInfo, where: str) -> None:
    """Refuse an archive that was made to write or read elsewhere, although nothing here would follow it."""
    name = entry.orig_filename
    parts = PurePosixPath(name).parts
    if name != entry.filename or name.startswith("/") or ".." in parts or "\\" in name or name[1:2] == ":":
        raise BadPersona(f"{where} holds the path {name[:80]!r}, which leads out of an archive. Do not use that file.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise BadPersona(f"{where} holds the link {name[:80]!r}. Do not use that file.")


def packed(container: Container, *, v2: str | None, v3: str | None, picture: bytes | None, where: str) -> bytes:
    """Return a card's file.

    Args:
        container: which of the three.
        v2: the card's text by V2, if it is to be in the file.
        v3: the same by V3. Where both are given, JSON and CHARX hold this one, and a PNG both.
        picture: the PNG that is to carry the card; without it a single transparent dot does.
        where: the picture's name, for messages.

    Raises:
        BadPersona: the picture is malformed, or a CHARX was asked for without V3.
    """
    text = v3 if v3 is not None else v2
    if text is None or (container == ".charx" and v3 is None):
        raise BadPersona("a .charx holds a card of V3. Export that, or write .json or .png.")
    if len(text.encode()) > MAX_CARD_BYTES:
        raise BadPersona(f"the card would have more than {MAX_CARD_BYTES:,} bytes of text. Shorten its fields.")
    match container:
        case ".json":
            return text.encode()
        case ".png":
            return _picture(_dot() if picture is None else picture, {b"chara": v2, b"ccv3": v3}, where)
        case ".charx":
            return _archive(text)


def _picture(picture: bytes, texts: dict[bytes, str | None], where: str) -> bytes:
    """Return the picture with its cards replaced by ``texts``; all its other chunks stay."""
    chunks = []
    for chunk in _chunks(picture, where):
        if chunk.kind in (b"tEXt", b"zTXt", b"iTXt") and chunk.body.partition(b"\0")[0] in _KEYWORDS:
            continue
        if chunk.kind == b"IEND":
            chunks += [
                _chunk(b"tEXt", keyword + b"\0" + base64.b64encode(text.encode()))
                for keyword, text in texts.items()
                if text is not None
            ]
        chunks.append(_chunk(chunk.kind, chunk.body))
    return _SIGNATURE + b"".join(chunks)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _dot() -> bytes:
    """Return a PNG of one transparent dot: 1 x 1, 8 bits of grey and alpha."""
    header = struct.pack(">2I5B", 1, 1, 8, 4, 0, 0, 0)
    rows = zlib.compress(b"\0\0\0")
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _archive(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # Stored, so that no card can break MAX_RATIO; with a fixed date, so that the same card gives the same bytes.
        archive.writestr(zipfile.ZipInfo(_CARD_FILE, (1980, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()
