"""Members come in as character cards and go out as them: the folder, the catalogue, and the file."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tomlkit
from pydantic import ValidationError

from consilium.errors import BadPersona
from consilium.members.card_files import (
    MAX_PICTURE_BYTES,
    container_of,
    packed,
    read_card_file,
)
from consilium.members.cards import (
    Card,
    CardText,
    Spec,
    card_text,
    checked_slug,
    not_acted_upon,
    parse_card,
    persona_from,
    slug_of,
)
from consilium.members.catalogue import CATALOGUE_FILE, PERSONA_FILE, Catalogue, CatalogueFile
from consilium.members.files import read_plain, write_together, write_whole
from consilium.members.persona import MAX_FILE_BYTES, Persona, read_toml

CARD_FILE = "card.json"
"""Beside a member's ``persona.toml``: the card it was imported from, as it came."""
DEFAULT_GROUP = "characters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A member made of a card."""

    member: str
    group: str
    persona: Path
    """Its ``persona.toml``."""
    version: Literal["V2", "V3"]
    """The card's specification."""
    warnings: tuple[str, ...]
    """In plain words, what the card held and the member does without."""


def import_card(
    file: Path, root: Path, *, name: str | None = None, group: str | None = None, replace: bool = False
) -> Imported:
    """Make a member under ``root`` of the card in ``file`` and add it to the catalogue.

    Everything is checked before anything is written, and all files change together or not at all. The member speaks
    through the bare base with its own system prompt; an adapter that it has already stays bound if the card names it.

    Args:
        file: a ``.json``, ``.png`` or ``.charx`` with a card of V2 or V3.
        root: folder with ``catalogue.toml``.
        name: the member's name; made of the character's if not given.
        group: its group; if not given, the group it stands in, else the one that the card names under
            ``extensions.consilium``, else ``characters``.
        replace: whether a member of that name may be replaced.

    Raises:
        BadPersona: the card or the catalogue cannot be used, or the member is there already; nothing was written.
    """
    catalogue = read_toml(root / CATALOGUE_FILE, CatalogueFile)
    found = read_card_file(file)
    card = parse_card(found.text, where=found.where).card
    slug = slug_of(card, where=found.where) if name is None else checked_slug(name, field="name")
    folder = root / slug
    standing = next((key for key, entry in catalogue.groups.items() if slug in entry.members), None)
    _check_free(folder, standing, replace=replace)
    part = card.data.extensions.consilium
    into = group if group is not None else standing or (part.group if part else None) or DEFAULT_GROUP
    persona = persona_from(card, name=slug, group=checked_slug(into, field="group"), where=found.where)
    persona, warning = _with_adapter(persona, folder, card)
    files = {folder / CARD_FILE: found.text.encode(), folder / PERSONA_FILE: _persona_toml(persona, found.where)}
    if standing != into:
        files[root / CATALOGUE_FILE] = _with_member(root / CATALOGUE_FILE, catalogue, slug, standing, into)
    _write_member(folder, files)
    return Imported(
        member=slug,
        group=into,
        persona=folder / PERSONA_FILE,
        version=card.version,
        warnings=(*not_acted_upon(card), *found.left, *warning),
    )


def _check_free(folder: Path, standing: str | None, *, replace: bool) -> None:
    taken = standing is not None or folder.is_symlink() or folder.exists()
    if taken and not replace:
        raise BadPersona(f"a member {folder.name!r} is there already. Give another --name, or --replace it.")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise BadPersona(f"{folder} is no plain folder. Remove it first.")


def _with_adapter(persona: Persona, folder: Path, card: Card) -> tuple[Persona, tuple[str, ...]]:
    """Return the persona bound to the adapter that the member keeps, or a warning about one that it does without."""
    part = card.data.extensions.consilium
    wanted = part.adapter if part else None
    try:
        present = Persona.read(folder / PERSONA_FILE)
    except BadPersona:  # no member yet, or a broken one that is to be replaced
        present = persona
    if present.adapter is not None and present.adapter == wanted:
        # Where the weights come from is known from here, whatever the card says.
        return persona.model_copy(update={"adapter": present.adapter, "training": present.training}), ()
    if present.adapter is not None:
        digest = present.adapter.digest[:12]
        return persona, (f"adapter {digest} of the replaced member is no longer bound; its files stay.",)
    if wanted is not None:
        digest = wanted.digest[:12]
        return persona, (f"adapter {digest} is named by the card but not carried: train the member again.",)
    return persona, ()


def _persona_toml(persona: Persona, where: str) -> bytes:
    fields = persona.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    document = tomlkit.document()
    for key, value in {"schema_version": persona.schema_version, **fields}.items():
        document[key] = _toml(value)
    content = tomlkit.dumps(document).encode()
    if len(content) > MAX_FILE_BYTES:
        raise BadPersona(
            f"{where} makes a persona of {len(content):,} bytes; at most {MAX_FILE_BYTES:,} are read. "
            "Shorten its texts or drop examples."
        )
    return content


def _toml(value: object) -> object:
    """Return a value as a person would lay it out: long lists and texts over several lines."""
    match value:
        case str() if "\n" in value:
            return tomlkit.string(value, multiline=True)
        case list() if len(value) > 2:
            array = tomlkit.array()
            array.extend(value)
            return array.multiline(True)
        case dict():
            table = tomlkit.table()
            for key, entry in value.items():
                table[key] = _toml(entry)
            return table
    return value


def _with_member(path: Path, catalogue: CatalogueFile, name: str, standing: str | None, group: str) -> bytes:
    """Return the catalogue's text with ``name`` in ``group`` instead of ``standing``; layout and comments stay."""
    if standing is not None and catalogue.groups[standing].members == (name,):
        raise BadPersona(f"{name!r} is the only member of {standing!r}. Keep it there with --group {standing}.")
    try:
        text = _edited(path.read_bytes().decode(), name, standing, group)
        after = CatalogueFile.model_validate(tomllib.loads(text))
    except (ValidationError, ValueError, KeyError, TypeError):  # inline tables, dotted keys: any layout TOML allows
        after = None
    before = {key: [each for each in entry.members if each != name] for key, entry in catalogue.groups.items()}
    wanted = {**before, group: [*before.get(group, []), name]}
    found = after and {key: list(entry.members) for key, entry in after.groups.items()}
    if found != wanted or len(text.encode()) > MAX_FILE_BYTES:
        raise BadPersona(f"{path} cannot take {name!r} into {group!r} as it is laid out. Add it there by hand first.")
    return text.encode()


def _edited(text: str, name: str, standing: str | None, group: str) -> str:
    document = tomlkit.parse(text)
    groups: Any = document["groups"]
    if standing is not None:
        groups[standing]["members"].remove(name)
    if group in groups:
        groups[group]["members"].append(name)
    else:
        table = tomlkit.table()
        table["description"] = f"Members of {group!r}, imported from character cards."
        table["members"] = [name]
        groups[group] = table
    return tomlkit.dumps(document)


def _write_member(folder: Path, files: Mapping[Path, bytes]) -> None:
    fresh = not folder.exists()
    try:
        if fresh:
            folder.mkdir()
        write_together(files)
    except BaseException as error:
        if fresh and folder.is_dir():
            folder.rmdir()
        if not isinstance(error, OSError):
            raise
        raise BadPersona(
            f"{folder} cannot be written: {error.strerror}. Nothing was changed; give --personas a folder that can."
        ) from error


def export_card(name: str, root: Path, file: Path, *, spec: Spec = "v3", image: Path | None = None) -> None:
    """Write the member ``name`` as a character card, over ``file`` if that is there.

    A member that came from a card goes out as that card: everything in it stays, byte for byte, and only
    ``extensions.consilium`` is renewed. A PNG carries the card by V3 and by V2, or by V2 alone if that was asked for.

    Args:
        name: the member.
        root: folder with ``catalogue.toml``.
        file: a ``.json``, ``.png`` or ``.charx``.
        spec: which specification to follow.
        image: for a ``.png``, the picture that is to carry the card; without it a single dot does.

    Raises:
        UnknownMember: nobody is called that.
        BadPersona: the card beside the persona, the picture or the file cannot be used; nothing was written.
    """
    persona = Catalogue.load(root).get(name).persona
    container = container_of(file)
    if image is not None and container != ".png":
        raise BadPersona(f"{file} is no .png and carries no picture. Leave --image away, or write a .png.")
    original = _original(root / name / CARD_FILE)
    picture = None if image is None else read_plain(image, limit=MAX_PICTURE_BYTES)
    content = packed(
        container,
        v2=card_text(persona, original, "v2") if spec == "v2" or container == ".png" else None,
        v3=card_text(persona, original, "v3") if spec == "v3" else None,
        picture=picture,
        where=str(image),
    )
    try:
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise BadPersona(f"{file} is a link or no plain file. Name another file.")
        write_whole(file, content)
    except OSError as error:
        raise BadPersona(f"{file} cannot be written: {error.strerror}. Name another file.") from error


def _original(path: Path) -> CardText | None:
    if not path.exists() and not path.is_symlink():
        return None
    found = read_card_file(path)
    return parse_card(found.text, where=found.where)
