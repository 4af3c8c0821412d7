"""The council as a model of lm-evaluation-harness: by the harness's own command line, and call by call."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lm_eval", reason="needs pip install 'consilium[lm-eval]'")

from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model

from consilium import MemoryLedger, ScriptedEngine
from consilium.engines.scripted import Reply
from consilium.errors import BadInput, BadSettings, EngineBusy, EngineLost, TurnFailed, UnknownMember
from consilium.integrations.lm_eval import CouncilLM, _begins
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from tests.integrations.conftest import TASKS, Run
from tests.support.council import FirstSeats

SAID: dict[str, Reply] = {"pilot": "two fathoms", "mate": "three", "clerk": "between two and three"}
UNTIL = {"until": ["\n\n"], "max_gen_toks": 9}

Open = Callable[..., CouncilLM]


@pytest.fixture
def open_lm(harbour: Path) -> Open:
    def open_(member: str = "council", **settings: object) -> CouncilLM:
        parts = {
            "engine": ScriptedEngine(SAID),
            "router": FirstSeats(Catalogue.load(harbour)),
            "ledger": MemoryLedger(),
        }
        return CouncilLM(member, **{**parts, "personas": harbour, **settings})

    return open_


def asking(kind: str, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [Instance(request_type=kind, doc={}, arguments=each, idx=0) for each in arguments]  # type: ignore[arg-type]


@pytest.mark.slow
async def test_tasks_run_against_a_member_by_the_command_line(run: Run, tiny: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tasks").symlink_to(TASKS)
    model = ("--model", "consilium", "--model_args", *(f"{name}={value}" for name, value in tiny.items()))
    tasks = ("--tasks", "depths_choice,depths_spoken", "--include_path", "tasks")
    done = run(
        *("consilium.integrations.lm_eval", "run", *model, "member=pilot", *tasks),
        *("--apply_chat_template", "--num_fewshot", "1", "--output_path", "out", "--log_samples"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = tmp_path.glob("out/**/results_*.json")
    found = json.loads(results.read_text())["results"]
    choices, spoken = _samples(tmp_path, "depths_choice"), _samples(tmp_path, "depths_spoken")
    chosen = [max(range(2), key=lambda each: float(row["resps"][each][0][0])) for row in choices]
    right = [choice == row["doc"]["answer"] for choice, row in zip(chosen, choices, strict=True)]
    assert found["depths_choice"]["acc,none"] == pytest.approx(sum(right) / 3)
    async with SqlLedger(tiny["database"]) as ledger:
        logs = await ledger.turns()
    answers = {log.turn.message: log.verdict.text for log in logs if log.verdict}
    assert answers == {row["doc"]["question"]: row["resps"][0][0] for row in spoken}
    assert all([entry["role"] for entry in log.turn.options["history"]] == ["user", "assistant"] for log in logs)
    assert {entry.member for log in logs if log.decision for entry in log.decision.seats} == {"pilot"}
    assert not list(tmp_path.glob("ledger.db-wal")), "the council was not closed"


def _samples(folder: Path, task: str) -> list[dict[str, Any]]:
    (file,) = folder.glob(f"out/**/samples_{task}_*.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.slow
def test_the_command_line_tells_in_a_line_what_is_refused(run: Run, tiny: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "tasks").symlink_to(TASKS)
    model = ("--model", "consilium", "--model_args", *(f"{name}={value}" for name, value in tiny.items()))
    done = run(
        *("consilium.integrations.lm_eval", "run", *model, "member=pilto"),
        *("--tasks", "depths_choice", "--include_path", "tasks"),
    )
    assert done.returncode == 2
    assert "UnknownMember: model='pilto'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_harness_finds_the_model_by_its_name() -> None:
    assert get_model("consilium") is CouncilLM


def test_verdicts_come_in_the_order_of_the_requests(open_lm: Open) -> None:
    engine = ScriptedEngine({**SAID, "pilot": lambda prompt: f"heard {prompt.messages[-1].content}"}, token_s=0.001)
    contexts = [f"question {place}" for place in range(100)]
    model = open_lm("pilot", engine=engine)
    verdicts = model.generate_until(asking("generate_until", *((context, UNTIL) for context in contexts)), True)
    assert verdicts == [f"heard {context}" for context in contexts]
    sampling = engine.calls[0].sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.stop) == (9, 0.0, ("\n\n",))


def test_likelihoods_are_the_members_own(open_lm: Open) -> None:
    ledger = MemoryLedger()
    requests = asking(
        "loglikelihood",
        ("How deep?", " two fathoms"),
        ("How deep?", " two"),
        ("How deep?", " nine"),
        ("Where?", " three"),
    )
    found = open_lm("pilot", ledger=ledger).loglikelihood(requests, True)
    assert [nats for nats, _ in found] == pytest.approx([-1.4862, -0.7931, -7.0078, -7.0078])
    assert [likeliest for _, likeliest in found] == [True, True, False, False]
    assert open_lm("router").loglikelihood(requests, True) == found
    assert open_lm("mate").loglikelihood(requests, True)[3] == (-0.7931, True)
    assert open_lm("pilot").loglikelihood(asking("loglikelihood", ("", " two")), True) == [(-0.7931, True)]


@pytest.mark.parametrize(
    ("spoken", "text", "begins"),
    [("cats and dogs", "cats", True), ("cats", "cat", False), (" cat.", "cat", True), ("a cat", "cat", False)],
)
def test_a_text_is_what_is_spoken_where_it_ends_with_a_word_of_it(spoken: str, text: str, begins: bool) -> None:
    assert _begins(spoken, text) == begins


def test_a_templated_conversation_is_heard_as_one(open_lm: Open) -> None:
    engine = ScriptedEngine(SAID)
    model = open_lm("pilot", engine=engine)
    chat = [("system", "Use metres."), ("user", "Where?"), ("assistant", "Off the point."), ("user", "How deep?")]
    context = model.apply_chat_template([{"role": role, "content": content} for role, content in chat])
    assert model.generate_until(asking("generate_until", (context, UNTIL)), True) == ["two fathoms"]
    assert model.loglikelihood(asking("loglikelihood", (context, "two")), True) == [(-0.7931, True)]
    spoken, judged = engine.calls
    assert spoken.messages == judged.messages
    assert [(message.role, message.content) for message in spoken.messages[1:]] == chat[1:]
    assert spoken.messages[0].content.endswith("\n\nUse metres.")


@pytest.mark.parametrize(
    ("kind", "arguments", "error", "named"),
    [
        ("loglikelihood", ("How deep?", " two"), BadInput, "'router'"),
        ("loglikelihood_rolling", ("How deep is it?",), BadInput, "by itself"),
        ("generate_until", ("How deep?", {"until": [], "top_k": 5}), BadInput, "top_k"),
        ("generate_until", ("How deep?", {"until": [], "do_sample": True, "temperature": 3.0}), BadSettings, "3.0"),
        ("generate_until", ('[{"role":"assistant","content":"It is"}]', UNTIL), BadInput, "begun for it"),
    ],
)
def test_what_a_council_cannot_do_is_refused(
    open_lm: Open, kind: str, arguments: tuple[Any, ...], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        getattr(open_lm(), kind)(asking(kind, arguments), True)


def test_a_busy_engine_is_waited_for_and_a_lost_one_ends_the_run(open_lm: Open) -> None:
    answers = iter([EngineBusy("full."), "five fathoms"])
    patient = open_lm("pilot", engine=ScriptedEngine({**SAID, "pilot": lambda _prompt: next(answers)}))
    assert patient.generate_until(asking("generate_until", ("How deep?", UNTIL)), True) == ["five fathoms"]
    lost = open_lm("pilot", engine=ScriptedEngine({**SAID, "pilot": EngineLost("gone.")}))
    with pytest.raises(TurnFailed, match="gone"):
        lost.generate_until(asking("generate_until", ("How deep?", UNTIL), ("Where?", UNTIL)), True)


def test_a_wrong_name_is_told_before_anything_runs(open_lm: Open) -> None:
    with pytest.raises(UnknownMember, match="'pilot'"):
        open_lm("pilto")
