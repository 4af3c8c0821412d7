"""Members come in as cards and go out as them: folder, catalogue, file, and what is kept."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consilium.errors import BadPersona, UnknownMember
from consilium.members import files
from consilium.members.card_exchange import CARD_FILE, export_card, import_card
from consilium.members.cards import Spec, parse_card, persona_from
from consilium.members.catalogue import CATALOGUE_FILE, Catalogue, load_member
from consilium.members.persona import Persona
from tests.support.cards import (
    archive,
    card_json,
    card_table,
    exported,
    imported,
    persona_of,
    picture,
    text_chunk,
    tree,
    without_part,
    write_card,
)
from tests.support.personas import TRAINING, write_persona

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
EXTENSIONS = st.dictionaries(st.text().filter(lambda key: key != "consilium"), VALUES, max_size=4)
PRINTABLE = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Cf")), min_size=1).filter(str.strip)


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
    assert persona_of(harbour) == persona_from(card, name="skipper", group="characters", where="card")


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


LAYOUTS = {
    "inline": 'groups = {a = {description = "x", members = ["clerk"]}, b = {description = "x", members = ["mate"]}}',
    "dotted": 'groups.a = {description = "x", members = ["clerk"]}\ngroups.b = {description = "x", members = ["mate"]}',
    "mixed": '[groups]\na.description = "x"\na.members = ["clerk"]\nb = {description = "x", members = ["mate"]}',
}


@pytest.mark.parametrize(("layout", "group"), [("inline", "b"), ("dotted", "b"), ("mixed", "b"), ("mixed", "guests")])
def test_the_catalogue_may_be_laid_out_in_any_way(layout: str, group: str, harbour: Path) -> None:
    text = f'fallback = "clerk"\r\n{LAYOUTS[layout]}\n'
    (harbour / CATALOGUE_FILE).write_bytes(text.encode())
    imported(harbour, card_json(), group=group)
    groups = tomllib.loads((harbour / CATALOGUE_FILE).read_text(encoding="utf-8"))["groups"]
    assert "skipper" in groups[group]["members"]
    assert (harbour / CATALOGUE_FILE).read_bytes().startswith(b'fallback = "clerk"\r\n')


@pytest.mark.parametrize("layout", ["inline", "dotted"])
def test_a_layout_that_has_no_room_for_a_group_is_left_alone(layout: str, harbour: Path) -> None:
    (harbour / CATALOGUE_FILE).write_text(f'fallback = "clerk"\n{LAYOUTS[layout]}\n', encoding="utf-8")
    before = tree(harbour)
    with pytest.raises(BadPersona, match=r"as it is laid out\. Add it there by hand first"):
        imported(harbour, card_json(), group="guests")
    assert tree(harbour) == before


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
    assert part["schema_version"] == 1
    assert part["group"] == "water"
    assert part["examples"] == list(persona.examples)
    assert part["sampling"] == persona.sampling.model_dump(mode="json")
    assert persona.adapter is not None
    assert part["adapter"] == {"digest": persona.adapter.digest, "base": persona.adapter.base}
    assert {key: part["training"][key] for key in TRAINING} == TRAINING


def test_a_member_keeps_the_adapter_that_its_card_names(harbour: Path) -> None:
    before = load_member(harbour, "pilot")
    text = exported(harbour, "pilot").replace(TRAINING["licence"], "MIT")
    assert "MIT" in text
    assert imported(harbour, text, replace=True).warnings == ()
    assert load_member(harbour, "pilot") == before  # where its weights come from is not the card's to say


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


def test_a_card_takes_a_members_follow_ups_along(harbour: Path) -> None:
    write_persona(harbour, "clerk", "shore", follow_ups=["and the fee?", "enter that"])
    export_card("clerk", harbour, harbour.parent / "out.json")
    import_card(harbour.parent / "out.json", harbour, name="other")
    assert load_member(harbour, "other").persona.follow_ups == ("and the fee?", "enter that")
