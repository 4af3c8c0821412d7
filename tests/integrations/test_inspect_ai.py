"""The council as Inspect's model: by Inspect's own command line, and call by call."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai", reason="needs pip install 'consilium[inspect]'")

from inspect_ai.log import EvalLog, read_eval_log_async
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentImage,
    ContentText,
    GenerateConfig,
    Model,
    get_model,
)
from inspect_ai.tool import ToolInfo

from consilium import MemoryLedger, ScriptedEngine
from consilium.engines.scripted import Reply
from consilium.errors import (
    BadInput,
    BadMessage,
    BadSettings,
    EngineBusy,
    EngineError,
    EngineLost,
    LedgerLocked,
    SeatDeadline,
    TurnFailed,
    UnknownMember,
)
from consilium.ledger.sql import SqlLedger
from consilium.members.catalogue import Catalogue
from tests.integrations.conftest import TASKS, Run, arguments
from tests.support.council import FirstSeats

pytestmark = pytest.mark.filterwarnings("ignore:The 'initial' parameter is deprecated:DeprecationWarning")  # Inspect's

SAID: dict[str, Reply] = {"pilot": "two fathoms", "mate": "three", "clerk": "between two and three"}

OpenModel = Callable[..., Model]


@pytest.fixture
def open_model(harbour: Path) -> OpenModel:
    def open_(name: str = "default", *, engine: ScriptedEngine | None = None, **settings: object) -> Model:
        return get_model(
            f"consilium/{name}",
            memoize=False,
            **{
                "engine": engine or ScriptedEngine(SAID),
                "router": FirstSeats(Catalogue.load(harbour)),
                "ledger": MemoryLedger(),
                "personas": str(harbour),
                **settings,
            },
        )

    return open_


async def read_log(folder: Path) -> EvalLog:
    """Read the log without the call that, inside a loop, changes asyncio for all that the process does later."""
    (file,) = folder.glob("*.eval")
    return await read_eval_log_async(str(file))


@pytest.mark.slow
async def test_a_task_runs_against_a_council_by_the_command_line(
    run: Run, tiny: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "tasks").symlink_to(TASKS)
    model = ("--model", "consilium/default", *arguments(tiny), "-M", "seats=2")
    done = run("inspect_ai", "eval", "tasks/depths.py", *model, "--temperature", "0", "--display", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    log = await read_log(tmp_path / "logs")
    assert (log.status, log.error, len(log.samples or ())) == ("success", None, 3)
    assert {name: score.metrics["accuracy"].value for name, score in _scores(log).items()} == {
        "includes": pytest.approx(2 / 3)
    }
    async with SqlLedger(tiny["database"]) as ledger:
        for sample in log.samples or ():
            turn = await ledger.load((sample.output.metadata or {})["turn"])
            assert turn.verdict is not None
            assert (turn.turn.message, turn.verdict.text) == (sample.input, sample.output.completion)
            assert turn.turn.options["instructions"] == "w30 w31"
            usage = sample.output.usage
            assert usage is not None
            assert usage.input_tokens == sum(entry.prompt_tokens for entry in turn.statements) > 0
            assert usage.output_tokens == sum(entry.completion_tokens for entry in turn.statements) > 0
        assert len(await ledger.turns()) == 3
    assert not list(tmp_path.glob("ledger.db-wal")), "the council was not closed"


def _scores(log: EvalLog) -> dict[str, Any]:
    assert log.results is not None
    return {score.name: score for score in log.results.scores}


async def test_a_conversation_and_its_sampling_reach_the_members(open_model: OpenModel) -> None:
    engine = ScriptedEngine(SAID)
    conversation: list[ChatMessage] = [
        ChatMessageSystem(content="Use metres."),
        ChatMessageUser(content="Where are we?"),
        ChatMessageAssistant(content="Off the point."),
        ChatMessageUser(content="How deep"),
        ChatMessageUser(content=[ContentText(text="is it?")]),
    ]
    config = GenerateConfig(max_tokens=1, temperature=0.5, top_p=0.9, seed=3, stop_seqs=["#"], num_choices=1)
    async with open_model(engine=engine) as model:
        output = await model.generate(conversation, config=config)
    (prompt, _) = engine.calls
    assert [message.role for message in prompt.messages] == ["system", "user", "assistant", "user"]
    assert prompt.messages[0].content.endswith("\n\nUse metres.")
    assert prompt.messages[-1].content == "How deep\nis it?"
    sampling = prompt.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.stop) == (1, 0.5, 0.9, ("#",))
    assert prompt.seed == 3
    assert (output.completion, output.stop_reason) == ("two", "max_tokens")


@pytest.mark.parametrize(
    ("name", "members", "said"),
    [
        ("default", ["pilot", "mate"], "two fathoms"),
        ("council", ["pilot", "mate"], "two fathoms"),
        ("router", ["pilot"], "two fathoms"),
        ("mate", ["mate"], "three"),
    ],
)
async def test_the_name_says_who_answers(open_model: OpenModel, name: str, members: list[str], said: str) -> None:
    ledger = MemoryLedger()
    async with open_model(name, ledger=ledger) as model:
        output = await model.generate("How deep is it?")
        (log,) = await ledger.turns()
    assert (output.completion, output.stop_reason, output.model) == (said, "stop", name)
    metadata = output.metadata or {}
    assert (metadata["turn"], metadata["members"]) == (log.turn.id, members)
    assert sum(metadata["weights"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("conversation", "config", "named"),
    [
        ([ChatMessageUser(content="?"), ChatMessageAssistant(content="The answer is")], {}, "The answer is"),
        ([ChatMessageSystem(content="Be brief.")], {}, "None"),
        ([ChatMessageUser(content=" ")], {}, "says something"),
        ([ChatMessageTool(content="5", function="sound"), ChatMessageUser(content="?")], {}, "tool"),
        ([ChatMessageUser(content=[ContentImage(image="data:image/png;base64,AA==")])], {}, "image"),
        ([ChatMessageUser(content="?")], {"top_k": 5}, "top_k=5"),
        ([ChatMessageUser(content="?")], {"num_choices": 2}, "num_choices=2"),
        ([ChatMessageUser(content="?")], {"temperature": 3.0}, "temperature=3.0"),
    ],
)
async def test_what_a_council_cannot_do_is_refused_and_not_recorded(
    open_model: OpenModel, conversation: list[ChatMessage], config: dict[str, Any], named: str
) -> None:
    ledger = MemoryLedger()
    async with open_model(ledger=ledger) as model:
        with pytest.raises(BadInput, match=named):
            await model.api.generate(conversation, [], "auto", GenerateConfig(**config))
        sound = ToolInfo(name="sound", description="Sounds.")
        with pytest.raises(BadInput, match=r"tools \(sound\)"):
            await model.api.generate([ChatMessageUser(content="?")], [sound], "auto", GenerateConfig())
    async with ledger:
        assert not await ledger.turns()


async def test_a_prompt_longer_than_the_context_is_no_error_but_a_reason_to_stop(open_model: OpenModel) -> None:
    async with open_model() as model:
        output = await model.generate("word " * 9_000)
    assert output.stop_reason == "model_length"
    assert "8,192" in output.completion


@pytest.mark.parametrize(
    ("error", "raised", "kind"),
    [
        (EngineBusy("full."), EngineBusy, "rate_limit"),
        (SeatDeadline("late."), SeatDeadline, "transient"),
        (EngineLost("gone."), EngineLost, None),
        (EngineError("odd."), TurnFailed, None),
    ],
)
async def test_errors_say_whether_asking_again_may_help(
    open_model: OpenModel, error: EngineError, raised: type[Exception], kind: str | None
) -> None:
    async with open_model(engine=ScriptedEngine(dict.fromkeys(SAID, error))) as model:
        with pytest.raises(raised, match=str(error)) as caught:
            await model.api.generate([ChatMessageUser(content="?")], [], "auto", GenerateConfig())
        decision = model.api.should_retry(caught.value)  # type: ignore[arg-type]
    assert (decision.retry, decision.kind if decision.retry else None) == (kind is not None, kind)  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "again"), [("embedded", False), ("vllm", True)])
def test_a_server_that_was_lost_is_asked_again(
    open_model: OpenModel, monkeypatch: pytest.MonkeyPatch, kind: str, again: bool
) -> None:
    monkeypatch.setenv("CONSILIUM_ENGINE", kind)
    api = open_model().api
    assert bool(api.should_retry(EngineLost("gone."))) == again
    assert api.should_retry(LedgerLocked("busy."))
    assert not api.should_retry(BadMessage("empty."))


@pytest.mark.slow
async def test_inspect_asks_again_until_the_engine_takes_it(open_model: OpenModel) -> None:
    answers = iter([EngineBusy("full."), "five fathoms"])
    engine = ScriptedEngine({**SAID, "pilot": lambda _prompt: next(answers)})
    async with open_model("pilot", engine=engine) as model:
        output = await model.generate("How deep is it?", config=GenerateConfig(max_retries=2))
    assert (output.completion, len(engine.calls)) == ("five fathoms", 2)


def test_the_council_ends_with_its_loop_and_another_begins_with_the_next(open_model: OpenModel) -> None:
    engine = ScriptedEngine(SAID)
    model = open_model(engine=engine)

    async def ask() -> str:
        outputs = await asyncio.gather(*(model.generate(f"How deep is it, {place}?") for place in range(4)))
        await engine.ensure_ready(())  # still open
        return outputs[0].completion

    for _ in range(2):
        assert asyncio.run(ask()) == "two fathoms"
        with pytest.raises(EngineLost):
            asyncio.run(engine.ensure_ready(()))


@pytest.mark.parametrize(
    ("name", "settings", "error", "named"),
    [
        ("pilto", {}, UnknownMember, "'pilot'"),
        ("default", {"volume": 11}, BadSettings, "setting volume: there is no such setting"),
        ("default", {"seats": 99}, BadSettings, "seats=99"),
    ],
)
def test_a_name_or_setting_that_is_wrong_is_told_before_anything_runs(
    open_model: OpenModel, name: str, settings: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=named):
        open_model(name, **settings)
