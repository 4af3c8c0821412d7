"""Answers are asked for once, and kept."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from consilium.engines.scripted import ScriptedEngine
from consilium.errors import BadRows, EngineLost
from consilium.evaluation.answers import Answers
from consilium.evaluation.arms import prompted, seated
from consilium.members.catalogue import Catalogue
from consilium.training.rows import Row
from tests.evaluation.conftest import Engine

ROWS = [Row(request=f"boat {n}", replies=("port",)) for n in range(6)]


async def test_what_is_known_is_not_asked_again(crew: Catalogue, speaking: Engine, tmp_path: Path) -> None:
    file, arm = tmp_path / "answers.jsonl", seated(crew.get("pilot"))
    async with speaking() as engine:
        first = await Answers(engine, file).statements(arm, ROWS[:4])
        again = await Answers(engine, file).statements(arm, ROWS)
        assert [call.messages[-1].content for call in engine.calls] == [row.request for row in ROWS]
    assert again[:4] == first == ["port", "starboard", "port", "starboard"]


async def test_other_weights_another_prompt_or_another_seed_are_other_questions(
    crew: Catalogue, speaking: Engine, tmp_path: Path
) -> None:
    file, pilot, clerk = tmp_path / "answers.jsonl", crew.get("pilot"), crew.get("clerk")
    arms = [seated(pilot), prompted("base", clerk, pilot), prompted("base_3shot", clerk, pilot, ROWS[4:])]
    async with speaking() as engine:
        for arm in arms:
            await Answers(engine, file).statements(arm, ROWS[:1])
        await Answers(engine, file, seed=1).statements(arms[0], ROWS[:1])
        assert len(engine.calls) == 4
        assert [message.role for message in engine.calls[2].messages] == ["system", *["user", "assistant"] * 2, "user"]
        assert engine.calls[1].messages == engine.calls[0].messages, "the base gets the member's own prompt"


async def test_likelihoods_are_kept_in_the_order_of_the_rows(crew: Catalogue, speaking: Engine, tmp_path: Path) -> None:
    file, arm, done = tmp_path / "answers.jsonl", seated(crew.get("pilot")), list[int]()
    async with speaking() as engine:
        replies = ["port"] * 6
        found = await Answers(engine, file).likelihoods(arm, ROWS, replies, done.append)
        known = await Answers(engine, file).likelihoods(arm, list(reversed(ROWS)), list(reversed(replies)))
    assert found == list(reversed(known))
    assert len(file.read_text().splitlines()) == 6
    assert sum(done) == 6
    assert [one.log_probability > -2 for one in found] == [True, False] * 3


async def test_a_torn_last_line_is_dropped_and_asked_again(crew: Catalogue, speaking: Engine, tmp_path: Path) -> None:
    file, arm = tmp_path / "answers.jsonl", seated(crew.get("pilot"))
    async with speaking() as engine:
        await Answers(engine, file).statements(arm, ROWS[:3])
        file.write_bytes(file.read_bytes()[:-4])
        await Answers(engine, file).statements(arm, ROWS[:3])
        assert len(engine.calls) == 4
    assert len([json.loads(line) for line in file.read_text().splitlines()]) == 3


async def test_a_member_that_fails_ends_the_evaluation_and_what_was_said_stays(crew: Catalogue, tmp_path: Path) -> None:
    file, arm = tmp_path / "answers.jsonl", seated(crew.get("pilot"))
    broken = ScriptedEngine({"pilot": lambda prompt: EngineLost("gone") if "5" in prompt.messages[-1].content else "x"})
    async with broken:
        with pytest.raises(EngineLost, match="gone"):
            await Answers(broken, file).statements(arm, ROWS)
    assert len(file.read_text().splitlines()) == 5


@pytest.mark.parametrize("content", ["no answers\n", "5\n", '{"only": "line"}', '{"a": 1}\n["torn", "li'])
def test_a_file_of_something_else_is_refused_and_stays(content: str, tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(content)
    with pytest.raises(BadRows, match="holds no answers"):
        Answers(ScriptedEngine({}), file)
    assert file.read_text() == content


async def test_another_bases_answers_are_not_this_ones(
    crew: Catalogue, speaking: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, arm = tmp_path / "answers.jsonl", seated(crew.get("clerk"))
    async with speaking() as engine:
        for base in ("one@0123456789ab", "other@0123456789ab"):
            described = replace(engine.describe(), base=base)
            monkeypatch.setattr(engine, "describe", lambda described=described: described)
            await Answers(engine, file).statements(arm, ROWS[:1])
            await Answers(engine, file).likelihoods(arm, ROWS[:1], ["port"])
    assert len(file.read_text().splitlines()) == 4
