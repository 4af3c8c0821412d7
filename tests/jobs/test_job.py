"""A job answers each row once; what is wrong with a row is the row's, what is wrong with the input comes first."""

import gc
import json
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from consilium import Council, Job, MemoryLedger, Result, ScriptedEngine
from consilium.engines.protocol import Prompt
from consilium.errors import BadRows, BadSettings, EngineBusy, EngineError, EngineLost, JobError, UnknownMember
from consilium.jobs.executor import LocalExecutor
from consilium.jobs.frames import write_parquet
from consilium.ledger.sql import SqlLedger
from consilium.routing.protocol import Decision, Request
from tests.support.council import FirstSeats
from tests.support.job_child import open_council, open_job
from tests.support.personas import write_persona


def batch_line(custom_id: str, said: str, model: str = "council", **body: object) -> str:
    asked = {"model": model, "messages": [{"role": "user", "content": said}], **body}
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": asked})


def write(folder: Path, *lines: str) -> None:
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


async def results(job: Job) -> dict[str, Result]:
    return {result.custom_id: result async for result in job.run()}


def written(folder: Path) -> list[str]:
    return [json.loads(line)["custom_id"] for line in (folder / "out.jsonl").read_text().splitlines()]


async def test_a_row_names_who_answers(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x"), batch_line("b", "x", "mate"), batch_line("c", "x", "consilium/router"))
    found = await results(open_job(harbour, tmp_path))
    assert {name: result.members for name, result in found.items()} == {
        "a": ("pilot", "mate"),
        "b": ("mate",),
        "c": ("pilot",),
    }
    assert list(open_job(harbour, tmp_path).results()) == list(found.values())
    line = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert line["response"]["body"]["choices"][0]["message"]["content"] == "aye"
    assert line["error"] is None


async def test_the_callers_heap_is_left_as_it_was(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x"), batch_line("b", "x"))
    frozen = [gc.get_freeze_count() async for _ in open_job(harbour, tmp_path).run()]
    assert all(frozen)
    assert gc.get_freeze_count() == 0


async def test_the_same_job_runs_again_after_whatever_ended_it(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(name, "x") for name in "abcd"))
    replies: list[EngineLost | str] = [EngineLost("gone")]
    job = open_job(harbour, tmp_path, reply=lambda _prompt: replies[-1], concurrency=1)
    with pytest.raises(EngineLost):
        await results(job)
    replies.append("aye")
    async with aclosing(job.run()) as begun:
        async for _ in begun:
            break
    await results(job)
    assert sorted(written(tmp_path)) == list("abcd")


async def test_half_a_character_is_the_fault_of_its_row(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x"), batch_line("b", "cut \ud83d"), batch_line("\ud83d", "x"))
    with pytest.raises(BadRows, match="line 2: 'b': the row holds half a character"):
        await results(open_job(harbour, tmp_path))
    found = await results(open_job(harbour, tmp_path, broken="skip"))
    assert {name: bool(result.error) for name, result in found.items()} == {"a": False, "b": True, "line-3": True}


async def test_running_again_finishes_what_is_missing(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x"), batch_line("b", "y"))
    assert set(await results(open_job(harbour, tmp_path, limit=1))) == {"a"}
    with (tmp_path / "out.jsonl").open("a") as file:
        file.write('{"custom_id": "b", "torn')
    assert set(await results(open_job(harbour, tmp_path))) == {"b"}
    assert written(tmp_path) == ["a", "b"]
    assert await results(open_job(harbour, tmp_path)) == {}


async def test_a_turn_in_the_ledger_is_not_paid_again(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x"))
    ledger = MemoryLedger()
    first = await results(open_job(harbour, tmp_path, ledger=ledger))
    (tmp_path / "out.jsonl").write_text("")  # as if the process had died before the line was written
    silent = ScriptedEngine(dict.fromkeys(["pilot", "mate", "clerk"], EngineLost("nobody is to be asked")))
    assert await results(open_job(harbour, tmp_path, ledger=ledger, engine=silent)) == first


async def test_errors_stay_with_their_row_and_can_be_retried(harbour: Path, tmp_path: Path) -> None:
    broken = True

    def reply(prompt: Prompt) -> str | EngineError:
        bad = broken and prompt.messages[-1].content == "bad"
        return EngineError("out of words") if bad else "aye"

    write(tmp_path, batch_line("a", "bad"), batch_line("b", "good"), batch_line("c", "long " * 9_000))
    found = await results(open_job(harbour, tmp_path, reply=reply))
    assert {name: result.error for name, result in found.items()} == {"a": "TurnFailed", "b": None, "c": "BadMessage"}
    broken = False
    job = open_job(harbour, tmp_path, reply=reply)
    assert job.retry() == 2
    assert {name: result.error for name, result in (await results(job)).items()} == {"a": None, "c": "BadMessage"}
    assert sorted(written(tmp_path)) == ["a", "b", "c"]
    assert job.index is not None
    assert (job.index.done, job.index.failed, job.index.status) == (3, 1, "finished")


class _AtLeast(FirstSeats):
    """Checks what a request limits, as routers do that seat by scores."""

    async def route(self, request: Request) -> Decision:
        if len(request.must_sit) > request.seats or request.min_seats > request.seats:
            raise BadSettings("the limits contradict each other")
        return await super().route(request)


async def test_options_that_contradict_a_row_are_its_error(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x"), batch_line("b", "x", "router"), batch_line("c", "x"))

    def opened(**options: object) -> Job:
        council = open_council(harbour, SqlLedger(f"sqlite:///{tmp_path / 'ledger.db'}"))
        council = Council(replace(council.parts, router=_AtLeast(council.parts.catalogue)))
        return Job(council, input=tmp_path / "in.jsonl", output=tmp_path / "out.jsonl", options=options)

    job = opened(must_sit=["pilot", "mate"])
    assert [len(forecast.members) async for forecast in job.forecast()] == [2, 0, 2]
    found = await results(job)
    assert {name: result.error for name, result in found.items()} == {"a": None, "b": "BadSettings", "c": None}
    assert found["b"].turn_id is not None
    assert opened(must_sit=["pilot", "mate"]).retry() == 1
    again = await results(opened(must_sit=["pilot", "mate"]))
    assert [result.error for result in again.values()] == ["BadSettings"]
    for file in tmp_path.glob("out.jsonl*"):
        file.unlink()
    found = await results(opened(min_seats=2))
    assert {name: len(result.members) for name, result in found.items()} == {"a": 2, "b": 1, "c": 2}


async def test_a_lost_engine_stops_the_job_and_marks_no_row(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(str(row), "x") for row in range(50)))
    with pytest.raises(EngineLost):
        await results(open_job(harbour, tmp_path, reply=EngineLost("gone"), concurrency=4))
    assert written(tmp_path) == []
    assert len(await results(open_job(harbour, tmp_path))) == 50


async def test_a_busy_engine_is_waited_for(harbour: Path, tmp_path: Path) -> None:
    in_hand = most = refused = 0

    class Narrow(ScriptedEngine):
        """Takes on four statements at a time."""

        async def generate(self, prompt: Prompt):  # type: ignore[no-untyped-def, override]  # noqa: ANN202
            nonlocal in_hand, most, refused
            if in_hand >= 4:
                refused += 1
                raise EngineBusy("four are in hand")
            in_hand += 1
            most = max(most, in_hand)
            try:
                async for piece in super().generate(prompt):
                    yield piece
            finally:
                in_hand -= 1

    write(tmp_path, *(batch_line(str(row), "x") for row in range(200)))
    engine = Narrow(dict.fromkeys(["pilot", "mate", "clerk"], "aye aye"), token_s=0.002)
    executor = LocalExecutor()
    job = open_job(harbour, tmp_path, engine=engine, executor=executor)
    found = await results(job)
    assert [result.members for result in found.values()] == [("pilot", "mate")] * 200
    assert most == 4
    assert refused > 0
    assert executor.pace.limit <= 10


async def test_a_budget_and_a_drain_stop_the_job(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(str(row), "x") for row in range(200)))
    job = open_job(harbour, tmp_path, token_budget=300, concurrency=2)
    spent = sum(result.tokens for result in (await results(job)).values())
    assert 300 <= spent < 600
    assert job.index is not None
    assert job.index.status == "stopped"
    job = open_job(harbour, tmp_path, concurrency=2)
    before = len(written(tmp_path))
    async for _ in job.run():
        job.drain()
    assert before < len(written(tmp_path)) < 200
    await results(open_job(harbour, tmp_path))
    assert sorted(map(int, written(tmp_path))) == list(range(200))


async def test_a_budget_that_is_spent_stays_spent(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(str(row), "x") for row in range(200)))
    begun = await results(open_job(harbour, tmp_path, token_budget=300, concurrency=2))
    again = open_job(harbour, tmp_path, token_budget=300, concurrency=64)
    assert await results(again) == {}
    assert again.index is not None
    assert (again.index.status, again.index.why) == ("stopped", "the budget of 300 tokens is spent")
    assert len(await results(open_job(harbour, tmp_path, token_budget=100_000))) == 200 - len(begun)
    done = open_job(harbour, tmp_path, token_budget=300)
    assert await results(done) == {}
    assert done.index is not None
    assert done.index.status == "finished"


async def test_a_sample_is_the_same_each_time(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(str(row), "x") for row in range(50)))
    drawn = [f.custom_id async for f in open_job(harbour, tmp_path, sample=5).forecast()]
    assert set(await results(open_job(harbour, tmp_path, sample=5))) == set(drawn)
    assert len(drawn) == 5
    assert [f.custom_id async for f in open_job(harbour, tmp_path, sample=5, seed=1).forecast()] != drawn


async def test_a_forecast_asks_nobody(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x", max_tokens=7))
    job = open_job(harbour, tmp_path, reply=EngineLost("nobody is to be asked"))
    (forecast,) = [forecast async for forecast in job.forecast()]
    assert (forecast.members, forecast.most_completion_tokens) == (("pilot", "mate"), 14)
    assert not (tmp_path / "out.jsonl").exists()


async def test_a_forecast_is_of_what_is_due(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(name, "x") for name in "abc"))
    await results(open_job(harbour, tmp_path, limit=2))
    assert [forecast.custom_id async for forecast in open_job(harbour, tmp_path).forecast()] == ["c"]
    with pytest.raises(JobError, match="asked otherwise"):
        [forecast async for forecast in open_job(harbour, tmp_path, options={"seats": 1}).forecast()]


async def test_a_forecast_counts_what_a_chair_says_and_is_told(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, batch_line("a", "x"), batch_line("b", "x", "mate"))
    asked = {"method": "chair", "max_tokens": 7, "instructions": "Use metres."}
    job = open_job(harbour, tmp_path, options=asked, reply="aye " * 7)
    both, one = [forecast async for forecast in job.forecast()]
    assert (both.most_completion_tokens, one.most_completion_tokens) == (21, 7)
    found = await results(job)
    assert found["a"].completion_tokens == 21
    assert both.prompt_tokens >= found["a"].prompt_tokens
    assert one.prompt_tokens == found["b"].prompt_tokens


async def test_a_forecast_counts_all_drafts_of_which_a_chair_is_told_one(harbour: Path, tmp_path: Path) -> None:
    write_persona(harbour, "mate", "water", with_adapter=True, sampling={"drafts": 5, "temperature": 1.0})
    write(tmp_path, batch_line("a", "x", max_tokens=7))
    (forecast,) = [forecast async for forecast in open_job(harbour, tmp_path).forecast()]
    assert (forecast.members, forecast.most_completion_tokens) == (("pilot", "mate"), 7 + 5 * 7)
    told = {}
    for drafts in (1, 5):
        write_persona(harbour, "mate", "water", with_adapter=True, sampling={"drafts": drafts, "temperature": 1.0})
        (found,) = [f async for f in open_job(harbour, tmp_path, options={"method": "chair"}).forecast()]
        told[drafts] = found.prompt_tokens
    assert told[1] == told[5]


GOOD = batch_line("a", "x")


@pytest.mark.parametrize(
    ("lines", "error", "said"),
    [
        ([GOOD, "{"], BadRows, "line 2: no JSON"),
        ([GOOD, "[1]"], BadRows, "line 2"),
        ([GOOD, GOOD], BadRows, "line 2: custom_id 'a' stands in line 1 too"),
        ([batch_line("a", "x", "pilt")], UnknownMember, "line 1: model='pilt'.*'pilot'"),
        ([batch_line("a", "x", temperature=1)], BadRows, "line 1: body.temperature"),
        ([batch_line("a", " ")], BadRows, "line 1: body.messages"),
        (['{"question": "x"}'], BadRows, "line 1: no column 'message'.*'question'"),
        (['{"message": ""}'], BadRows, "line 1: the message is ''"),
        (['{"message": "x", "custom_id": 1.5}'], BadRows, "line 1: custom_id=1.5"),
        ([""], BadRows, "holds no rows"),
    ],
)
async def test_bad_input_is_told_before_anything_is_paid(
    harbour: Path, tmp_path: Path, lines: list[str], error: type[Exception], said: str
) -> None:
    write(tmp_path, *lines)
    with pytest.raises(error, match=said):
        await results(open_job(harbour, tmp_path))
    assert not (tmp_path / "out.jsonl").exists()
    assert not (tmp_path / "ledger.db").exists()


async def test_mixed_encodings_are_told_by_line_or_skipped(harbour: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b'\n{"message": "\xe9"}\n')
    with pytest.raises(BadRows, match=r"line 2: not UTF-8: .* at byte 13"):
        await results(open_job(harbour, tmp_path))
    found = await results(open_job(harbour, tmp_path, broken="skip"))
    assert {name: result.error for name, result in found.items()} == {"a": None, "line-2": "BadRows"}


async def test_outputs_that_cannot_be_used(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    with pytest.raises(JobError, match="cannot be written"):
        await results(open_job(harbour, tmp_path, output=tmp_path / "nowhere" / "out.jsonl"))
    with pytest.raises(JobError, match="is the input too"):
        await results(open_job(harbour, tmp_path, output=tmp_path / "in.jsonl"))
    for nameless in ("", ".", "/"):
        with pytest.raises(JobError, match="is a folder"):
            open_job(harbour, tmp_path, output=nameless)
    (tmp_path / "out.jsonl").write_text("mine\n")
    with pytest.raises(JobError, match="of no job"):
        await results(open_job(harbour, tmp_path))
    assert (tmp_path / "out.jsonl").read_text() == "mine\n"


async def test_results_of_another_asking_are_not_mixed(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    await results(open_job(harbour, tmp_path))
    with pytest.raises(JobError, match="asked otherwise"):
        await results(open_job(harbour, tmp_path, options={"seats": 1}))


async def test_one_process_at_a_time(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(str(row), "x") for row in range(20)))
    async for _ in open_job(harbour, tmp_path).run():
        with pytest.raises(JobError, match="another process runs"):
            await results(open_job(harbour, tmp_path))
        break


def test_a_full_disk_leaves_whole_lines(harbour: Path) -> None:
    """On a device that takes nothing: the error says what to do, and no part of a line is there."""
    from consilium.jobs.files import JobFiles

    files = JobFiles(harbour / "out.jsonl")
    result = Result.of_error("a", "council", BadRows("x"))
    with files:
        files.append([result])
        with Path("/dev/full").open("wb", buffering=0) as full:
            own, files._file = files._file, _Full(full, files._file)  # type: ignore[assignment]
            with pytest.raises(JobError, match="takes no more: No space left"):
                files.append([result])
            files._file = own
    assert list(files.results()) == [result]


class _Full:
    """A file whose writes go to a full device, and whose other calls go to itself."""

    def __init__(self, full: object, file: object) -> None:
        self.write = full.write  # type: ignore[attr-defined]
        self.seek, self.truncate = file.seek, file.truncate  # type: ignore[attr-defined]


async def test_csv_and_parquet(harbour: Path, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "in.csv").write_text('id,question\n1,"two\nlines"\n2,three\n', encoding="utf-8")
    rows = [{"id": 1, "question": "two\nlines"}, {"id": 2, "question": "three"}]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "in.parquet")
    columns = {"custom_id": "id", "message": "question"}
    for kind in ("csv", "parquet"):
        job = open_job(
            harbour, tmp_path, input=tmp_path / f"in.{kind}", output=tmp_path / f"{kind}.jsonl", columns=columns
        )
        assert set(await results(job)) == {"1", "2"}
        assert job.to_pandas()["text"].tolist() == ["aye", "aye"]
    with pytest.raises(JobError, match="cannot be written"):
        write_parquet([], tmp_path / "in.csv" / "out.parquet")
    for name, content in {"short.csv": "id,question\n1\n", "wrong.parquet": "id"}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(BadRows, match=r"line 2: 1 columns|no Parquet"):
            await results(open_job(harbour, tmp_path, input=tmp_path / name, columns=columns))


async def test_plain_rows_may_have_columns_of_a_batch_line(harbour: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,url,body,question\n1,https://a.example,long,x\n", encoding="utf-8")
    columns = {"custom_id": "id", "message": "question"}
    found = await results(open_job(harbour, tmp_path, input=tmp_path / "in.csv", columns=columns))
    assert {name: result.error for name, result in found.items()} == {"1": None}
    write(tmp_path, '{"message": "x", "url": "https://a.example"}', '{"message": "x", "body": "long"}', GOOD)
    found = await results(open_job(harbour, tmp_path, output=tmp_path / "plain.jsonl"))
    assert {name: result.error for name, result in found.items()} == {"row-1": None, "row-2": None, "a": None}


def test_reprs_are_safe(tmp_path: Path) -> None:
    result = Result.of_error("<a>", "council", BadRows("<script>"))
    assert "<script>" not in result._repr_html_()


async def test_a_job_can_be_cancelled_and_gone_on_with(harbour: Path, tmp_path: Path) -> None:
    write(tmp_path, *(batch_line(str(row), "x") for row in range(100)))
    job = open_job(harbour, tmp_path, concurrency=2)
    async for _ in job.run():
        (tmp_path / "out.jsonl.cancel").touch()
    assert job.index is not None
    assert job.index.status == "cancelled"
    assert len(written(tmp_path)) < 100
    await results(open_job(harbour, tmp_path))
    assert sorted(map(int, written(tmp_path))) == list(range(100))
