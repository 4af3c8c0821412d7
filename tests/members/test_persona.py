"""``persona.toml``: what is accepted, and how everything else is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from consilium.errors import BadPersona
from consilium.members.persona import MAX_FILE_BYTES, MAX_RANK, Persona, Recipe, RowsSpec, SamplingDefaults
from tests.support.personas import TRAINING, write_persona


def refusal(path: Path) -> str:
    with pytest.raises(BadPersona) as caught:
        Persona.read(path)
    message = str(caught.value)
    assert str(path) in message
    return message.replace(str(path), "")  # it repeats the test's name


def test_a_persona_is_read_with_its_defaults(tmp_path: Path) -> None:
    persona = Persona.read(write_persona(tmp_path, "clerk", "shore"))
    assert (persona.name, persona.group, persona.adapter, persona.training) == ("clerk", "shore", None, None)
    assert (persona.sampling.max_tokens, persona.sampling.temperature) == (128, 0.0)
    assert len(persona.examples) == 3


def test_tables_are_read_into_their_models(tmp_path: Path) -> None:
    rows = {"kind": "dialogue", "speaker": "Mate", "held_out": ["log-3"]}
    path = write_persona(
        tmp_path, "mate", "water", with_adapter=True, sampling={"stop": ["\n"]}, training={**TRAINING, "rows": rows}
    )
    persona = Persona.read(path)
    assert persona.sampling.stop == ("\n",)
    assert persona.training is not None
    assert persona.training.rows == RowsSpec(kind="dialogue", speaker="Mate", held_out=("log-3",))
    assert persona.adapter is not None


def test_texts_may_hold_line_breaks_tabs_and_any_script(tmp_path: Path) -> None:
    text = "Först:\n\tläs. 次に答える。"
    assert Persona.read(write_persona(tmp_path, "clerk", "shore", system_prompt=text)).system_prompt == text


def test_drafts_cost_what_they_speak_and_chance_alone_tells_them_apart() -> None:
    drafted = SamplingDefaults(max_tokens=10, temperature=0.7, drafts=12, length_penalty=1.25)
    assert (drafted.drafts_drawn, drafted.most_spoken) == (12, 120)
    assert drafted.undrafted == SamplingDefaults(max_tokens=10)
    sober = drafted.model_copy(update={"temperature": 0.0})
    assert (sober.drafts_drawn, sober.most_spoken, sober.undrafted) == (1, 10, sober)


def test_what_was_recorded_before_there_were_drafts_is_found() -> None:
    assert not {"drafts", "length_penalty"} & SamplingDefaults().model_dump().keys()
    found = SamplingDefaults(drafts=2, length_penalty=1.5).model_dump(mode="json")
    assert (found["drafts"], found["length_penalty"]) == (2, 1.5)


@pytest.mark.parametrize("rank", [1, 8, 80])
def test_a_recipe_moves_its_delta_as_far_at_any_rank(rank: int) -> None:
    recipe = Recipe(epochs=2.0, learning_rate=1e-3).at_rank(rank)
    assert recipe.rank * recipe.learning_rate == pytest.approx(Recipe().rank * 1e-3)
    assert (recipe.rank, recipe.epochs) == (rank, 2.0)


def test_a_persona_is_frozen(tmp_path: Path) -> None:
    persona = Persona.read(write_persona(tmp_path, "clerk", "shore"))
    with pytest.raises(ValidationError, match="frozen"):
        persona.name = "pirate"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "persona.toml")


def test_a_folder_in_the_file_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "persona.toml").mkdir()
    assert "Is a directory" in refusal(tmp_path / "persona.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"name = = 'clerk'", "line 1"),
        (b"name = 'cl\xe9rk'", "utf-8"),
        (b"x = " + b"[" * 20_000, "recursion"),
        (b"x = " + b"9" * 5_000, "digits"),
    ],
    ids=["malformed", "not UTF-8", "deeply nested", "huge number"],
)
def test_what_is_not_toml_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "persona.toml"
    path.write_bytes(content)
    message = refusal(path)
    assert "is not readable TOML" in message
    assert reason in message


def test_size_is_checked_before_parsing(tmp_path: Path) -> None:
    path = write_persona(tmp_path, "clerk", "shore")
    room = MAX_FILE_BYTES - path.stat().st_size
    path.write_bytes(path.read_bytes() + b"#" * room)
    assert Persona.read(path).name == "clerk"
    path.write_bytes(path.read_bytes() + b"\xff = [")
    assert f"more than {MAX_FILE_BYTES:,} bytes" in refusal(path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"colour": "blue"}, "colour: Extra inputs"),
        ({"schema_version": 2}, "schema_version"),
        ({"name": "../clerk"}, "name"),
        ({"name": "clerk\n"}, "name"),
        ({"group": None}, "group: Field required"),
        ({"description": "   "}, "description"),
        ({"examples": ["one", "two"]}, "examples"),
        ({"sampling": {"top_k": 5}}, "sampling.top_k"),
        ({"sampling": {"temperature": float("nan")}}, "sampling.temperature"),
        ({"sampling": {"drafts": 0}}, "sampling.drafts"),
        ({"sampling": {"drafts": 65}}, "sampling.drafts"),
        ({"sampling": {"length_penalty": -1.0}}, "sampling.length_penalty"),
        ({"sampling": {"length_penalty": 4.5}}, "sampling.length_penalty"),
        ({"sampling": {"max_tokens": 0}}, "sampling.max_tokens"),
        ({"training": {**TRAINING, "licence": ""}}, "training.licence"),
        ({"training": {**TRAINING, "rank": MAX_RANK + 1}}, "training.rank"),
        ({"training": {**TRAINING, "metric": "poetry"}}, "training.metric"),
        ({"training": {**TRAINING, "headline": "Macro F1"}}, "training.headline"),
        ({"training": {**TRAINING, "rows": {"requests": []}}}, "training.rows.requests"),
        ({"adapter": {"digest": "abc", "base": "b@0123456789ab"}}, "adapter.digest"),
        ({"adapter": {"digest": "0" * 64, "base": "base"}}, "adapter.base"),
        ({"adapter": {"digest": "0" * 64, "base": "b@0123456789ab"}}, "[training] table"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_outside_the_schema_is_named(changes: dict[str, object], field: str, tmp_path: Path) -> None:
    assert field in refusal(write_persona(tmp_path, "clerk", "shore", **changes))


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\r", "\x7f", "\x9b", "\u202e", "\u2066"])
@pytest.mark.parametrize("field", ["description", "system_prompt", "examples", "training"])
def test_control_characters_are_refused_in_every_text(field: str, character: str, tmp_path: Path) -> None:
    text = f"bring{character}back"
    value = {
        "examples": ["one", "two", text],
        "training": {**TRAINING, "source": text},
    }.get(field, text)
    message = refusal(write_persona(tmp_path, "clerk", "shore", **{field: value}))
    assert field in message
    assert f"control character {character!r}" in message
    assert character not in message.replace("\n", "")
