"""The council as a model of inspect_ai: any Inspect task runs against it, and each generation is a turn of its ledger.

Inspect finds this module by its entry point (https://inspect.aisi.org.uk/extensions.html)::

    inspect eval task.py --model consilium/default -M personas=personas -M database=sqlite:///eval.db
"""

import asyncio
from contextlib import aclosing
from contextvars import Context
from functools import partial
from typing import Any

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    RetryDecision,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from consilium.council.council import Council
from consilium.council.events import Concluded, Stated
from consilium.council.options import AskOptions, addressed
from consilium.council.turn import Turn
from consilium.engines.protocol import Message
from consilium.errors import BadInput, BadMessage, EngineBusy, EngineLost, LedgerLocked, SeatDeadline, TurnFailed
from consilium.integrations.conversation import Asked, asked

_NEUTRAL = {"num_choices": 1, "best_of": 1}
_REFUSED = (
    *_NEUTRAL,
    *("top_k", "frequency_penalty", "presence_penalty", "logit_bias"),
    *("logprobs", "top_logprobs", "prompt_logprobs", "response_schema"),
)
"""What a task may ask of a generation and a council cannot do: a score would be of something else than it says."""


@modelapi(name="consilium")
class CouncilAPI(ModelAPI):
    """A council, one of its members, or whom its router finds the likeliest, as Inspect's model.

    Args:
        model_name: ``default`` or ``council``, ``router``, or a member's name.
        base_url: of vLLM servers; the setting of that name.
        api_key: that they ask for.
        config: Inspect's; each generation brings its own.
        council: keyword arguments of `Council.open`, as ``-M engine=vllm``; any setting is one.

    The council starts with the first generation on an event loop, and is closed when that loop ends, or by `aclose`.

    Raises:
        UnknownMember, BadSettings, BadPersona, BaseUnavailable: at once, as `Council.open`.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **council: Any,  # noqa: ANN401 -- as Inspect hands over what stands behind -M
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self._open = partial(Council.open, base_url=base_url, api_key=api_key, **council)
        self._council = self._open()
        self._keeping: asyncio.Task[None] | None = None
        self._addressed = addressed(model_name, self._council.parts.catalogue)

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """Put the conversation to the council and return its verdict; the turn's id is in the metadata.

        Raises:
            BadInput: tools, pictures or a sampling that a council does not have.
            EngineBusy, SeatDeadline, EngineLost: nobody was heard; `should_retry` says what becomes of it.
            TurnFailed: nobody was heard, for another reason.
        """
        if tools:
            raise BadInput(f"the task has tools ({', '.join(tool.name for tool in tools)}); a council calls none.")
        message, options = asked([_message(entry) for entry in input])
        try:
            turn = await self._turn(Asked(message, AskOptions(**{**_sampling(config), **self._addressed, **options})))
        except BadMessage as error:  # longer than the context, as it is not empty
            return ModelOutput.from_content(self.model_name, str(error), stop_reason="model_length")
        return self._output(turn)

    def should_retry(self, ex: Exception) -> RetryDecision:
        """Have Inspect ask again where that may help. An engine in this process that broke stays broken."""
        if isinstance(ex, EngineBusy):
            return RetryDecision.rate_limit()
        remote = self._council.parts.settings.engine == "vllm"
        kinds = (SeatDeadline, LedgerLocked, EngineLost) if remote else (SeatDeadline, LedgerLocked)
        return RetryDecision.transient() if isinstance(ex, kinds) else RetryDecision.no()

    def collapse_user_messages(self) -> bool:
        """Have messages of the user that follow upon each other joined."""
        return True

    def collapse_assistant_messages(self) -> bool:
        """Have answers that follow upon each other joined."""
        return True

    async def aclose(self) -> None:
        """Close the council; the next generation opens another."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    async def _turn(self, question: Asked) -> Turn:
        turn: Turn | None = None
        errors: set[str | None] = set()
        try:
            async with aclosing(self._kept().stream(question.message, **question.options)) as events:
                async for event in events:
                    if isinstance(event, Stated):
                        errors.add(event.statement.error)
                    if isinstance(event, Concluded):
                        turn = event.turn
        except TurnFailed as error:
            kinds = (EngineBusy, SeatDeadline, EngineLost)
            kind = next((kind for kind in kinds if kind.__name__ in errors), None)
            if kind is None:
                raise
            raise kind(str(error)) from error
        if turn is None:
            raise EngineLost("the turn ended without a verdict and without an error.")
        return turn

    def _kept(self) -> Council:
        """Return the council, which a task of the running loop closes when the loop ends and cancels it."""
        if self._keeping is not None and self._keeping.done():
            self._council, self._keeping = self._open(), None
        if self._keeping is None:
            self._keeping = asyncio.create_task(_keep(self._council), context=Context())
        return self._council

    def _output(self, turn: Turn) -> ModelOutput:
        statements = {seat.number: seat.statement for seat in turn.seats}
        whole = statements[turn.verdict.source_seat].finish != "length"
        output = ModelOutput.from_content(self.model_name, turn.verdict.text, "stop" if whole else "max_tokens")
        heard = sum(statement.prompt_tokens for statement in statements.values())
        output.usage = ModelUsage(
            input_tokens=heard, output_tokens=turn.completion_tokens, total_tokens=heard + turn.completion_tokens
        )
        output.time = turn.latency_ms / 1_000
        output.metadata = {
            "turn": turn.id,
            "members": [seat.member for seat in turn.seats],
            "weights": [seat.weight for seat in turn.seats],
            "method": turn.verdict.method,
            "agreement": turn.verdict.agreement,
            "abstained": turn.decision.abstained,
        }
        return output


async def _keep(council: Council) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await council.close()


def _message(entry: ChatMessage) -> Message:
    calls = isinstance(entry, ChatMessageAssistant) and entry.tool_calls
    if entry.role == "tool" or calls:
        raise BadInput("the conversation has tool calls in it; a council knows none.")
    if not isinstance(entry.content, str) and (other := {part.type for part in entry.content} - {"text"}):
        raise BadInput(f"a message holds {', '.join(sorted(other))}; a council reads text alone.")
    return Message(role=entry.role, content=entry.text)


def _sampling(config: GenerateConfig) -> AskOptions:
    for name in _REFUSED:
        if (value := getattr(config, name)) and value != _NEUTRAL.get(name):
            raise BadInput(f"{name}={value!r:.60} is asked of the model; a council does not have it. Leave it out.")
    return AskOptions(
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        stop=config.stop_seqs or None,
        seed=config.seed,
    )
