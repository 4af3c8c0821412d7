"""Cards and personas: what one makes of the other, and hostile texts that stay text."""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilium.errors import BadPersona
from consilium.members.card_exchange import CARD_FILE, import_card
from consilium.members.cards import PART, card_text, parse_card, slug_of
from consilium.members.catalogue import Catalogue
from consilium.members.persona import Persona
from tests.support.cards import (
    card_json,
    card_table,
    exported,
    imported,
    persona_of,
    tree,
    without_part,
    write_card,
)
from tests.support.personas import persona_table
from tests.support.watching import best_of_three, watched

PRINTABLE = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Cf")), min_size=1).filter(str.strip)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Dr. Élise O'Brien", "dr-elise-o-brien"),
        ("  Big  Bad_Wolf!! ", "big-bad_wolf"),
        ("../../x", "x"),
        ("/etc/passwd", "etc-passwd"),
        ("..\\..\\windows", "windows"),
        ("CON", "con"),
        ("nul", "nul"),
        ("a" * 100, "a" * 40),
        ("ﬁsh", "fish"),
    ],
)
def test_the_member_s_name_is_made_of_the_character_s(name: str, slug: str) -> None:
    assert slug_of(parse_card(card_json(name=name), where="card").card, where="card") == slug


@given(name=PRINTABLE.filter(lambda text: len(text.strip()) <= 100))
def test_no_name_leads_out_of_its_folder(name: str) -> None:
    card = parse_card(card_json(name=name), where="card").card
    try:
        slug = slug_of(card, where="card")
    except BadPersona:
        slug = "a-name-is-asked-for"
    assert re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", slug)


def test_a_persona_goes_out_with_every_field_of_the_specification() -> None:
    persona = Persona.model_validate(persona_table("clerk", "shore"))
    v2, v3 = (json.loads(card_text(persona, None, spec)) for spec in ("v2", "v3"))
    assert set(v2["data"]) == set(card_table("v2")["data"])
    assert set(v3["data"]) == set(card_table("v3")["data"])
    assert v3["data"]["system_prompt"] == persona.system_prompt


# -- hostile texts -------------------------------------------------------------------------------------------------

HOSTILE_TEXTS: dict[str, tuple[Callable[[], str], str]] = {
    "nested objects": (lambda: '{"data": ' * 100_000, "nested too deeply"),
    "nested lists": (lambda: card_json(x="X").replace('"X"', "[" * 100_000 + "]" * 100_000), "nested too deeply"),
    "a key twice": (lambda: card_json(x="X").replace('"x": "X"', '"name": "Other"'), "a key occurs twice"),
    "NaN": (lambda: card_json(extensions={"x": float("nan")}), "NaN is no JSON number"),
    "Infinity": (lambda: card_json(x=float("inf")), "Infinity is no JSON number"),
    "a number of 5,000 digits": (lambda: card_json(x="X").replace('"X"', "9" * 5_000), "digits"),
    "no object": (lambda: "[]", "not an object"),
    "V1": (lambda: json.dumps(card_table()["data"]), "has spec 'None'"),
    "spec is a list": (lambda: '{"spec": [], "data": {}}', "has spec '"),
    "V9": (lambda: card_json().replace("card_v3", "card_v9"), "has spec 'chara_card_v9'"),
    "no data": (lambda: '{"spec": "chara_card_v3", "spec_version": "3.0"}', "data: Field required"),
    "data is text": (lambda: '{"spec": "chara_card_v3", "spec_version": "3.0", "data": "x"}', "data: Input should be"),
    "no name": (lambda: card_json(name=None), "data.name: Field required"),
    "empty name": (lambda: card_json(name=" "), "data.name: String should have at least 1"),
    "long name": (lambda: card_json(name="{{char}}" * 100), "data.name: String should have at most 100"),
    "name of escapes": (lambda: card_json(name="\x1b[31mred"), r"data.name: .*control character '\x1b'"),
    "name that turns": (lambda: card_json(name="exe.\u202egnp"), r"data.name: .*control character '\u202e'"),
    "OSC 52": (lambda: card_json(description="\x1b]52;c;Y2FuYXJ5\x07"), r"data.description: .*'\x1b'"),
    "C1 control": (lambda: card_json(scenario="\x9b31m"), r"data.scenario: .*'\x9b'"),
    "NUL": (lambda: card_json(system_prompt="a\x00b"), r"data.system_prompt: .*'\x00'"),
    "isolates": (lambda: card_json(personality="\u2066a\u2069"), r"data.personality: .*'\u2066'"),
    "escape in a greeting": (lambda: card_json(first_mes="\x1b[2J"), r"data.first_mes: .*'\x1b'"),
    "escape in examples": (lambda: card_json(mes_example="{{user}}: \x07"), r"data.mes_example: .*'\x07'"),
    "escape in a tag": (lambda: card_json(tags=["\x08"]), r"data.tags.0: .*'\x08'"),
    "many tags": (lambda: card_json(tags=["a"] * 100_000), "data.tags: .*at most 1000 items"),
    "half a character": (lambda: card_json(description="\ud83d"), "data.description"),
    "text of the wrong type": (
        lambda: card_json(description=["x"]),
        "data.description: Input should be a valid string",
    ),
    "long text": (lambda: card_json(scenario="x" * 4_001), "data.scenario: String should have at most 4000"),
    "very long text": (lambda: card_json(description="x" * 1_000_000), "data.description: .*at most 4000"),
    "long together": (
        lambda: card_json(description="x" * 3_000, scenario="y" * 3_000),
        "characters; at most 4,000 fit a persona",
    ),
    "placeholders that swell": (
        lambda: card_json(name="n" * 100, description="{{char}}" * 500),
        "at most 4,000 fit a persona",
    ),
    "our part is text": (lambda: card_json(extensions={"consilium": "x"}), "data.extensions.consilium"),
    "our part of tomorrow": (
        lambda: card_json(extensions={"consilium": {"schema_version": 2}}),
        "data.extensions.consilium.schema_version",
    ),
    "our part with a path": (
        lambda: card_json(extensions={"consilium": {"schema_version": 1, "adapter": {"path": "/etc"}}}),
        "data.extensions.consilium.adapter",
    ),
    "our part with a group outside": (
        lambda: card_json(extensions={"consilium": {"schema_version": 1, "group": "../x"}}),
        "data.extensions.consilium.group",
    ),
    "our part with escapes": (
        lambda: card_json(extensions={"consilium": {"schema_version": 1, "system_prompt": "\x1b"}}),
        "data.extensions.consilium.system_prompt",
    ),
    "our part too large": (
        lambda: card_json(extensions={"consilium": {"schema_version": 1, "examples": ["x" * 4_000] * 20}}),
        "at most 65,536 are read",
    ),
    "extensions are a list": (lambda: card_json(extensions=[]), "data.extensions"),
}


@pytest.mark.parametrize("case", HOSTILE_TEXTS)
def test_a_hostile_text_is_refused_at_once_and_leaves_nothing(case: str, harbour: Path, tmp_path: Path) -> None:
    content, reason = HOSTILE_TEXTS[case]
    path = write_card(tmp_path, "card.json", content())
    before = tree(tmp_path)

    def attempt() -> None:
        with pytest.raises(BadPersona) as caught:
            import_card(path, harbour)
        message = str(caught.value)
        assert str(path) in message
        assert all(re.search(part, message) for part in reason.replace("\\", "\\\\").split(": .*")), message
        assert message.isprintable()
        assert len(message) < 600 + len(str(path))

    with watched() as touched:
        assert best_of_three(attempt) <= 0.1
    assert tree(tmp_path) == before
    assert touched.network == []


CATASTROPHIC = "(a+)+$"
INERT: dict[str, dict[str, object]] = {
    "template": {"system_prompt": "{{ ''.__class__.__mro__ }} {% for x in range(9) %} ${7*7} {0.__class__} %(x)s"},
    "macros": {"system_prompt": "{{original}} {{random:a,b}} {{roll:d999999999}}"},
    "assets": {
        "assets": [
            {"type": "icon", "uri": "http://127.0.0.1:9/canary", "name": "main", "ext": "png"},
            {"type": "icon", "uri": "file:///tmp/canary", "name": "b", "ext": "png"},
            {"type": "icon", "uri": "embeded://../../canary", "name": "c", "ext": "png"},
        ]
    },
    "URIs in texts": {
        "description": "![x](http://127.0.0.1:9/canary) file:///tmp/canary",
        "source": ["http://a/canary"],
    },
    "lorebook": {
        "mes_example": "{{user}}: " + "a" * 200 + "!",
        "character_book": {"entries": [{"keys": [CATASTROPHIC], "use_regex": True, "content": "a" * 40 + "!"}]},
    },
    "scripts": {
        "extensions": {"regex_scripts": [{"findRegex": f"/{CATASTROPHIC}/g", "replaceString": "{{getvar::x}}"}]}
    },
    "code": {"extensions": {"risuai": {"triggerscript": "import os; os.system('touch canary')"}}},
    "keys of Python": {
        "__class__": 1,
        "__dict__": {},
        "model_config": {},
        "extensions": {"model_fields": 1, "__init__": 2},
    },
    "many lines": {"mes_example": "\n" * 400_000},
    "many values": {"extensions": {"x": [{}] * 200_000}},
    "a long greeting": {"first_mes": "{{char}}" * 100_000},
    "unseen escapes": {"creator_notes": "\x1b]0;owned\x07\u202e", "extensions": {"\x1b[2J": "\x1b[2J"}},
    "name that climbs": {"name": "../../canary"},
    "name of a device": {"name": "CON"},
}


@pytest.mark.parametrize("case", INERT)
def test_what_a_member_has_no_use_for_stays_text(
    case: str, harbour: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []
    compile_ = re._compile  # type: ignore[attr-defined]  # every function of re passes here

    def recording(pattern: object, flags: int) -> object:
        compiled.append(pattern)
        return compile_(pattern, flags)

    monkeypatch.setattr(re, "_compile", recording)
    text = card_json(**INERT[case])
    path = write_card(tmp_path, "card.json", text)
    import_card(path, harbour, replace=True)
    with watched() as touched:
        assert best_of_three(lambda: import_card(path, harbour, replace=True)) <= 0.1
    done = import_card(path, harbour, replace=True)
    assert touched.network == []
    assert touched.processes == []
    assert {file for file in touched.files if not file.is_relative_to(tmp_path)} == set()
    assert not any(CATASTROPHIC in str(pattern) for pattern in compiled)
    assert [file for file in tmp_path.rglob("*") if file.is_file() and file.name == "canary"] == []
    assert (harbour / done.member / CARD_FILE).read_text(encoding="utf-8") == text
    assert json.dumps(without_part(exported(harbour, done.member))) == json.dumps(json.loads(text))
    assert all(warning.isprintable() for warning in done.warnings)
    assert done.member in Catalogue.load(harbour).members


@pytest.mark.parametrize(
    ("case", "warning"),
    [
        ("template", "stay in the system prompt as they are"),
        ("macros", "stay in the system prompt as they are"),
        ("assets", "assets: kept, and never opened or fetched"),
        ("lorebook", "character_book: the lorebook is kept"),
        ("scripts", "regex_scripts: kept, and never compiled or run"),
        ("code", "'extensions.risuai': kept, not understood"),
    ],
)
def test_what_is_not_acted_upon_is_said(case: str, warning: str, harbour: Path) -> None:
    assert any(warning in said for said in imported(harbour, card_json(**INERT[case])).warnings)


def test_a_template_reaches_the_system_prompt_as_it_is(harbour: Path) -> None:
    template = str(INERT["template"]["system_prompt"])
    imported(harbour, card_json(**INERT["template"]))
    assert persona_of(harbour).system_prompt.startswith(template)


def test_a_newer_version_is_read_and_said(harbour: Path) -> None:
    (warning,) = imported(harbour, card_json().replace('"3.0"', '"3.1"')).warnings
    assert warning == "spec_version '3.1' is read as V3."


def test_the_guards_see_what_they_guard_against(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    compile_ = re._compile  # type: ignore[attr-defined]

    def recording(pattern: object, flags: int) -> object:
        compiled.append(pattern)
        return compile_(pattern, flags)

    monkeypatch.setattr(re, "_compile", recording)
    with watched() as touched:
        with socket.socket() as client:
            client.connect_ex(("127.0.0.1", 9))
        (tmp_path / "canary").write_text("x")
        re.search(CATASTROPHIC, "aa")
        eval("1")  # noqa: S307 -- the guard must see it
    assert "socket.connect" in touched.network
    assert tmp_path / "canary" in touched.files
    assert "compile" in touched.processes
    assert CATASTROPHIC in compiled


def test_the_part_is_where_it_is_said_to_be(harbour: Path) -> None:
    value = json.loads(exported(harbour, "clerk"))
    for key in PART:
        value = value[key]
    assert value["schema_version"] == 1
