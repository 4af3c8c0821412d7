"""The record of a play: what engine and router answered, so that it can be played again with no model.

A replay does everything anew but what was answered: who may sit, what each member is shown, how statements become a
verdict, what holds. Answers are kept by what was asked, so that a member that would be shown anything else is one that
the record knows nothing of. As Temporal replays the histories of its workflows.
"""

import hashlib
import json
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from consilium import errors
from consilium.council.council import Council
from consilium.engines.protocol import Continuation, Delta, Engine, EngineInfo, Likelihood, Message, Prompt, Spoken
from consilium.engines.wrapped import Wrapped
from consilium.errors import BadPersona, BadScript, EngineError
from consilium.ledger.memory import MemoryLedger
from consilium.members.files import read_plain, write_whole
from consilium.members.persona import faults
from consilium.routing.pinned import PinnedRouter
from consilium.routing.protocol import Decision, Request, Router
from consilium.scripts.play import Check, Play, PlayedTurn

if TYPE_CHECKING:
    from consilium.members.base import Progress
    from consilium.scripts.script import Script

MAX_TAPE_BYTES = 64 * 1024 * 1024
MAX_DIFFERENCES = 10
"""What comes after so many mostly follows from them."""


class Refused(BaseModel):
    """A statement that came to nothing: the error's class and message."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error: str
    message: str


class Tape(BaseModel):
    """Everything that was answered in one play, by the digest of what was asked, and what the play came to."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    engine: EngineInfo | None = None
    router: str = ""
    """The router's digest."""
    decisions: dict[str, Decision] = {}
    statements: dict[str, Spoken | Refused] = {}
    counts: dict[str, int] = {}
    """Tokens of prompts."""
    likelihoods: dict[str, Likelihood] = {}
    play: dict[str, Any] = {}
    """`account` of the play."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the record of a play. Raises `BadScript` where the file is none."""
        try:
            return cls.model_validate_json(read_plain(path, limit=MAX_TAPE_BYTES))
        except BadPersona as error:
            raise BadScript(f"the record of a play: {error}") from error
        except ValidationError as error:
            raise BadScript(f"{path} is no record of a play: {faults(error)}. Record the play anew.") from error

    def write(self, path: Path, play: Play) -> None:
        """Write the record whole; the same play makes the same bytes.

        Raises:
            BadScript: the play did not reach its end, or the file cannot be written.
        """
        if play.stopped:
            raise BadScript(f"a play that stopped is not recorded ({play.stopped})")
        self.play = account(play)
        text = json.dumps(self.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
        try:
            write_whole(path, (text + "\n").encode())
        except OSError as error:
            raise BadScript(f"{path} cannot be written: {error.strerror}. Name another file.") from error

    def recording(self, council: Council) -> Council:
        """Return a council of the same parts whose answers are kept here. Call it before the council is used."""
        parts = council.parts
        self.engine, self.router = parts.engine.describe(), parts.router.digest()
        router = PinnedRouter(parts.catalogue, _RecordingRouter(parts.router.otherwise, self))
        return type(council)(replace(parts, engine=_RecordingEngine(parts.engine, self), router=router))

    def open(
        self, script: "Script", *, ask_router: bool = False, progress: "Progress | None" = None, **settings: object
    ) -> Council:
        """Put a council together that answers from this record, with a ledger in memory.

        Args:
            script: what will be played.
            ask_router: let the router decide anew, for which its model is loaded.
            progress: as for `Script.open`.
            settings: as for `Script.open`.
        """
        router = None if ask_router else _TapedRouter(self)
        return script.open(
            engine=_TapedEngine(self), router=router, ledger=MemoryLedger(), progress=progress, **settings
        )

    def differences(self, play: Play) -> tuple[str, ...]:
        """Return where a play came to something else than the recorded one; the first few."""
        found = []
        for difference in _differences(self.play, account(play)):
            found.append(difference)
            if len(found) == MAX_DIFFERENCES:
                break
        return tuple(found)


def account(play: Play) -> dict[str, Any]:
    """Return what a play came to, without what is another each time: ids, times, and the like."""
    return {
        "title": play.title,
        "turns": [_turn_account(played) for played in play.turns],
        "checks": [_check_account(check) for check in play.checks],
    }


def _turn_account(played: PlayedTurn) -> dict[str, Any]:
    turn = played.turn
    return {
        "message": played.said.message,
        "played_by": played.said.played_by,
        "router": turn.decision.router,
        "abstained": turn.decision.abstained,
        "seats": [
            {"member": s.content_name, "role": s.role, "weight": s.weight, "error": s.statement.error}
            for s in turn.seats
        ],
        "statements": [seat.statement.text for seat in turn.seats],
        "verdict": {
            "text": turn.verdict.text,
            "method": turn.verdict.method,
            "source_seat": turn.verdict.source_seat,
            "agreement": turn.verdict.agreement,
            "dissent": list(turn.verdict.dissent),
        },
        "tokens": played.tokens,
        "checks": [_check_account(check) for check in played.checks],
    }


def _check_account(check: Check) -> dict[str, Any]:
    return {"name": check.name, "wanted": check.wanted, "found": check.found, "held": check.held}


def _differences(recorded: object, now: object, place: str = "") -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in recorded | now:
            yield from _differences(recorded.get(key), now.get(key), f"{place}.{key}" if place else key)
    elif isinstance(recorded, list) and isinstance(now, list):
        for number in range(max(len(recorded), len(now))):
            before, after = (part[number] if number < len(part) else None for part in (recorded, now))
            yield from _differences(before, after, f"{place}[{number}]")
    elif isinstance(recorded, float) and isinstance(now, float):
        if not math.isclose(recorded, now, abs_tol=1e-6):  # another machine may round otherwise
            yield f"{place}: recorded {recorded!r}, now {now!r}"
    elif recorded != now:
        yield f"{place}: recorded {_shown(recorded)}, now {_shown(now)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{value!r:.160}"


def _key(*asked: object) -> str:
    """Name a question by its content."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _of_prompt(prompt: Prompt) -> str:
    messages = [asdict(message) for message in prompt.messages]
    return _key(prompt.member, messages, prompt.sampling.model_dump(mode="json"), prompt.seed)


def _of_messages(messages: Sequence[Message]) -> str:
    return _key([asdict(message) for message in messages])


class _RecordingRouter:
    """Keeps what another router decides."""

    def __init__(self, router: Router, tape: Tape) -> None:
        self._router, self._tape = router, tape

    def digest(self) -> str:
        return self._router.digest()

    async def route(self, request: Request) -> Decision:
        decision = await self._router.route(request)
        return self._tape.decisions.setdefault(_key(asdict(request)), decision)


class _TapedRouter:
    """Decides as it was recorded."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def digest(self) -> str:
        return self._tape.router

    async def route(self, request: Request) -> Decision:
        if (decision := self._tape.decisions.get(_key(asdict(request)))) is not None:
            return decision
        raise EngineError(f"the record holds no decision on {request.message!r:.80}. Record the play anew.")


class _RecordingEngine(Wrapped):
    """Keeps what another engine answers."""

    def __init__(self, engine: Engine, tape: Tape) -> None:
        super().__init__(engine)
        self._tape = tape

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """Keep the count too."""
        count = await super().count_tokens(messages)
        return self._tape.counts.setdefault(_of_messages(messages), count)

    async def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        key = _of_prompt(prompt)
        try:
            async for piece in self._engine.generate(prompt):
                if isinstance(piece, Spoken):
                    self._tape.statements[key] = replace(piece, first_token_ms=0.0, latency_ms=0.0)
                yield piece
        except errors.ConsiliumError as error:
            self._tape.statements[key] = Refused(error=type(error).__name__, message=str(error))
            raise

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        found = await self._engine.likelihood(continuations)
        for asked, likelihood in zip(continuations, found, strict=True):
            self._tape.likelihoods[_key(asdict(asked))] = likelihood
        return found


class _TapedEngine:
    """Answers as it was recorded, at once."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def describe(self) -> EngineInfo:
        return self._tape.engine or EngineInfo(name="taped", base="none@000000000000", context_tokens=1)

    async def ensure_ready(self, members: Sequence[str]) -> None:
        pass

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        # What was not counted is shown to nobody in the recorded play, and the replay differs anyway.
        return self._tape.counts.get(_of_messages(messages), 1)

    async def generate(self, prompt: Prompt) -> AsyncIterator[Delta | Spoken]:
        answer = self._tape.statements.get(_of_prompt(prompt))
        if answer is None:
            raise EngineError(
                f"the record holds no answer of {prompt.member!r} to {prompt.messages[-1].content!r:.80} "
                "in this conversation, with this system prompt, sampling and seed. Record the play anew."
            )
        if isinstance(answer, Refused):
            raise _error(answer)
        yield Delta(text=answer.text)
        yield answer

    async def likelihood(self, continuations: Sequence[Continuation]) -> tuple[Likelihood, ...]:
        try:
            return tuple(self._tape.likelihoods[_key(asdict(asked))] for asked in continuations)
        except KeyError as error:
            raise EngineError("the record holds no answer to a judge's question. Record the play anew.") from error


def _error(refused: Refused) -> errors.ConsiliumError:
    kind = getattr(errors, refused.error, EngineError)
    is_ours = isinstance(kind, type) and issubclass(kind, errors.ConsiliumError)
    return (kind if is_ours else EngineError)(refused.message)
