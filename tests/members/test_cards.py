"""Cards and personas: what one makes of the other, what is kept, and hostile texts that stay text."""

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consilium.errors import BadPersona, UnknownMember
from consilium.members import files
from consilium.members.card_exchange import CARD_FILE, Imported, export_card, import_card
from consilium.members.card_files import read_card_file
from consilium.members.cards import PART, Spec, card_text, parse_card, persona_from, slug_of
from consilium.members.catalogue import CATALOGUE_FILE, Catalogue, load_member
from consilium.members.persona import MAX_TEXT_CHARS, Persona
from tests.support.cards import archive, card_json, card_table, picture, text_chunk, tree, write_card
from tests.support.personas import TRAINING, persona_table, write_persona
from tests.support.watching import best_of_three, watched

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
EXTENSIONS = st.dictionaries(st.text().filter(lambda key: key != "consilium"), VALUES, max_size=4)
PRINTABLE = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Cf")), min_size=1).filter(str.strip)


def imported(root: Path, content: str | bytes, file: str = "card.json", **options: Any) -> Imported:  # noqa: ANN401 -- as import_card
    return import_card(write_card(root.parent, file, content), root, **options)


def persona_of(root: Path, name: str = "skipper") -> Persona:
    return Persona.read(root / name / "persona.toml")


def exported(root: Path, name: str, file: str = "out.json", **options: Any) -> str:  # noqa: ANN401 -- as export_card
    target = root.parent / file
    export_card(name, root, target, **options)
    return read_card_file(target).text


def without_part(text: str) -> Any:  # noqa: ANN401 -- any JSON value
    value = json.loads(text)
    value["data"]["extensions"].pop("consilium")
    return value


# -- a card becomes a member ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_a_card_becomes_a_member_of_the_catalogue(version: str, harbour: Path) -> None:
    done = imported(harbour, card_json(version))
    assert (done.member, done.group, done.version, done.warnings) == ("skipper", "characters", version.upper(), ())
    catalogue = Catalogue.load(harbour)
    assert list(catalogue.members) == ["clerk", "pilot", "mate", "skipper"]
    assert catalogue.groups["characters"].members == ("skipper",)
    persona = catalogue.get("skipper").persona
    assert catalogue.get("skipper").adapter is None
    assert persona == Persona.read(done.persona)
    assert persona.description == "Skipper keeps the harbour. the user is new here."
    assert persona.system_prompt == (
        "You are Skipper. Be brief.\n\n"
        "Skipper keeps the harbour. the user is new here.\n\n"
        "Personality: dry\n\n"
        "Scenario: A quay at night."
    )
    assert "Which berth is free?" in persona.examples
    assert "Talk with me about boats." in persona.examples
    assert (harbour / "skipper" / CARD_FILE).read_text(encoding="utf-8") == card_json(version)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("card.png", picture(text_chunk("chara", card_json("v2", name="Other")), text_chunk("ccv3", card_json()))),
        ("card.charx", archive(("card.json", card_json()))),
    ],
)
def test_every_container_gives_the_same_member(name: str, content: bytes, harbour: Path) -> None:
    imported(harbour, content, name)
    assert (harbour / "skipper" / CARD_FILE).read_text(encoding="utf-8") == card_json()


def test_a_card_of_a_name_alone_is_enough(harbour: Path) -> None:
    table = {"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Ada"}}
    imported(harbour, json.dumps(table))
    persona = persona_of(harbour, "ada")
    assert persona.system_prompt == "You are Ada. Stay in character and answer the user."
    assert len(persona.examples) == 3


def test_a_nickname_stands_for_the_name_in_texts(harbour: Path) -> None:
    imported(harbour, card_json(nickname="Skip", system_prompt="You are {{Char}}, <BOT>, to {{USER}} and <user>."))
    assert persona_of(harbour).system_prompt.startswith("You are Skip, Skip, to the user and the user.")


def test_a_name_is_put_in_once_and_is_no_placeholder_itself(harbour: Path) -> None:
    imported(harbour, card_json(name="{{user}} {{char}}"), name="odd")
    assert persona_of(harbour, "odd").system_prompt.startswith("You are {{user}} {{char}}. Be brief.")


def test_line_ends_of_other_systems_become_line_feeds(harbour: Path) -> None:
    imported(harbour, card_json(system_prompt="one\r\ntwo\rthree", name="Skipper\r\n"))
    assert persona_of(harbour).system_prompt.startswith("one\ntwo\nthree\n\n")


@given(texts=st.fixed_dictionaries(dict.fromkeys(("system_prompt", "description", "scenario"), PRINTABLE)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_survives_the_way_into_toml(texts: dict[str, str], harbour: Path) -> None:
    content = card_json(**texts)
    card = parse_card(content, where="card").card
    imported(harbour, content, replace=True)
    assert persona_of(harbour) == persona_from(card, name="skipper", group="characters", adapter=None, where="card")


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


@pytest.mark.parametrize("name", ["2B", "諸葛亮", "...", "!"])
def test_a_name_that_gives_none_asks_for_one(name: str, harbour: Path) -> None:
    with pytest.raises(BadPersona, match=r"data\.name.*Give one with --name"):
        imported(harbour, card_json(name=name))
    assert imported(harbour, card_json(name=name), name="given").member == "given"


@pytest.mark.parametrize(("option", "value"), [("name", "../x"), ("name", "X"), ("group", "a/b"), ("group", "")])
def test_a_given_name_or_group_must_be_one(option: str, value: str, harbour: Path) -> None:
    before = tree(harbour)
    with pytest.raises(BadPersona, match=f"{option}='{re.escape(value)}' is no name"):
        imported(harbour, card_json(), **{option: value})
    assert tree(harbour) == before


# -- the catalogue -------------------------------------------------------------------------------------------------


def test_the_catalogue_keeps_its_layout_and_comments(harbour: Path) -> None:
    path = harbour / CATALOGUE_FILE
    before = "# the harbour's own\n" + path.read_text(encoding="utf-8").replace(
        '["pilot", "mate"]', '[\n    "pilot",  # first\n    "mate",\n]'
    )
    path.write_text(before, encoding="utf-8")
    imported(harbour, card_json(), group="water")
    after = path.read_text(encoding="utf-8")
    assert [line for line in after.splitlines() if "skipper" not in line] == before.splitlines()
    assert Catalogue.load(harbour).groups["water"].members == ("pilot", "mate", "skipper")
    imported(harbour, card_json(name="Bosun"))
    assert path.read_text(encoding="utf-8").startswith(after)
    assert Catalogue.load(harbour).groups["characters"].description


def test_a_member_that_is_there_is_replaced_only_if_asked(harbour: Path) -> None:
    imported(harbour, card_json())
    before = tree(harbour)
    with pytest.raises(BadPersona, match="'skipper' is there already"):
        imported(harbour, card_json(personality="wet"))
    assert tree(harbour) == before
    imported(harbour, card_json(personality="wet"), replace=True)
    assert "Personality: wet" in persona_of(harbour).system_prompt
    assert tree(harbour)[CATALOGUE_FILE] == before[CATALOGUE_FILE]


def test_a_replaced_member_stays_in_its_group_or_moves_as_told(harbour: Path) -> None:
    assert imported(harbour, card_json(name="Mate"), replace=True).group == "water"
    assert imported(harbour, card_json(name="Mate"), replace=True, group="shore").group == "shore"
    groups = Catalogue.load(harbour).groups
    assert (groups["water"].members, groups["shore"].members) == (("pilot",), ("clerk", "mate"))
    with pytest.raises(BadPersona, match="'pilot' is the only member of 'water'"):
        imported(harbour, card_json(name="Pilot"), replace=True, group="shore")


def test_a_catalogue_that_cannot_be_read_is_left_alone(harbour: Path) -> None:
    (harbour / CATALOGUE_FILE).write_text("fallback = ", encoding="utf-8")
    before = tree(harbour)
    with pytest.raises(BadPersona, match="is not readable TOML"):
        imported(harbour, card_json())
    assert tree(harbour) == before


@pytest.mark.parametrize("slug", ["skipper", "pilot"])
def test_a_folder_that_leads_elsewhere_is_not_followed(slug: str, harbour: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if (harbour / slug).exists():
        (harbour / slug).rename(tmp_path / "old")
    (harbour / slug).symlink_to(elsewhere)
    with pytest.raises(BadPersona, match="is no plain folder"):
        imported(harbour, card_json(name=slug), replace=True)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("failing", ["card.json", "persona.toml", "catalogue.toml"])
@pytest.mark.parametrize("name", ["Skipper", "Mate"])
def test_a_disk_that_fills_up_leaves_all_as_it_was(
    failing: str, name: str, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, write = tree(harbour), files.write_whole

    def full(path: Path, content: bytes) -> None:
        if path.name == failing and content != before.get(str(path.relative_to(harbour))):
            raise OSError(28, "No space left on device")
        write(path, content)

    monkeypatch.setattr(files, "write_whole", full)
    with pytest.raises(BadPersona, match="No space left on device"):
        imported(harbour, card_json(name=name), replace=True, group="shore")
    assert tree(harbour) == before
    assert not (harbour / "skipper").exists()


# -- a member becomes a card ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v2", "v3"])
@given(extensions=EXTENSIONS, unknown=VALUES, indent=st.sampled_from([None, 1, "\t"]), escape=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_everything_in_a_card_survives_the_way_in_and_out(
    version: Spec, extensions: dict[str, Any], unknown: object, indent: object, escape: bool, harbour: Path
) -> None:
    table = {**card_table(version, extensions=extensions, unknown=unknown), "beside": unknown}
    text = json.dumps(table, indent=indent, ensure_ascii=escape)
    imported(harbour, text, replace=True)
    once = exported(harbour, "skipper", spec=version)
    assert json.dumps(without_part(once)) == json.dumps(table)  # the order of keys counts too
    imported(harbour, once, replace=True)
    assert exported(harbour, "skipper", spec=version) == once


def test_all_but_our_own_part_stays_byte_for_byte(harbour: Path) -> None:
    text = card_json(extensions={"a": "X"}).replace('"X"', '[1.10, 1e400, "\\u00e9\\ud83d", {"z" :0, "a":-0.0}]  ')
    imported(harbour, text)
    once = exported(harbour, "skipper")
    cut = once.index(', "consilium"')
    assert once.startswith(text[:cut])
    assert once.endswith(text[cut:])


def test_a_card_of_v2_goes_out_as_v3_and_back(harbour: Path) -> None:
    table = card_table("v2", extensions={"a": [1]})
    imported(harbour, json.dumps(table))
    assert without_part(exported(harbour, "skipper", spec="v2")) == table
    v3 = without_part(exported(harbour, "skipper"))
    assert (v3["spec"], v3["spec_version"]) == ("chara_card_v3", "3.0")
    assert v3["data"] == {**table["data"], "group_only_greetings": []}


def test_a_picture_carries_the_card_by_both_specifications(harbour: Path) -> None:
    imported(harbour, card_json())
    export_card("skipper", harbour, harbour.parent / "out.png")
    content = (harbour.parent / "out.png").read_bytes()
    assert content.count(b"tEXtchara\0") == content.count(b"tEXtccv3\0") == 1
    assert json.loads(exported(harbour, "skipper", "out.png"))["spec"] == "chara_card_v3"
    assert json.loads(exported(harbour, "skipper", "out2.png", spec="v2"))["spec"] == "chara_card_v2"
    assert b"ccv3" not in (harbour.parent / "out2.png").read_bytes()


@pytest.mark.parametrize("spec", ["v2", "v3"])
@pytest.mark.parametrize("file", ["out.json", "out.png", "out.charx"])
def test_a_written_persona_comes_back_the_same(file: str, spec: Spec, harbour: Path) -> None:
    if (file, spec) == ("out.charx", "v2"):
        with pytest.raises(BadPersona, match="holds a card of V3"):
            export_card("clerk", harbour, harbour.parent / file, spec=spec)
        return
    write_persona(harbour, "clerk", "shore", sampling={"temperature": 0.5, "stop": ["\n"]}, training=TRAINING)
    before = persona_of(harbour, "clerk")
    export_card("clerk", harbour, harbour.parent / file, spec=spec)
    done = import_card(harbour.parent / file, harbour, replace=True)
    assert (done.member, done.group, done.version, done.warnings) == ("clerk", "shore", spec.upper(), ())
    assert persona_of(harbour, "clerk") == before


def test_what_was_written_into_the_persona_goes_out_too(harbour: Path) -> None:
    imported(harbour, card_json())
    write_persona(harbour, "skipper", "characters", system_prompt="You are somebody else.")
    text = exported(harbour, "skipper")
    assert without_part(text) == json.loads(card_json())
    imported(harbour, text, replace=True)
    assert persona_of(harbour).system_prompt == "You are somebody else."


def test_our_part_says_what_a_card_cannot(harbour: Path) -> None:
    text = exported(harbour, "pilot")
    part = json.loads(text)["data"]["extensions"]["consilium"]
    persona = persona_of(harbour, "pilot")
    assert (persona.adapter, persona.training) != (None, None)
    assert part["schema_version"] == 1
    assert part["group"] == "water"
    assert part["examples"] == list(persona.examples)
    assert part["sampling"] == persona.sampling.model_dump(mode="json")
    assert part["adapter"] == persona.adapter.model_dump() if persona.adapter else None
    assert {key: part["training"][key] for key in TRAINING} == TRAINING


def test_a_member_keeps_the_adapter_that_its_card_names(harbour: Path) -> None:
    before = load_member(harbour, "pilot")
    imported(harbour, exported(harbour, "pilot"), replace=True)
    assert load_member(harbour, "pilot") == before


def test_an_adapter_that_is_not_there_is_not_bound(harbour: Path) -> None:
    done = imported(harbour, exported(harbour, "pilot"), name="helmsman")
    assert any("not carried: train the member again" in warning for warning in done.warnings)
    member = Catalogue.load(harbour).get("helmsman")
    assert member.adapter is None
    assert member.persona.training == persona_of(harbour, "pilot").training
    done = imported(harbour, card_json(name="Pilot"), replace=True)
    assert any("no longer bound; its files stay" in warning for warning in done.warnings)
    assert load_member(harbour, "pilot").adapter is None
    assert (harbour / "pilot" / "adapter").is_dir()


def test_what_cannot_be_exported_says_why(harbour: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownMember, match="Did you mean 'clerk'"):
        export_card("clrek", harbour, tmp_path / "out.json")
    with pytest.raises(BadPersona, match="is none of"):
        export_card("clerk", harbour, tmp_path / "out.txt")
    with pytest.raises(BadPersona, match="carries no picture"):
        export_card("clerk", harbour, tmp_path / "out.json", image=tmp_path / "a.png")
    with pytest.raises(BadPersona, match="cannot be written: No such file"):
        export_card("clerk", harbour, tmp_path / "nowhere" / "out.json")
    (tmp_path / "link.json").symlink_to(harbour / CATALOGUE_FILE)
    with pytest.raises(BadPersona, match="is a link"):
        export_card("clerk", harbour, tmp_path / "link.json")
    (harbour / "clerk" / CARD_FILE).symlink_to(write_card(tmp_path, "real.json", card_json()))
    with pytest.raises(BadPersona, match="is a link"):
        export_card("clerk", harbour, tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


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
    assert MAX_TEXT_CHARS == 4_000
