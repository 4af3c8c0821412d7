"""Base against member, with engines that say what they are told to."""

import json
from pathlib import Path

import pytest

from consilium.engines.scripted import ScriptedEngine
from consilium.errors import BadPersona, BadRows
from consilium.evaluation.effect import adapter_effect
from consilium.evaluation.held_out import Style, evaluate_member, sampled
from consilium.evaluation.work import work_of
from consilium.members.catalogue import Catalogue, Member
from consilium.training.rows import Row, read_split
from tests.support.personas import TRAINING, write_catalogue, write_persona

ROWS = [Row(request=f"list {n}", replies=(f"ls {n}", f"ls ./{n}")) for n in range(5)]


def crew(root: Path, metric: str, **training: object) -> tuple[Member, Member]:
    """Return a member with that metric, and the fallback."""
    write_persona(root, "pilot", "crew", training={**TRAINING, "metric": metric, **training}, with_adapter=True)
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"crew": ["pilot"], "desk": ["clerk"]}, fallback="clerk")
    catalogue = Catalogue.load(root)
    return catalogue.get("pilot"), catalogue.get("clerk")


def engine(pilot: object, clerk: str = "I cannot say") -> ScriptedEngine:
    return ScriptedEngine({"pilot": pilot, "clerk": clerk})  # type: ignore[dict-item]


async def test_a_member_that_knows_its_work_scores_above_the_base(tmp_path: Path) -> None:
    member, base = crew(tmp_path, "command")
    shares: list[float] = []
    async with engine(lambda prompt: prompt.messages[-1].content.replace("list", "ls")) as speaking:
        figures = await evaluate_member(speaking, member, base, ROWS, on_done=shares.append)
        assert {call.messages[0].content for call in speaking.calls} == {member.persona.system_prompt}
    assert figures["first_utility"].member == 1.0
    assert figures["first_utility"].base == 0.0
    assert figures["chrf"].member > 0.99 > figures["chrf"].base
    assert figures["loss"].member < figures["loss"].base
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


async def test_frames_are_compared_as_frames(tmp_path: Path) -> None:
    member, base = crew(tmp_path, "frame")
    rows = [Row(request="play jazz", replies=('{"intent": "PlayMusic", "genre": "jazz"}',))]
    async with engine('{"genre": "jazz", "intent": "PlayMusic"}') as speaking:
        figures = await evaluate_member(speaking, member, base, rows)
    assert (figures["frame_match"].member, figures["frame_match"].base) == (1.0, 0.0)
    assert (figures["slot_f1"].member, figures["slot_f1"].base) == (1.0, 0.0)


WORK = {
    "frame": ("moor at four", '{"intent": "Moor", "berth": "4"}', {"frame_match", "slot_f1"}),
    "label": ("a keel and a mast", "boat", {"accuracy", "macro_f1"}),
    "correction": ("the uh the boat", "the boat", {"exact_match", "chrf"}),
    "split": ("It came and it left .", "It came . It left .", {"exact_match", "chrf", "two_sentence_rate"}),
    "coverage": ("name[The Sea Mew], area[riverside]", "The Sea Mew is by the river.", {"slot_coverage", "chrf"}),
    "translation": ("The boat is in.", "Båten är inne.", {"chrf"}),
    "command": ("list all of it", "ls -la", {"chrf", "first_utility", "flag_f1"}),
    "query": ("which boat", "SELECT BOAT FROM TABLE WHERE X = 4 ;", {"structure", "aggregate", "operators"}),
}
"""By metric: an input, its accepted reply, and the figures that this reply makes 1 and nonsense makes less."""


@pytest.mark.parametrize("kind", WORK)
async def test_rows_of_every_kind_are_read_phrased_answered_and_scored(kind: str, tmp_path: Path) -> None:
    asked, reply, figures_at_stake = WORK[kind]
    phrasings = {"requests": ["{input}"], "held_out_requests": ["Now, {input}, if you please"]}
    member, base = crew(tmp_path, kind, rows=phrasings)
    assert member.persona.training is not None
    # The inputs differ by a word that no metric minds: a request may stand in one part only.
    lines = [json.dumps({"input": f"{asked} {number}", "targets": [reply]}) for number in range(10)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = read_split(tmp_path / "rows.jsonl", member.persona.training.rows).test
    async with engine(reply, "zzz !") as speaking:
        figures = await evaluate_member(speaking, member, base, rows)
        assert speaking.calls[-1].messages[-1].content == f"Now, {asked} 9, if you please"
    assert set(figures) == {"loss", *work_of(member).metrics}
    assert figures_at_stake <= set(figures)
    for name in figures_at_stake:
        assert figures[name].member == 1.0, name
        assert figures[name].base < 0.2, name


async def test_what_was_phrased_is_scored_by_its_input(tmp_path: Path) -> None:
    member, base = crew(tmp_path, "translation")
    rows = [Row(request="In Swedish, please: Go home!", replies=("Gå hem!",), input="Go home!")]
    async with engine("Gå hem!", "go home") as speaking:
        figures = await evaluate_member(speaking, member, base, rows)
    assert list(figures) == ["loss", "chrf", "copy_rate"]
    assert (figures["copy_rate"].member, figures["copy_rate"].base) == (0.0, 1.0)
    assert figures["chrf"].member == 1.0


async def test_a_headline_of_another_work_is_refused_before_anybody_speaks(tmp_path: Path) -> None:
    member, base = crew(tmp_path, "command", headline="macro_f1")
    async with engine("ls") as speaking:
        with pytest.raises(BadPersona, match="macro_f1"):
            await evaluate_member(speaking, member, base, ROWS)
        assert speaking.calls == []


async def test_a_voice_is_recognised_and_its_copies_are_counted(tmp_path: Path) -> None:
    member, base = crew(tmp_path, "style")
    sea = ["the tide and the deep water under the keel"] * 3
    land = ["a field of wheat beside the dusty road"] * 3
    style = Style(
        texts={"sailor": sea, "farmer": land}, author="sailor", contrast=tuple(ROWS[:2]), learned=(sea[0], "another")
    )
    async with engine("the deep water under the keel", "tidal water, in plain words") as speaking:
        figures = await evaluate_member(speaking, member, base, ROWS, style=style)
    assert (figures["style_accuracy"].member, figures["style_accuracy"].base) == (1.0, 0.0)
    assert figures["copy_rate"].member == 1.0


async def test_a_voice_without_a_style_cannot_be_scored(tmp_path: Path) -> None:
    member, base = crew(tmp_path, "style")
    async with engine("aye") as speaking:
        with pytest.raises(BadRows, match="pilot"):
            await evaluate_member(speaking, member, base, ROWS)


async def test_an_adapter_without_effect_scores_zero(tmp_path: Path) -> None:
    member, base = crew(tmp_path, "command")
    async with engine("I will think", "I will think") as same, engine("I will think", "no") as other:
        assert await adapter_effect(same, member, base) == 0
        assert await adapter_effect(other, member, base) > 0.1


def test_samples_are_the_same_for_the_same_seed() -> None:
    rows = [Row(request=str(n), replies=("x",)) for n in range(50)]
    assert sampled(rows, 100, seed=0) == rows
    assert sampled(rows, 10, seed=0) == sampled(rows, 10, seed=0) != sampled(rows, 10, seed=1)
    assert len(sampled(rows, 10, seed=0)) == 10
