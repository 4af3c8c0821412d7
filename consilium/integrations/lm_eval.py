"""The council as a model of lm-evaluation-harness, whose command line this module runs with one model more.

The harness has no entry point for models: who brings one registers it before its command line starts (its
``docs/model_guide.md``). The arguments are those of ``lm_eval``::

    python -m consilium.integrations.lm_eval run --model consilium --model_args member=logician --tasks arc_easy
"""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from lm_eval.__main__ import cli_evaluate
from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import normalize_gen_kwargs
from pydantic import TypeAdapter
from tqdm import tqdm

from consilium.concurrency import all_of
from consilium.council.council import Council
from consilium.council.options import COUNCIL, AskOptions, addressed, complete
from consilium.council.portal import Portal
from consilium.engines.protocol import Continuation, Delta, Engine, Message, Prompt
from consilium.errors import BadInput, ConsiliumError
from consilium.integrations.conversation import Asked, asked
from consilium.jobs.pacing import Pace, PacedEngine
from consilium.members.persona import SamplingDefaults

Result = TypeVar("Result")

IN_HAND = 64
"""Requests that are under way at one time; how many statements are asked for at one time the engine decides."""

_CHAT = TypeAdapter(tuple[Message, ...])
_CHAT_BEGINS = '[{"role":'


@register_model("consilium")
class CouncilLM(LM):
    """A council, one of its members, or whom its router finds the likeliest, as a model of the harness.

    Args:
        member: ``council``, ``router``, or a member's name.
        batch_size: of no use here, as the two after it: the engine makes its own batches.
        max_batch_size: see there.
        device: see there.
        council: keyword arguments of `Council.open`, as ``engine=vllm``; any setting is one.

    A council is opened for all requests of a kind, and closed after them. What is generated are turns of its ledger.

    Raises:
        UnknownMember, BadSettings, BadPersona, BaseUnavailable: at once, as `Council.open`.
    """

    tokenizer_name = "consilium"
    """Tells the harness's cache of requests whose template it is."""

    def __init__(
        self,
        member: str = COUNCIL,
        *,
        batch_size: object = None,
        max_batch_size: object = None,
        device: object = None,
        **council: Any,  # noqa: ANN401 -- as the harness hands over what stands behind --model_args
    ) -> None:
        super().__init__()
        self._open = partial(Council.open, **council)
        self._member = member
        self._addressed = addressed(member, self._open().parts.catalogue)

    def generate_until(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the verdict for each context.

        Raises:
            BadInput: a sampling that a council does not have, or a conversation that does not end with the user.
            TurnFailed: nobody was heard.
        """
        return _run(self._verdicts(requests, disable_tqdm))

    def loglikelihood(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return how likely the member finds each continuation as its whole answer to the context.

        Nats, over the continuation's tokens and the end of the statement; white space before it does not count. Nobody
        speaks and the ledger holds nothing of it. The flag says whether the member's likeliest words begin with it.

        Raises:
            BadInput: a council speaks with several voices, and has no likelihood of its own.
        """
        if not self._addressed:
            raise BadInput(
                f"member={self._member!r}: a council has no likelihood of its own. Ask a member, or 'router' for the "
                "member that sits first."
            )
        return _run(self._likelihoods(requests, disable_tqdm))

    def loglikelihood_rolling(self, requests: Sequence[Instance], disable_tqdm: bool = False) -> list[float]:
        """Refuse: members answer messages, and say nothing of how likely a text without one is."""
        raise BadInput(
            "loglikelihood_rolling asks how likely a text is by itself; members answer messages. Choose tasks of "
            "generate_until, loglikelihood or multiple_choice."
        )

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Return the conversation as JSON, which `generate_until` and `loglikelihood` take for one."""
        return _CHAT.dump_json(_CHAT.validate_python(chat_history)).decode()

    async def _verdicts(self, requests: Sequence[Instance], disable_tqdm: bool) -> list[str]:
        gate = asyncio.Semaphore(IN_HAND)
        bar = tqdm(total=len(requests), desc="generate_until", disable=disable_tqdm)

        async def answer(council: Council, request: Instance) -> str:
            message, options = _asked(request.args[0])
            sampling = _sampling(request.args[1])
            async with gate:
                turn = await council.ask(message, **AskOptions(**{**sampling, **self._addressed, **options}))
            self.cache_hook.add_partial("generate_until", request.args, turn.verdict.text)
            bar.update()
            return turn.verdict.text

        with bar:
            async with self._opened() as council:
                return await all_of([answer(council, request) for request in requests])

    async def _likelihoods(self, requests: Sequence[Instance], disable_tqdm: bool) -> list[tuple[float, bool]]:
        by_context: defaultdict[str, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            by_context[request.args[0]].append(place)
        gate = asyncio.Semaphore(IN_HAND)
        found: dict[int, tuple[float, bool]] = {}
        bar = tqdm(total=len(requests), desc="loglikelihood", disable=disable_tqdm)

        async def find(council: Council, context: str, places: list[int]) -> None:
            async with gate:
                answers = await self._judged(council, context, [requests[place].args[1] for place in places])
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
                self.cache_hook.add_partial("loglikelihood", requests[place].args, answer)
            bar.update(len(places))

        with bar:
            async with self._opened() as council:
                await all_of([find(council, context, places) for context, places in by_context.items()])
        return [found[place] for place in range(len(requests))]

    async def _judged(self, council: Council, context: str, replies: Sequence[str]) -> list[tuple[float, bool]]:
        """Return what is asked of the replies to one context; the member speaks too, to tell its likeliest words."""
        parts, (message, more) = council.parts, _asked(context)
        options = complete(AskOptions(**{**self._addressed, **more}), parts.settings, parts.catalogue)
        decision = await parts.router.route(options.request(message))
        member = decision.seats[0].member
        system = Message(role="system", content=options.system_prompt(parts.catalogue.get(member).persona))
        messages = (system, *options.history, Message(role="user", content=message))
        texts = [reply.strip() for reply in replies]
        found = await parts.engine.likelihood([Continuation(member=member, messages=messages, text=t) for t in texts])
        longest = SamplingDefaults(max_tokens=max(likelihood.tokens for likelihood in found))
        likeliest = await _spoken(parts.engine, Prompt(member=member, messages=messages, sampling=longest))
        return [(each.log_probability, _begins(likeliest, text)) for each, text in zip(found, texts, strict=True)]

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Council]:
        parts = self._open().parts
        async with Council(replace(parts, engine=PacedEngine(parts.engine, Pace()))) as council:
            yield council


def main() -> None:
    """Run the harness's command line; what the council refuses is told in a line."""
    try:
        cli_evaluate()
    except ConsiliumError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` on a loop of its own: the caller may have one, as notebooks do."""
    portal = Portal()
    try:
        return portal.run(work)
    finally:
        portal.close()


async def _spoken(engine: Engine, prompt: Prompt) -> str:
    said = [piece.text async for piece in engine.generate(prompt) if isinstance(piece, Delta)]
    return "".join(said)


def _begins(spoken: str, text: str) -> bool:
    """Say whether what was spoken begins with the text, and does not go on with the same word."""
    rest = spoken.strip().removeprefix(text)
    return spoken.strip().startswith(text) and not (text[-1:].isalnum() and rest[:1].isalnum())


def _asked(context: str) -> Asked:
    """Take a context for the message itself, or for a conversation that `CouncilLM.apply_chat_template` wrote."""
    if not context.startswith(_CHAT_BEGINS):
        return Asked(context, AskOptions())
    return asked(_CHAT.validate_json(context))


def _sampling(kwargs: Mapping[str, Any]) -> AskOptions:
    rest = dict(normalize_gen_kwargs(dict(kwargs)))
    options = AskOptions(
        max_tokens=rest.pop("max_gen_toks"),
        temperature=rest.pop("temperature", 0.0),
        top_p=rest.pop("top_p", None),
        stop=rest.pop("until") or None,
        seed=rest.pop("seed", None),
    )
    rest.pop("do_sample", None)  # the temperature says it
    if rest:
        raise BadInput(f"{rest!r:.80} is asked of generation; a council does not have it. Leave it out of gen_kwargs.")
    return options


if __name__ == "__main__":
    main()
