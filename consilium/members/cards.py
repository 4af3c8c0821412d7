"""Character cards, and what a persona and a card have in common.

A card is what role-play programs pass around: a character as JSON, by the Character Card specifications V2
(https://github.com/malfoyslastname/character-card-spec-v2) and V3 (https://github.com/kwaroran/character-card-spec-v3).
What a card holds beyond a persona is kept as text and never acted upon: no URI is opened, no pattern compiled, no
template run. What a persona holds beyond a card lies under ``data.extensions.consilium``.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from consilium.errors import BadPersona
from consilium.members.json_text import parse_object, with_value
from consilium.members.persona import (
    MAX_TEXT_CHARS,
    AdapterPin,
    Persona,
    SamplingDefaults,
    Slug,
    Text,
    Training,
    faults,
    printable,
)

Spec: TypeAlias = Literal["v2", "v3"]

MAX_NAME_CHARS = 100
"""Longest name of a character. It stands wherever ``{{char}}`` does, hence it must not be a page."""
MAX_TAGS = 1_000
PART = ("data", "extensions", "consilium")
"""Where our own data lies in a card."""

_SPECS: dict[Spec, tuple[str, str]] = {"v2": ("chara_card_v2", "2.0"), "v3": ("chara_card_v3", "3.0")}
_PLACEHOLDER = re.compile(r"\{\{(char|user)\}\}|<(char|bot|user)>", re.IGNORECASE)
_USER_SPEAKS = re.compile(r"[ \t]*(?:\{\{user\}\}|<user>):", re.IGNORECASE)
_MAX_EXAMPLES = 12
_MAX_EXAMPLE_CHARS = 300
_MAX_SEARCHED_CHARS = 16_000
"""So much of a long field is searched for example requests."""


def _line_ends(value: object) -> object:
    return value.replace("\r\n", "\n").replace("\r", "\n") if isinstance(value, str) else value


def _sayable(text: str) -> str:
    """Return ``text``. Raises `ValueError` for controls, and for the halves of a character that JSON can spell."""
    text.encode()
    return printable(text)


_Loose = Annotated[str, BeforeValidator(_line_ends), AfterValidator(_sayable)]
_Prompt = Annotated[
    str, StringConstraints(max_length=MAX_TEXT_CHARS), BeforeValidator(_line_ends), AfterValidator(_sayable)
]
_Nickname = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_NAME_CHARS),
    BeforeValidator(_line_ends),
    AfterValidator(_sayable),
]
_Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_CHARS),
    BeforeValidator(_line_ends),
    AfterValidator(_sayable),
]


class ConsiliumPart(BaseModel):
    """Our own data in a card. What is missing is made of the card's other fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1]
    group: Slug | None = None
    description: Text | None = None
    """Only where it is not what the card's own fields give."""
    system_prompt: Text | None = None
    """Only where it is not what the card's own fields give."""
    examples: Annotated[tuple[Text, ...], Field(min_length=3, max_length=200)] | None = None
    follow_ups: Annotated[tuple[Text, ...], Field(max_length=50)] = ()
    sampling: SamplingDefaults = SamplingDefaults()
    training: Training | None = None
    """Where the member's adapter comes from."""
    adapter: AdapterPin | None = None
    """The member's adapter by content; a card does not carry the weights."""


class Extensions(BaseModel):
    """``data.extensions``: ours, and everybody else's."""

    model_config = ConfigDict(extra="allow", frozen=True)

    consilium: ConsiliumPart | None = None


class CardData(BaseModel):
    """``data``: the fields that make a persona, and others by name that are known not to."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: _Name
    nickname: _Nickname | None = None
    """V3: what stands for ``{{char}}`` instead of the name."""
    description: _Prompt = ""
    personality: _Prompt = ""
    scenario: _Prompt = ""
    system_prompt: _Prompt = ""
    first_mes: _Loose = ""
    mes_example: _Loose = ""
    tags: Annotated[tuple[_Loose, ...], Field(max_length=MAX_TAGS)] = ()
    extensions: Extensions = Extensions()

    @property
    def called(self) -> str:
        """What stands for ``{{char}}``."""
        return self.nickname or self.name


class Card(BaseModel):
    """A character card as far as a persona needs it. Unknown fields are allowed; the card's text keeps them."""

    model_config = ConfigDict(extra="allow", frozen=True)

    spec: Literal["chara_card_v2", "chara_card_v3"]
    spec_version: str
    data: CardData

    @property
    def version(self) -> Literal["V2", "V3"]:
        """Which specification it follows."""
        return "V2" if self.spec == "chara_card_v2" else "V3"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardText:
    """A card and the JSON text it was read from."""

    card: Card
    text: str


def parse_card(text: str, *, where: str) -> CardText:
    """Read a card's JSON text; ``where`` opens the message of an error.

    Raises:
        BadPersona: not strict JSON, neither V2 nor V3, or a field that a persona needs breaks the schema: of the wrong
            type, too long, or with a control character in it.
    """
    table = parse_object(text, where=where)
    if table.get("spec") not in [spec for spec, _ in _SPECS.values()]:  # a list: theirs may be of any type
        raise BadPersona(
            f"{where} has spec {str(table.get('spec'))[:40]!r}; 'chara_card_v2' and 'chara_card_v3' are read. "
            "Export the card as one of these."
        )
    try:
        return CardText(card=Card.model_validate(table), text=text)
    except ValidationError as error:
        raise BadPersona(f"{where} does not fit the schema: {faults(error)}. Correct those fields.") from error


def slug_of(card: Card, *, where: str) -> str:
    """Return the member's name made of the character's: ``Dr. Élise`` becomes ``dr-elise``.

    Raises:
        BadPersona: it leaves nothing that starts with a letter.
    """
    plain = unicodedata.normalize("NFKD", card.data.name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9_]+", "-", plain).strip("-_")[:40].rstrip("-_")
    if not slug[:1].isalpha():
        raise BadPersona(
            f"{where}: data.name: {card.data.name!r} gives no member a name of small letters, digits, '-' and '_' that "
            "starts with a letter. Give one with --name."
        )
    return slug


def checked_slug(name: str, *, field: str) -> str:
    """Return ``name``. Raises `BadPersona` unless it can name a member or a group."""
    try:
        return TypeAdapter(Slug).validate_python(name)
    except ValidationError as error:
        raise BadPersona(
            f"{field}={name[:60]!r} is no name of at most 40 small letters, digits, '-' and '_' that starts with a "
            "letter. Give another."
        ) from error


def persona_from(card: Card, *, name: str, group: str, where: str) -> Persona:
    """Return the persona that ``card`` describes, called ``name`` in ``group`` and bound to no adapter.

    Raises:
        BadPersona: its texts together are longer than a persona's may be.
    """
    part = card.data.extensions.consilium or ConsiliumPart(schema_version=1)
    prompt = part.system_prompt or _system_prompt(card.data)
    if len(prompt) > MAX_TEXT_CHARS:
        raise BadPersona(
            f"{where}: data.system_prompt, description, personality and scenario make a system prompt of "
            f"{len(prompt):,} characters; at most {MAX_TEXT_CHARS:,} fit a persona. Shorten them."
        )
    try:
        return Persona(
            name=name,
            group=group,
            description=part.description or _description(card.data),
            system_prompt=prompt,
            examples=part.examples or _examples(card.data),
            follow_ups=part.follow_ups,
            sampling=part.sampling,
            training=part.training,
        )
    except ValidationError as error:
        raise BadPersona(f"{where} makes no valid persona: {faults(error)}. Correct the card.") from error


def replaced(text: str, called: str) -> str:
    """Return ``text`` with ``{{char}}`` and ``{{user}}`` replaced, once and by nothing but a name.

    >>> replaced("{{char}} greets {{user}}. {{ 7*7 }}", "Ada {{user}}")
    'Ada {{user}} greets the user. {{ 7*7 }}'
    """
    return _PLACEHOLDER.sub(lambda found: "the user" if "user" in found[0].lower() else called, text)


def _system_prompt(data: CardData) -> str:
    head = data.system_prompt.strip() or f"You are {data.called}. Stay in character and answer the user."
    labelled = (("", data.description), ("Personality: ", data.personality), ("Scenario: ", data.scenario))
    parts = [head, *(label + text.strip() for label, text in labelled if text.strip())]
    return replaced("\n\n".join(parts), data.called)


def _description(data: CardData) -> str:
    text = next(filter(str.strip, (data.description, data.personality, data.scenario)), f"The character {data.called}.")
    return replaced(text, data.called)


def _examples(data: CardData) -> tuple[str, ...]:
    """Return at least three requests that this character should be asked, and what users ask it in its own examples."""
    name = data.called
    made = [replaced(text, name).strip() for text in _requests(data)]
    made = [text for text in made if 0 < len(text) <= _MAX_EXAMPLE_CHARS]
    always = (f"Let me speak with {name}.", f"What would {name} say to this?", f"{name}, tell me about yourself.")
    return tuple(dict.fromkeys([*always, *made]))[:_MAX_EXAMPLES]


def _requests(data: CardData) -> Iterator[str]:
    for line in data.mes_example[:_MAX_SEARCHED_CHARS].splitlines():
        if found := _USER_SPEAKS.match(line):
            yield line[found.end() :]
    for tag in data.tags[:5]:
        yield f"Talk with me about {tag[:_MAX_EXAMPLE_CHARS].strip()}." if tag.strip() else ""
    yield _first_sentence(data.description)
    yield _first_sentence(data.first_mes)


def _first_sentence(text: str) -> str:
    line = text.strip().partition("\n")[0][:_MAX_SEARCHED_CHARS]
    sentence, stop, _ = line.partition(". ")
    return sentence + stop.strip()


def not_acted_upon(card: Card) -> Iterator[str]:
    """Yield in plain words what the card holds that a persona has no use for."""
    data, extra = card.data, dict(card.data.model_extra or {})
    if card.spec_version not in {version for _, version in _SPECS.values()}:
        yield f"spec_version {card.spec_version[:20]!r} is read as {card.version}."
    if "{{" in _system_prompt(data):
        yield "placeholders other than {{char}} and {{user}} stay in the system prompt as they are."
    for field, what in _UNUSED.items():
        if extra.pop(field, None):
            yield f"{field}: {what}"
    others = dict(data.extensions.model_extra or {})
    if others.pop("regex_scripts", None):
        yield "extensions.regex_scripts: kept, and never compiled or run."
    unknown = [*(f"extensions.{key}" for key in others), *(key for key in extra if key not in _ABOUT_THE_CARD)]
    if unknown:
        shown = ", ".join(repr(key[:40]) for key in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        yield f"{shown}: kept, not understood, and not acted upon."


_UNUSED = {
    "assets": "kept, and never opened or fetched.",
    "character_book": "the lorebook is kept; its entries are not used and its patterns never compiled.",
    "post_history_instructions": "kept, and not part of the system prompt.",
    "alternate_greetings": "kept; a member does not speak first.",
    "group_only_greetings": "kept; a member does not speak first.",
}
_ABOUT_THE_CARD = (
    *("creator", "creator_notes", "creator_notes_multilingual", "character_version"),
    *("source", "creation_date", "modification_date"),
)
"""Fields of the specifications that say nothing about the character."""


def card_text(persona: Persona, original: CardText | None, spec: Spec) -> str:
    """Return ``persona`` as a card's JSON text.

    Where there is an ``original``, everything in it stays, byte for byte, but for our own part and, if another
    specification is asked for, its two version fields.
    """
    if original is None:
        data = {**_blank(spec), "name": persona.name, "description": persona.description}
        data["system_prompt"] = persona.system_prompt
        name, version = _SPECS[spec]
        text = json.dumps({"spec": name, "spec_version": version, "data": data}, indent=2, ensure_ascii=False) + "\n"
        original = parse_card(text, where=persona.name)
    text, card = original.text, original.card
    name, version = _SPECS[spec]
    if card.spec != name:
        text = with_value(with_value(text, ("spec",), name), ("spec_version",), version)
        if spec == "v3" and "group_only_greetings" not in (card.data.model_extra or {}):
            text = with_value(text, ("data", "group_only_greetings"), [])
    part = _part(persona, card)
    return text if _held(text) == part else with_value(text, PART, part)


def _part(persona: Persona, card: Card) -> dict[str, Any]:
    """Return our own data: what the card's own fields do not say."""
    part: dict[str, Any] = {"schema_version": 1, "group": persona.group}
    if persona.description != _description(card.data).strip():
        part["description"] = persona.description
    if persona.system_prompt != _system_prompt(card.data).strip():
        part["system_prompt"] = persona.system_prompt
    part["examples"] = list(persona.examples)
    if persona.follow_ups:
        part["follow_ups"] = list(persona.follow_ups)
    part["sampling"] = persona.sampling.model_dump(mode="json")
    if persona.training is not None:
        part["training"] = persona.training.model_dump(mode="json", exclude_none=True)
    if persona.adapter is not None:
        part["adapter"] = persona.adapter.model_dump(mode="json")
    return part


def _held(text: str) -> object:
    extensions = json.loads(text)["data"].get("extensions", {})
    return extensions.get("consilium")


def _blank(spec: Spec) -> dict[str, Any]:
    """Return every field of the specification that a card must have, empty."""
    texts = ("name", "description", "personality", "scenario", "first_mes", "mes_example", "creator_notes")
    data: dict[str, Any] = dict.fromkeys([*texts, "system_prompt", "post_history_instructions"], "")
    data |= {"alternate_greetings": [], "tags": [], "creator": "", "character_version": "", "extensions": {}}
    return data if spec == "v2" else {**data, "group_only_greetings": []}
