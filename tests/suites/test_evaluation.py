"""Arms are heard on the same rows, share what they can, and fail for themselves."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from consilium import Catalogue, Evaluation, Grade, ScriptedEngine, Suite
from consilium.engines.protocol import Prompt
from consilium.errors import BadSuite, EngineError, EngineLost, JobError
from consilium.evaluation.work import Metric
from consilium.scripts.checking import METRICS
from consilium.scripts.judge import Judge
from consilium.suites.cases import Case, Part
from consilium.suites.grade import Grader
from consilium.suites.suite_file import ARMS
from consilium.training.rows import Row
from tests.support.personas import write_catalogue, write_persona
from tests.support.suites import ROWS, graded, load_suite, many_rows, open_suite, said

CREW = ("pilot", "mate", "clerk")


def scripted(reply: object = said) -> ScriptedEngine:
    return ScriptedEngine(dict.fromkeys(CREW, reply))  # type: ignore[arg-type]


async def run(suite: Suite, folder: Path, **replies: object) -> tuple[Evaluation, dict[tuple[str, str], Grade]]:
    evaluation = Evaluation(suite, folder / "out")
    council = open_suite(suite, replies=replies)  # type: ignore[arg-type]
    return evaluation, await graded(evaluation, council)


async def test_every_arm_is_graded_on_every_row(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour)
    evaluation, grades = await run(suite, tmp_path)
    assert set(grades) == {(arm, case) for arm in (*ARMS, *CREW) for case in "abc"}
    assert len(grades) == evaluation.expected
    score = {arm: [grades[arm, case].score for case in "abc"] for arm in (*ARMS, *CREW)}
    assert score["pilot"] == score["router"] == score["council"] == score["best_vote"] == [1, 1, 0]
    assert score["mate"] == [0, 0, 1]
    assert score["clerk"] == score["base"] == score["base_vote"] == [0, 0, 0]
    assert score["oracle"] == [1, 1, 1]
    assert grades["oracle", "c"].members == ("mate",)
    assert grades["council", "a"].members == ("pilot", "mate")
    assert grades["best_vote", "a"].members == ("pilot", "pilot")
    assert 0 < grades["pilot", "a"].scores["chrf"] <= 1
    assert evaluation.findings is not None
    assert evaluation.findings.best == "pilot"


async def test_controls_cost_what_the_council_costs(harbour: Path, tmp_path: Path) -> None:
    _, grades = await run(load_suite(harbour), tmp_path)
    for case in "abc":
        council = grades["council", case]
        for arm in ("base_vote", "best_vote", "random"):
            assert len(grades[arm, case].members) == len(council.members) == 2
            assert grades[arm, case].completion_tokens == council.completion_tokens
        assert len(set(grades["random", case].members)) == 2
    _, grades = await run(load_suite(harbour, ROWS + "[controls]\ndraws = 3\n"), tmp_path)
    assert len(grades["base_vote", "a"].members) == 3


async def test_arms_share_statements_and_draws_are_other_ones(harbour: Path, tmp_path: Path) -> None:
    suite, engine = load_suite(harbour), scripted()
    await graded(Evaluation(suite, tmp_path / "out"), open_suite(suite, engine=engine))
    calls = Counter((call.member, call.messages[-1].content, call.seed) for call in engine.calls)
    assert set(calls.values()) == {1}
    # Three members alone, and one more draw of the base and of the best; the council, the router and the random
    # seats hear nothing that is new.
    assert len(calls) == 3 * (3 + 2)
    drawn = [call.sampling.temperature for call in engine.calls if call.seed == 1]
    assert drawn == [0.7] * 6


async def test_running_again_pays_for_what_is_missing_only(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour)
    _, first = await run(suite, tmp_path)
    silent = scripted(EngineError("nobody is to be asked"))
    assert await graded(Evaluation(suite, tmp_path / "out"), open_suite(suite, engine=silent)) == first
    assert silent.calls == []
    more = load_suite(
        harbour, ROWS.replace("]\n", "]\n", 1).rstrip()[:-1] + '{id="d", request="four", references=["x"]}]'
    )
    engine = scripted()
    await graded(Evaluation(more, tmp_path / "out"), open_suite(more, engine=engine))
    assert {call.messages[-1].content for call in engine.calls} == {"four"}


async def test_a_member_that_fails_is_an_error_and_not_a_zero(harbour: Path, tmp_path: Path) -> None:
    def mute(prompt: Prompt) -> str | EngineError:
        return EngineError("hoarse") if prompt.messages[-1].content == "two" else said(prompt)

    evaluation, grades = await run(load_suite(harbour), tmp_path, pilot=mute)
    assert (grades["pilot", "b"].score, grades["pilot", "b"].error) == (None, "EngineError")
    assert grades["router", "b"].error == "TurnFailed"
    assert grades["council", "b"].score == 0  # the mate spoke, as in any turn that loses a seat
    assert evaluation.findings is not None
    assert evaluation.findings.figures("router").errors == 1
    gain = evaluation.findings.comparison.gain("council", "router")
    assert gain.pairs == 2
    mean = evaluation.findings.comparison.mean("router")
    assert mean is not None
    assert mean.difference == 0.5
    assert "1 ERROR" in (tmp_path / "out" / "report.html").read_text()
    assert "1 ERROR" in (tmp_path / "out" / "report.md").read_text()


async def test_a_judge_that_fails_is_an_error(harbour: Path, tmp_path: Path) -> None:
    def judge(prompt: Prompt) -> str:
        if "You judge answers" not in prompt.messages[0].content:
            return said(prompt)
        if "aye two" in prompt.messages[-1].content:
            raise EngineError("no opinion")
        return "Yes" if "aye" in prompt.messages[-1].content else "No"

    text = ROWS.replace('["exact_match", "chrf"]', '["kind"]') + '[judges.kind]\nquestion = "Is it kind?"\n'
    evaluation, grades = await run(load_suite(harbour, text), tmp_path, clerk=judge)
    assert (grades["pilot", "b"].score, grades["pilot", "b"].error) == (None, "EngineError")
    assert grades["pilot", "b"].text == "aye two"
    yes, no = grades["pilot", "a"].score, grades["mate", "a"].score
    assert yes is not None
    assert no is not None
    assert yes > 0.9 > 0.1 > no
    assert evaluation.findings is not None
    assert evaluation.findings.figures("pilot").errors == 1


async def test_a_metric_that_fails_is_an_error_and_leaves_the_others_alone(harbour: Path) -> None:
    measures = {"wordiness": Metric(meaning="", each=lambda said, _row: 1 / len(said)), "chrf": METRICS["chrf"]}
    part = Part(name="boats", metrics=("wordiness", "chrf"), measures=measures)
    case = Case(id="a", part=part, row=Row(request="x", replies=("y",)))
    grader = Grader(judge=Judge(engine=scripted(), catalogue=Catalogue.load(harbour)), judges={})
    grade = await grader.graded(case, Grade(case="a", part="boats", arm="pilot"))
    assert (grade.score, grade.error, grade.scores) == (None, "ZeroDivisionError", {"chrf": 0.0})
    assert (await grader.graded(case, replace(grade, text="y", error=None))).score == 1.0


async def test_a_lost_engine_stops_the_run_and_marks_no_row(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour)
    evaluation = Evaluation(suite, tmp_path / "out")
    with pytest.raises(EngineLost):
        await graded(evaluation, open_suite(suite, engine=scripted(EngineLost("gone"))))
    assert evaluation.grades == ()
    assert not (tmp_path / "out" / "report.html").exists()
    assert len(await graded(evaluation, open_suite(suite))) == evaluation.expected


async def test_a_budget_stops_and_a_later_run_goes_on(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour, many_rows(40))
    evaluation = Evaluation(suite, tmp_path / "out", token_budget=300, at_once=2)
    await graded(evaluation, open_suite(suite))
    assert evaluation.stopped == "the budget of 300 tokens is spent"
    assert 300 <= evaluation.paid.tokens < 400
    assert evaluation.findings is None
    assert not (tmp_path / "out" / "report.json").exists()
    engine = scripted()
    again = Evaluation(suite, tmp_path / "out")
    await graded(again, open_suite(suite, engine=engine))
    assert again.findings is not None
    assert len(engine.calls) == again.paid.statements - evaluation.paid.statements


async def test_a_forecast_is_a_bound_and_asks_nobody(harbour: Path, tmp_path: Path) -> None:
    suite, silent = load_suite(harbour), scripted(EngineLost("nobody is to be asked"))
    found = {
        arm.arm: arm for arm in await Evaluation(suite, tmp_path / "out").forecast(open_suite(suite, engine=silent))
    }
    assert {arm: each.statements for arm, each in found.items() if each.statements} == {
        **dict.fromkeys(CREW, 3),
        "base_vote": 3,
        "best_vote": 3,
    }
    assert not (tmp_path / "out").exists()
    evaluation, _ = await run(suite, tmp_path)
    assert sum(each.statements for each in found.values()) == evaluation.paid.statements
    assert sum(each.prompt_tokens for each in found.values()) == evaluation.paid.prompt_tokens
    assert sum(each.most_completion_tokens for each in found.values()) >= evaluation.paid.completion_tokens
    left = await Evaluation(suite, tmp_path / "out").forecast(open_suite(suite))
    assert sum(each.statements for each in left) == 0


async def test_a_forecast_counts_the_chair_and_what_the_controls_may_cost_for_it(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour, ROWS + '[council]\nmethod = "chair"\n')
    found = {arm.arm: arm for arm in await Evaluation(suite, tmp_path / "out").forecast(open_suite(suite))}
    assert {arm: each.statements for arm, each in found.items() if each.statements} == {
        **dict.fromkeys(CREW, 3),
        "council": 3,
        "base_vote": 6,
        "best_vote": 6,
    }
    evaluation, grades = await run(suite, tmp_path)
    assert grades["council", "a"].members == ("pilot", "mate", "clerk")
    assert sum(each.statements for each in found.values()) == evaluation.paid.statements
    assert sum(each.prompt_tokens for each in found.values()) >= evaluation.paid.prompt_tokens
    assert sum(each.most_completion_tokens for each in found.values()) >= evaluation.paid.completion_tokens
    left = await Evaluation(suite, tmp_path / "out").forecast(open_suite(suite))
    assert sum(each.statements for each in left) == 0


async def test_a_sample_is_the_same_each_time(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour, many_rows(30))
    drawn = []
    for folder in ("one", "two"):
        evaluation = Evaluation(suite, tmp_path / folder, sample=5)
        drawn.append({case for _, case in await graded(evaluation, open_suite(suite))})
        assert evaluation.rows == len(drawn[-1]) == 5
    assert drawn[0] == drawn[1]


async def test_only_those_sit_who_may(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour, 'members = ["mate", "clerk"]\narms = ["random", "council", "pilot"]\n' + ROWS)
    _, grades = await run(suite, tmp_path)
    assert {name for case in "abc" for name in grades["random", case].members} == {"mate", "clerk"}
    assert grades["pilot", "a"].score == 1.0
    assert ("mate", "a") not in grades


async def test_grades_are_frames(harbour: Path, tmp_path: Path) -> None:
    evaluation, grades = await run(load_suite(harbour), tmp_path)
    frame = evaluation.to_pandas()
    assert len(frame) == len(grades)
    means = frame.groupby("arm")["score"].mean()
    assert math.isclose(means["pilot"], 2 / 3)
    assert frame["chrf"].notna().all()
    assert "finished" in repr(evaluation)


async def test_folders_that_cannot_be_used(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour)
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(JobError, match="cannot be written"):
            Evaluation(suite, folder).prepare()
    evaluation = Evaluation(suite, tmp_path / "out")
    async for _ in evaluation.run(open_suite(suite)):
        with pytest.raises(JobError, match="another evaluation uses"):
            Evaluation(suite, tmp_path / "out").prepare()
        break
    with pytest.raises(BadSuite, match="sample=0"):
        Evaluation(suite, tmp_path / "out", sample=0)


async def test_a_council_of_other_members_is_refused(harbour: Path, tmp_path: Path) -> None:
    suite = load_suite(harbour)
    other = tmp_path / "other"
    other.mkdir()
    write_persona(other, "clerk", "shore")
    write_catalogue(other, {"shore": ["clerk"]}, fallback="clerk")
    stranger = load_suite(other, ROWS)
    with pytest.raises(BadSuite, match="has other members"):
        await graded(Evaluation(suite, tmp_path / "out"), open_suite(stranger))
