"""The three containers of a card: what is read, what is written, and hostile files that do no harm."""

import base64
import io
import json
import os
import random
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilium.errors import BadPersona
from consilium.members.card_exchange import import_card
from consilium.members.card_files import (
    MAX_ARCHIVE_BYTES,
    MAX_CARD_BYTES,
    MAX_CHUNKS,
    MAX_PICTURE_BYTES,
    packed,
    read_card_file,
)
from tests.support.cards import (
    SIGNATURE,
    archive,
    card_json,
    chunk,
    link_entry,
    picture,
    text_chunk,
    tree,
    write_card,
)
from tests.support.watching import best_of_three, watched

CARD = card_json()
BASE64 = base64.b64encode(CARD.encode())


# -- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("card.json", CARD),
        ("card.json", b"\xef\xbb\xbf" + CARD.encode()),
        ("card.PNG", picture(text_chunk("ccv3", CARD))),
        ("card.png", picture(text_chunk("chara", CARD))),
        ("card.png", picture(chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(BASE64)))),
        ("card.png", picture(chunk(b"iTXt", b"ccv3\0\0\0en\0card\0" + BASE64))),
        ("card.png", picture(chunk(b"iTXt", b"ccv3\0\1\0en\0card\0" + zlib.compress(BASE64)))),
        ("card.png", picture(chunk(b"tEXt", b"ccv3\0" + BASE64[:60] + b"\n" + BASE64[60:] + b"\n"))),
        ("card.charx", archive(("card.json", CARD))),
        ("card.charx", archive(("card.json", CARD), method=zipfile.ZIP_STORED)),
        ("card.charx", b"a picture may stand before the archive" + archive(("card.json", CARD))),
    ],
    ids=["json", "json with BOM", "ccv3", "chara", "zTXt", "iTXt", "iTXt packed", "lines", "charx", "stored", "prefix"],
)
def test_a_card_is_found_in_each_container(tmp_path: Path, name: str, content: str | bytes) -> None:
    found = read_card_file(write_card(tmp_path, name, content))
    assert found.text == CARD
    assert found.left == ()


@pytest.mark.parametrize("order", [("ccv3", "chara"), ("chara", "ccv3")])
def test_v3_is_preferred_where_a_picture_holds_both(tmp_path: Path, order: tuple[str, str]) -> None:
    chunks = (text_chunk(keyword, json.dumps({"keyword": keyword})) for keyword in order)
    found = read_card_file(write_card(tmp_path, "card.png", picture(*chunks)))
    assert json.loads(found.text) == {"keyword": "ccv3"}
    assert found.where.endswith("card.png, chunk 'ccv3'")


def test_what_else_a_container_holds_is_said(tmp_path: Path) -> None:
    png = picture(text_chunk("chara-ext-asset_:1", b"..."), text_chunk("ccv3", CARD), text_chunk("Comment", b"hello"))
    assert read_card_file(write_card(tmp_path, "a.png", png)).left == (
        "assets inside the picture (1): not read and not kept.",
    )
    charx = archive(("assets/", ""), ("assets/icon.png", b"..."), ("card.json", CARD), ("module.risum", b"..."))
    assert read_card_file(write_card(tmp_path, "a.charx", charx)).left == (
        "other files in the archive (2): not read and not kept.",
    )


# -- what is written -----------------------------------------------------------------------------------------------


@given(text=st.text(max_size=400).filter(lambda text: not text.startswith("\ufeff")))
@settings(deadline=None)  # it writes files
def test_what_is_written_is_read_again(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cards")
    for container in (".json", ".png", ".charx"):
        content = packed(container, v2="old", v3=text, picture=None, where="")
        assert read_card_file(write_card(folder, f"card{container}", content)).text == text


def test_a_given_picture_keeps_all_but_its_old_cards(tmp_path: Path) -> None:
    comment = text_chunk("Comment", b"a harbour at night")
    before = picture(comment, text_chunk("chara", "old"), text_chunk("ccv3", "old"))
    after = packed(".png", v2="two", v3="three", picture=before, where="")
    assert after == picture(comment, text_chunk("chara", "two"), text_chunk("ccv3", "three"))


def test_the_picture_made_for_a_card_is_a_png_of_one_dot() -> None:
    content = packed(".png", v2=None, v3=CARD, picture=None, where="")
    assert content == picture(text_chunk("ccv3", CARD))


def test_a_picture_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(BadPersona, match=r"portrait\.png is no PNG"):
        packed(".png", v2="", v3="", picture=b"JFIF", where="portrait.png")


def test_an_archive_without_v3_is_refused() -> None:
    with pytest.raises(BadPersona, match="holds a card of V3"):
        packed(".charx", v2=CARD, v3=None, picture=None, where="")


def test_a_card_too_long_to_be_read_again_is_not_written() -> None:
    with pytest.raises(BadPersona, match=f"more than {MAX_CARD_BYTES:,} bytes"):
        packed(".json", v2=None, v3="é" * (MAX_CARD_BYTES // 2 + 1), picture=None, where="")


# -- hostile files: each is refused in at most a tenth of a second, and nothing is written -------------------------


def lying(content: bytes, offset_in_entry: int, value: int) -> bytes:
    """Return an archive whose directory and first file header claim ``value`` as packed (0) or unpacked (4) size."""
    spoilt = bytearray(content)
    struct.pack_into("<L", spoilt, 18 + offset_in_entry, value)
    struct.pack_into("<L", spoilt, content.index(b"PK\1\2") + 20 + offset_in_entry, value)
    return bytes(spoilt)


def flagged(content: bytes, flag: int) -> bytes:
    spoilt = bytearray(content)
    spoilt[6] |= flag
    spoilt[content.index(b"PK\1\2") + 8] |= flag
    return bytes(spoilt)


def zip64_locator(content: bytes) -> bytes:
    at = content.rindex(b"PK\5\6")
    return content[:at] + b"PK\6\7" + bytes(16) + content[at:]


def noise(size: int) -> str:
    return "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size))


GOOD = archive(("card.json", CARD))
WITH_CARD = text_chunk("ccv3", CARD)
HOSTILE_FILES: dict[str, tuple[str, Callable[[], bytes], str]] = {
    # archives
    "zip slip": (".charx", lambda: archive(("card.json", CARD), ("../../canary", "x")), "leads out"),
    "slip inside": (".charx", lambda: archive(("a/../../../canary", "x"), ("card.json", CARD)), "leads out"),
    "absolute name": (".charx", lambda: archive(("/tmp/canary", "x"), ("card.json", CARD)), "leads out"),  # noqa: S108
    "drive": (".charx", lambda: archive(("C:/canary", "x"), ("card.json", CARD)), "leads out"),
    "backslashes": (".charx", lambda: archive(("..\\canary", "x"), ("card.json", CARD)), "leads out"),
    "card by a path": (".charx", lambda: archive(("../card.json", CARD)), "leads out"),
    "link": (".charx", lambda: archive((link_entry("a"), "/etc"), ("a/canary", "x"), ("card.json", CARD)), "the link"),
    "card is a link": (".charx", lambda: archive((link_entry("card.json"), "/etc/passwd")), "the link"),
    "no card": (".charx", lambda: archive(("character.json", CARD)), "holds 0 files 'card.json'"),
    "card in a folder": (".charx", lambda: archive(("inner/card.json", CARD)), "holds 0 files"),
    "nested archive": (".charx", lambda: archive(("card.charx", GOOD)), "holds 0 files"),
    "card twice": (".charx", lambda: twice(), "holds 2 files"),
    "bomb": (".charx", lambda: archive(("card.json", b" " * 1_000_000)), "times the packed size"),
    "bomb of gigabytes": (".charx", lambda: lying(GOOD, 4, 0xFFFF_FF00), "unpacks from"),
    "huge card": (".charx", lambda: archive(("card.json", noise(MAX_CARD_BYTES + 1))), f"at most {MAX_CARD_BYTES:,}"),
    "claims less": (".charx", lambda: lying(archive(("card.json", CARD * 20)), 4, 40), "no readable zip"),
    "claims more": (".charx", lambda: lying(GOOD, 4, len(CARD) + 400), "not of the size"),
    "packed size lies": (".charx", lambda: lying(GOOD, 0, 0x00FF_FFFF), "not of the size"),
    "encrypted": (".charx", lambda: flagged(GOOD, 0x1), "encrypted"),
    "lzma": (".charx", lambda: archive(("card.json", CARD), method=zipfile.ZIP_LZMA), "packed by method 14"),
    "bzip2": (".charx", lambda: archive(("card.json", CARD), method=zipfile.ZIP_BZIP2), "packed by method 12"),
    "many files": (".charx", lambda: many_files(), "lists more files"),
    "zip64": (".charx", lambda: zip64_locator(GOOD), "lists more files"),
    "cut off": (".charx", lambda: GOOD[: len(GOOD) // 2], "no zip, or is cut off"),
    "checksum": (".charx", lambda: spoilt_body(), "no readable zip"),
    "no zip": (".charx", lambda: CARD.encode(), "no zip"),
    "card no text": (".charx", lambda: archive(("card.json", b"\xff\xfe\x00\xd8")), "card.json is not UTF-8"),
    # pictures
    "chunk bomb": (".png", lambda: picture(chunk(b"tEXt", b"") * 1_000_000, WITH_CARD), f"more than {MAX_CHUNKS:,}"),
    "long chunk": (
        ".png",
        lambda: picture(chunk(b"tEXt", b"x", length=0x7FFF_FFFF), WITH_CARD),
        "claims 2,147,483,647",
    ),
    "longest chunk": (".png", lambda: picture(chunk(b"tEXt", b"x", length=0xFFFF_FFFF)), "claims 4,294,967,295"),
    "short chunk": (".png", lambda: picture(chunk(b"tEXt", b"ccv3\0" + BASE64, length=9)), "checksum|claims"),
    "bad checksum": (".png", lambda: picture(chunk(b"tEXt", b"ccv3\0" + BASE64, crc=7)), "b'tEXt' does not match"),
    "bad picture": (".png", lambda: picture(chunk(b"IDAT", b"x", crc=7), WITH_CARD), "b'IDAT' does not match"),
    "truncated": (".png", lambda: picture(WITH_CARD, end=b""), "ends without IEND"),
    "truncated inside": (".png", lambda: picture(WITH_CARD)[:-40], "are left"),
    "only a signature": (".png", lambda: SIGNATURE, "ends without IEND"),
    "no header": (".png", lambda: SIGNATURE + WITH_CARD + chunk(b"IEND", b""), "does not start with IHDR"),
    "no picture": (".png", lambda: b"GIF89a" + CARD.encode(), "is no PNG"),
    "no card in it": (".png", lambda: picture(text_chunk("Chara", CARD)), "holds no card"),
    "two cards": (".png", lambda: picture(WITH_CARD, WITH_CARD), "is there twice"),
    "zTXt bomb": (".png", lambda: picture(chunk(b"zTXt", b"ccv3\0\0" + bomb())), "bytes of text"),
    "iTXt bomb": (".png", lambda: picture(chunk(b"iTXt", b"chara\0\1\0\0\0" + bomb())), "bytes of text"),
    "zTXt of noise": (".png", lambda: picture(chunk(b"zTXt", b"ccv3\0\0noise")), "cannot be unpacked"),
    "zTXt cut off": (".png", lambda: picture(chunk(b"zTXt", b"ccv3\0\0" + zlib.compress(BASE64)[:-9])), "is cut off"),
    "long tEXt": (".png", lambda: picture(text_chunk("ccv3", b" " * (MAX_CARD_BYTES + 3))), "bytes of text"),
    "bad base64": (".png", lambda: picture(chunk(b"tEXt", b"ccv3\0{not base64}")), "is not base64"),
    "base64 of noise": (".png", lambda: picture(text_chunk("ccv3", b"\xff\x00\xfe")), "is not UTF-8"),
    "base64 of no JSON": (".png", lambda: picture(text_chunk("ccv3", "hello")), "'ccv3' is not readable JSON"),
    "oversized picture": (".png", lambda: SIGNATURE + bytes(MAX_PICTURE_BYTES), f"at most {MAX_PICTURE_BYTES:,}"),
    # text files and names
    "oversized text": (".json", lambda: b'{"a": "' + b"x" * 10_000_000 + b'"}', f"at most {MAX_CARD_BYTES:,}"),
    "other encoding": (".json", lambda: CARD.encode("utf-16"), "is not UTF-8"),
    "other kind": (".exe", lambda: CARD.encode(), "none of .json, .png and .charx"),
}


def bomb() -> bytes:
    """Return 64 MB of base64 packed into 64 kB."""
    return zlib.compress(b"A" * 64_000_000, 9)


def twice() -> bytes:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return archive(("card.json", CARD), ("card.json", card_json(name="Other")))


def many_files() -> bytes:
    return archive(*((f"assets/icon/images/{number:040d}.png", b"") for number in range(3_000)), ("card.json", CARD))


def spoilt_body() -> bytes:
    content = bytearray(archive(("card.json", CARD), method=zipfile.ZIP_STORED))
    content[content.index(b"Skipper")] ^= 1
    return bytes(content)


@pytest.mark.parametrize("case", HOSTILE_FILES)
def test_a_hostile_file_is_refused_at_once_and_leaves_nothing(case: str, harbour: Path, tmp_path: Path) -> None:
    suffix, content, reason = HOSTILE_FILES[case]
    path = write_card(tmp_path, f"card{suffix}", content())
    before = tree(tmp_path)

    def attempt() -> None:
        with pytest.raises(BadPersona, match=reason) as caught:
            import_card(path, harbour)
        assert str(path) in str(caught.value)

    with watched() as touched:
        assert best_of_three(attempt) <= 0.1
    assert tree(tmp_path) == before
    assert touched.network == []
    assert {file for file in touched.files if file.name == "canary"} == set()


def test_an_oversized_archive_is_refused_unread(harbour: Path, tmp_path: Path) -> None:
    path = tmp_path / "card.charx"
    with path.open("wb") as file:
        file.truncate(MAX_ARCHIVE_BYTES + 1)
    with pytest.raises(BadPersona, match=f"at most {MAX_ARCHIVE_BYTES:,}"):
        import_card(path, harbour)


@pytest.mark.parametrize("kind", ["link to a card", "link to nothing", "pipe", "folder"])
def test_a_card_that_is_no_plain_file_is_refused(kind: str, harbour: Path, tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    match kind:
        case "link to a card":
            path.symlink_to(write_card(tmp_path, "real.json", CARD))
        case "link to nothing":
            path.symlink_to(tmp_path / "nowhere.json")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    before = tree(harbour)
    with pytest.raises(BadPersona, match=r"is a link|not a plain file"):
        import_card(path, harbour)
    assert tree(harbour) == before


def test_a_bomb_among_the_assets_is_never_unpacked(harbour: Path, tmp_path: Path) -> None:
    content = archive(("assets/bomb.bin", bytes(200_000_000)), ("assets/inner.charx", GOOD), ("card.json", CARD))
    path = write_card(tmp_path, "card.charx", content)
    assert best_of_three(lambda: read_card_file(path)) <= 0.1
    assert "other files in the archive (2)" in " ".join(import_card(path, harbour).warnings)


@pytest.mark.parametrize("case", ["bomb", "bomb of gigabytes", "zTXt bomb", "iTXt bomb", "chunk bomb", "many files"])
def test_a_bomb_stays_small_in_memory(case: str, tmp_path: Path) -> None:
    suffix, content, reason = HOSTILE_FILES[case]
    path = write_card(tmp_path, f"card{suffix}", content())
    tracemalloc.start()
    try:
        with pytest.raises(BadPersona, match=reason):
            read_card_file(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000_000


# -- that these files would do harm where nobody looks -------------------------------------------------------------


@pytest.mark.parametrize("case", ["zip slip", "slip inside"])
def test_the_canary_fires_where_an_archive_is_unpacked_blindly(case: str, tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(HOSTILE_FILES[case][1]())) as blind, watched() as touched:
        for entry in blind.infolist():
            where = os.path.normpath(target / entry.filename)
            Path(where).write_bytes(blind.read(entry))
    (canary,) = tmp_path.rglob("canary")
    assert not canary.is_relative_to(target)
    assert canary in touched.files


def test_the_bombs_burst_where_nothing_caps_them() -> None:
    assert len(zlib.decompress(bomb())) > 50_000_000
    with zipfile.ZipFile(io.BytesIO(HOSTILE_FILES["bomb"][1]())) as blind:
        assert len(blind.read("card.json")) > 100 * len(HOSTILE_FILES["bomb"][1]())
