"""The catalogue: loading, looking up, and files that contradict each other."""

from pathlib import Path

import pytest

from consilium.errors import AdapterRefused, BadPersona, UnknownMember
from consilium.members.catalogue import Catalogue, load_member
from consilium.settings import data_folder
from tests.support.adapters import write_adapter
from tests.support.personas import write_catalogue, write_persona


def refusal(root: Path) -> str:
    with pytest.raises(BadPersona) as caught:
        Catalogue.load(root)
    return str(caught.value)


def test_members_stand_in_the_order_of_the_file(harbour: Path) -> None:
    catalogue = Catalogue.load(harbour)
    assert list(catalogue.members) == ["clerk", "pilot", "mate"]
    assert list(catalogue.groups) == ["shore", "water"]
    assert catalogue.groups["water"].members == ("pilot", "mate")
    assert catalogue.fallback == "clerk"


def test_a_member_is_named_by_the_content_of_its_adapter(harbour: Path) -> None:
    catalogue = Catalogue.load(harbour)
    pilot = catalogue.get("pilot")
    assert pilot.adapter is not None
    assert pilot.content_name == f"pilot@{pilot.adapter.pin.digest[:12]}"
    assert catalogue.get("clerk").content_name == "clerk"


def test_pick_keeps_the_order_and_seats_each_once(harbour: Path) -> None:
    picked = Catalogue.load(harbour).pick(["mate", "clerk", "mate"])
    assert [member.name for member in picked] == ["mate", "clerk"]


def test_a_catalogue_cannot_be_changed(harbour: Path) -> None:
    catalogue = Catalogue.load(harbour)
    with pytest.raises(TypeError):
        catalogue.members["pirate"] = catalogue.get("mate")


def test_an_unknown_member_is_answered_with_the_nearest_name(harbour: Path) -> None:
    with pytest.raises(UnknownMember, match=r"no member is called 'pilt'\. Did you mean 'pilot'\?"):
        Catalogue.load(harbour).get("pilt")


def test_where_no_name_is_near_all_are_listed(harbour: Path) -> None:
    with pytest.raises(UnknownMember, match=r"'xyzzy'.*clerk, pilot, mate"):
        Catalogue.load(harbour).pick(["clerk", "xyzzy"])


def test_a_root_without_catalogue_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "catalogue.toml") in refusal(tmp_path)


def test_a_listed_member_without_folder_is_refused(harbour: Path) -> None:
    write_catalogue(harbour, {"shore": ["clerk", "ghost"]}, fallback="clerk")
    assert str(harbour / "ghost" / "persona.toml") in refusal(harbour)


def test_a_name_that_differs_from_its_folder_is_refused(harbour: Path) -> None:
    write_persona(harbour, "mate", "water", name="skipper")
    message = refusal(harbour)
    assert "'skipper'" in message
    assert "'mate'" in message


def test_a_group_that_differs_from_the_catalogue_is_refused(harbour: Path) -> None:
    write_persona(harbour, "mate", "shore")
    message = refusal(harbour)
    assert "lists 'mate' under 'water', its persona says 'shore'" in message


@pytest.mark.parametrize(
    "groups",
    [{"shore": ["clerk", "clerk"], "water": ["pilot"]}, {"shore": ["clerk"], "water": ["pilot", "clerk"]}],
    ids=["in one group", "in two groups"],
)
def test_a_member_listed_twice_is_refused(groups: dict[str, list[str]], harbour: Path) -> None:
    write_catalogue(harbour, groups, fallback="clerk")
    assert "lists 'clerk' twice" in refusal(harbour)


@pytest.mark.parametrize("fallback", ["pilot", "ghost"], ids=["has an adapter", "not listed"])
def test_a_fallback_that_cannot_stand_in_is_refused(fallback: str, harbour: Path) -> None:
    write_catalogue(harbour, {"shore": ["clerk"], "water": ["pilot", "mate"]}, fallback=fallback)
    assert f"fallback = {fallback!r}" in refusal(harbour)


@pytest.mark.parametrize("name", ["../clerk", "Clerk", "", "a/b"])
def test_a_member_name_that_is_no_slug_is_refused(name: str, harbour: Path) -> None:
    write_catalogue(harbour, {"shore": [name]}, fallback="clerk")
    assert "groups.shore.members.0" in refusal(harbour)


def test_control_characters_in_a_group_are_refused(harbour: Path) -> None:
    path = harbour / "catalogue.toml"
    path.write_text(path.read_text().replace("The shore.", "The \\u001b[2Jshore."))
    assert "groups.shore.description" in refusal(harbour)


def test_an_adapter_that_was_changed_is_refused_with_its_folder(harbour: Path) -> None:
    write_adapter(harbour / "mate" / "adapter", base="other@0123456789ab")
    with pytest.raises(AdapterRefused, match=r"mate/adapter.*'other@0123456789ab'"):
        Catalogue.load(harbour)


def test_a_pinned_adapter_that_is_not_there_is_refused(harbour: Path) -> None:
    for path in (harbour / "mate" / "adapter").iterdir():
        path.unlink()
    with pytest.raises(AdapterRefused, match=r"lacks 'adapter_config\.json'"):
        load_member(harbour, "mate")
    with pytest.raises(AdapterRefused):
        Catalogue.load(harbour, untrained="pilot")
    assert Catalogue.load(harbour, untrained="mate").get("mate").adapter is None


def test_the_shipped_catalogue_loads() -> None:
    catalogue = Catalogue.load(data_folder("personas"))
    assert catalogue.get(catalogue.fallback).adapter is None
    assert {member.persona.group for member in catalogue.members.values()} == set(catalogue.groups)
