"""Tasks are found where the data lies."""

import json
from pathlib import Path

import pytest

from consilium.errors import BadPersona, BadRows
from consilium.evaluation.tasks import SPOKEN_ROWS, Tasks, learned, sampled
from consilium.members.catalogue import Catalogue
from consilium.training.data import data_of
from consilium.training.rows import Row
from tests.support.personas import TRAINING, write_catalogue, write_persona


def test_a_member_is_measured_on_its_own_folders_test_rows(crew: Catalogue, data: Path) -> None:
    task = Tasks(crew.members.values(), [data]).read(crew.get("pilot"))
    assert [row.request for row in task.scored] == [f"test boat {n}" for n in range(12)]
    assert set(task.spoken) == set(task.scored)
    assert task.labels == ("port", "starboard")
    assert {row.replies[0] for row in task.shots} == {"port", "starboard"}
    assert all(row.request.startswith("train") for row in task.shots)
    assert Tasks(crew.members.values(), [data]).read(crew.get("crier")).labels == ()


def test_a_sample_bounds_what_is_spoken_and_scored(crew: Catalogue, data: Path) -> None:
    task = Tasks(crew.members.values(), [data], sample=5, seed=3).read(crew.get("pilot"))
    assert (len(task.spoken), len(task.scored)) == (5, 5)
    assert task.spoken == Tasks(crew.members.values(), [data], sample=5, seed=3).read(crew.get("pilot")).spoken
    assert task.spoken != Tasks(crew.members.values(), [data], sample=5, seed=4).read(crew.get("pilot")).spoken


def test_without_a_sample_many_rows_are_scored_and_fewer_spoken(crew: Catalogue, data: Path) -> None:
    rows = [{"input": f"boat {n}", "targets": ["port"]} for n in range(SPOKEN_ROWS + 30)]
    (data / "pilot" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = Tasks(crew.members.values(), [data]).read(crew.get("pilot"))
    assert (len(task.spoken), len(task.scored)) == (SPOKEN_ROWS, SPOKEN_ROWS + 30)


def test_rows_that_nobody_has_are_asked_for(crew: Catalogue, data: Path, tmp_path: Path) -> None:
    with pytest.raises(BadRows, match="hold no rows for 'pilot'"):
        Tasks(crew.members.values(), [tmp_path / "elsewhere"]).read(crew.get("pilot"))
    with pytest.raises(BadRows, match=r"'clerk' has no \[training\]"):
        Tasks(crew.members.values(), [data]).read(crew.get("clerk"), data)
    assert data_of(crew.get("clerk"), [data]) is None


def test_a_voice_is_told_from_those_of_the_other_characters(tmp_path: Path) -> None:
    root, folder = tmp_path / "personas", tmp_path / "data"
    root.mkdir()
    folder.mkdir()
    words = {"sailor": "the tide and the keel and the deep", "farmer": "a furrow of wheat by the dusty road"}
    for name, text in words.items():
        rows = {"files": [f"{name}.jsonl"], "target": "text"}
        write_persona(root, name, "crew", training={**TRAINING, "metric": "style", "rows": rows}, with_adapter=True)
        lines = [{"input": f"{name} {n}", "text": f"{text} {n}"} for n in range(20)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    write_persona(root, "clerk", "desk")
    write_catalogue(root, {"crew": list(words), "desk": ["clerk"]}, fallback="clerk")
    catalogue = Catalogue.load(root)
    task = Tasks(catalogue.members.values(), [folder]).read(catalogue.get("sailor"))
    heard = ["the keel in the tide", "wheat by the road"]
    assert task.work.score(heard, task.spoken[:2])["style_accuracy"] == 0.5


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    rows = [Row(request=str(n), replies=("x",)) for n in range(50)]
    assert sampled(rows, 10, 1) == sampled(rows, 10, 1) != sampled(rows, 10, 2)
    assert sampled(rows, 50, 1) == rows


def test_a_member_learns_what_reaches_its_own_measure_and_no_more_than_its_limit(tmp_path: Path) -> None:
    root, folder = tmp_path / "personas", tmp_path / "data" / "crier"
    root.mkdir()
    folder.mkdir(parents=True)
    said = ["The Mill is a pub.", "Cheap beer.", "The Mill: a pub."]
    rows = [{"input": f"name[The Mill], eatType[pub] {n}", "targets": [said[n % 3]]} for n in range(12)]
    for part in ("train", "dev", "test"):
        entries = [{**row, "input": f"{part} {row['input']}"} for row in rows]
        (folder / f"{part}.jsonl").write_text("\n".join(map(json.dumps, entries)))

    def taught(**training: object) -> list[str]:
        write_persona(root, "crier", "crew", training={**TRAINING, "metric": "coverage", **training}, with_adapter=True)
        write_persona(root, "clerk", "desk")
        write_catalogue(root, {"crew": ["crier"], "desk": ["clerk"]}, fallback="clerk")
        crew = Catalogue.load(root)
        split = Tasks(crew.members.values(), [folder.parent]).split(crew.get("crier"))
        return [row.replies[0] for row in learned(crew.get("crier"), split)]

    assert taught() == said * 4
    assert taught(least={"slot_coverage": 1.0}) == [said[0], said[2]] * 4
    assert taught(least={"slot_coverage": 1.0}, limit=3) == [said[0], said[2], said[0]]
    with pytest.raises(BadPersona, match="'bleu' is no metric of this work"):
        taught(least={"bleu": 0.5})
    with pytest.raises(BadRows, match="no row of 'crier' reaches"):
        taught(least={"slot_coverage": 1.0}, rows={"max_target_chars": 14, "requests": ["{input}"]})
