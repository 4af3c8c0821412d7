"""One vLLM server: what it serves, what a member says there, and how likely it finds a text.

Nothing is tried twice here. What may be tried again is raised as `Again`, whose cause says what to raise if it is not.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
from openai.types.shared_params import ResponseFormatJSONSchema
from pydantic import BaseModel, TypeAdapter

from consilium.engines.protocol import Prompt
from consilium.errors import AdapterMissing, BadMessage, EngineBusy, EngineError, EngineLost

CONNECT_S = 5.0
MAX_BODY_BYTES = 16 * 1024 * 1024
"""Of one answer, whatever it claims to be."""
MAX_TOKEN_CHARACTERS = 128
"""Of a statement for each token that it may have; a server that says more is not believed."""
NO_SUCH_ROUTE = {"detail": "Not Found"}
"""What a server answers that takes no adapters at run time."""
_STRANGE = (ValueError, KeyError, TypeError, AttributeError, IndexError)
"""What reading an answer of another form raises."""


class Again(Exception):
    """A call that may be repeated.

    Args:
        error: what to raise where it is not.
        after_s: seconds that the server asks to be left alone for.
    """

    def __init__(self, error: EngineError, after_s: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What a server says that it serves."""

    base: str
    """The name under which the bare base answers."""
    adapters: frozenset[str]
    context_tokens: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a server answered to somebody without a key."""

    status: int
    text: str
    date: str
    """Its clock, as HTTP writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a statement ended."""

    finish: str
    prompt_tokens: int
    completion_tokens: int


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int


class _Chunk(BaseModel):
    """What is read of an event of the stream."""

    model: str
    choices: list[_Choice]
    usage: _Usage | None = None


class _Message(BaseModel):
    message: str


class _Failure(BaseModel):
    """The event by which vLLM says that it cannot go on."""

    error: _Message


_EVENT: TypeAdapter[_Chunk | _Failure] = TypeAdapter(_Chunk | _Failure)


class Server:
    """Speaks to one base URL with the `openai` client; follows no redirect and repeats nothing.

    Args:
        url: up to and with ``/v1``.
        key: sent to this origin alone; None for a server without.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._http = _capped_client()
        self._client = openai.AsyncOpenAI(
            base_url=self.url, api_key=key or "none", max_retries=0, timeout=None, http_client=self._http
        )

    async def close(self) -> None:
        """Close every connection; calls in hand end with an error."""
        await self._client.close()

    async def served(self) -> Served:
        """Return what the server serves.

        Raises:
            Again: it does not answer, or not like a vLLM server.
        """
        async with self._translated():
            page = await self._client.models.list()
            cards = [card.model_dump() for card in page.data]
            own = [card for card in cards if not card.get("parent")]
            if not own:
                raise EngineLost(f"{self.url} names no base model among {[card['id'] for card in cards]}.")
            return Served(
                base=own[0]["id"],
                adapters=frozenset(card["id"] for card in cards if card.get("parent")),
                context_tokens=own[0].get("max_model_len"),
            )

    async def look(self, path: str) -> Seen:
        """Return what the server answers to a GET without a key, at a path from its root. Raises as `served`."""
        async with self._translated():
            answer = await self._http.get(self.url.removesuffix("/v1") + path, timeout=CONNECT_S)
            return Seen(status=answer.status_code, text=answer.text, date=answer.headers.get("date", ""))

    async def load(self, name: str, path: str) -> bool:
        """Have the server load an adapter from ``path``, as it sees it; False where it takes none at run time.

        Raises:
            AdapterMissing: there is no such folder.
            Again: it does not answer.
        """
        async with self._translated(name):
            try:
                await self._post("load_lora_adapter", {"lora_name": name, "lora_path": path})
            except openai.BadRequestError as error:
                if "already been loaded" not in str(error):
                    raise
            except openai.NotFoundError as error:
                if error.body != NO_SUCH_ROUTE:
                    raise
                return False
        return True

    async def unload(self, name: str) -> None:
        """Have the server forget an adapter; one that it does not know is forgotten already. Raises as `load`."""
        async with self._translated(name):
            with suppress(openai.NotFoundError):
                await self._post("unload_lora_adapter", {"lora_name": name})

    @asynccontextmanager
    async def speaking(self, model: str, prompt: Prompt) -> AsyncIterator[AsyncIterator[str | Ending]]:
        """Ask for a statement; what the context yields is its text as it arrives, and last its ending.

        Leaving the context before the end aborts the statement at the server.

        Raises:
            Again: the server does not answer, is busy, or its answer breaks off or is none.
            AdapterMissing: it does not know ``model``.
            BadMessage: the prompt does not fit its context.
        """
        sampling = prompt.sampling
        turns: list[Any] = [{"role": message.role, "content": message.content} for message in prompt.messages]
        request = self._client.chat.completions.with_streaming_response.create(
            model=model,
            messages=turns,
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            stop=list(sampling.stop) or None,
            seed=prompt.seed,
            stream=True,
            stream_options={"include_usage": True},
            response_format=openai.omit if prompt.schema is None else _following(prompt.schema),
            extra_body={"repetition_penalty": sampling.repetition_penalty, "min_tokens": sampling.min_tokens},
        )
        async with AsyncExitStack() as stack:
            async with self._translated(model):
                answer = await stack.enter_async_context(request)
            events = _events(answer.iter_bytes())
            stack.push_async_callback(_unwind, events)
            yield await stack.enter_async_context(aclosing(self._pieces(events, model, sampling.max_tokens)))

    async def log_probabilities(self, model: str, ids: Sequence[int]) -> list[float]:
        """Return the log-probability of each token given those before it, in nats; one fewer than there are tokens.

        Raises as `speaking`.
        """
        async with self._translated(model):
            done = await self._client.completions.create(
                model=model,
                prompt=list(ids),
                max_tokens=1,
                temperature=0.0,
                extra_body={"prompt_logprobs": 0, "add_special_tokens": False},
            )
            found: list[Any] = done.choices[0].prompt_logprobs  # type: ignore[attr-defined]  # vLLM adds it
            return [float(each[str(token)]["logprob"]) for token, each in zip(ids[1:], found[1:], strict=True)]

    async def _pieces(
        self, events: AsyncIterator[bytes], model: str, max_tokens: int
    ) -> AsyncGenerator[str | Ending, None]:
        characters, finish, usage = 0, None, None
        async with self._translated(model):
            async for event in events:
                chunk = _EVENT.validate_json(event)
                if isinstance(chunk, _Failure):
                    told = _short(chunk.error.message, self._key)
                    raise Again(EngineLost(f"{self.url} gave up in the middle of a statement: {told}."))
                if chunk.model != model:
                    raise EngineLost(f"{self.url} answered as {chunk.model!r:.80}, not as {model!r}.")
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    finish = choice.finish_reason or finish
                    text = choice.delta.content or ""
                    characters += len(text)
                    if characters > MAX_TOKEN_CHARACTERS * max_tokens:
                        raise EngineLost(f"{self.url} said {characters:,} characters; {max_tokens} tokens were asked.")
                    if text:
                        yield text
            if finish is None or usage is None:
                raise Again(EngineLost(f"{self.url} broke off in the middle of a statement."))
            yield Ending(finish=finish, prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens)

    def _translated(self, model: str = "") -> AbstractAsyncContextManager[None]:
        return _translated(self.url, model, self._key)

    async def _post(self, path: str, body: dict[str, str]) -> None:
        await self._client.post(f"/{path}", body=body, cast_to=str)  # answers with a sentence, which is no JSON


@asynccontextmanager
async def _translated(url: str, model: str, key: str | None) -> AsyncIterator[None]:
    """Turn what the client raises into errors of ours."""
    try:
        yield
    except openai.NotFoundError as error:
        raise AdapterMissing(
            f"{url} does not serve {model!r}: {_said(error, key)}. Start it with the catalogue (consilium engine up), "
            "or let it take adapters at run time (VLLM_ALLOW_RUNTIME_LORA_UPDATING=1)."
        ) from error
    except openai.RateLimitError as error:
        raise Again(EngineBusy(f"{url} is busy: {_said(error, key)}."), _retry_after(error)) from error
    except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
        raise EngineLost(
            f"{url} refuses the key: {_said(error, key)}. Set CONSILIUM_API_KEY to the server's."
        ) from error
    except openai.BadRequestError as error:
        if "context length" in str(error) or "maximum model length" in str(error):
            raise BadMessage(f"{url}: {_said(error, key)}. Shorten the message.") from error
        raise EngineLost(f"{url} refuses what was asked: {_said(error, key)}.") from error
    except openai.APIStatusError as error:
        again = Again(EngineLost(f"{url} answered {error.status_code}: {_said(error, key)}."), _retry_after(error))
        raise (again if error.status_code >= 500 else again.error) from error
    except (openai.APIError, httpx2.HTTPError, httpx2.StreamError, *_STRANGE) as error:
        raise Again(EngineLost(f"{url} does not answer as a vLLM server does: {_said(error, key)}.")) from error


async def _events(answer: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of each server-sent event, of which vLLM writes one a line, and read on to the answer's very end.

    The client's own reader stops before, and leaves generators that the garbage collector has to end. A line ends with
    a line feed alone: what is said may hold any other separator.
    """
    begun = b""
    async for part in answer:
        *lines, begun = (begun + part).split(b"\n")
        for line in lines:
            if line.startswith(b"data:") and not line.startswith(b"data: [DONE]"):
                yield line.removeprefix(b"data:")


async def _unwind(events: AsyncIterator[bytes]) -> None:
    """End the generators that read an answer, from the innermost on: read for no time at all, and be cancelled there.

    Closing the answer ends none of them; the garbage collector would, in any order, also while another one runs it.
    """
    with suppress(TimeoutError, openai.APIError, httpx2.HTTPError, httpx2.StreamError, *_STRANGE):
        async with asyncio.timeout(0):
            async for _ in events:
                pass


def _following(schema: Mapping[str, Any]) -> ResponseFormatJSONSchema:
    return {"type": "json_schema", "json_schema": {"name": "statement", "schema": dict(schema), "strict": True}}


def _said(error: Exception, key: str | None) -> str:
    """Return what went wrong in short; a server that repeats the key it was given does not get it into the ledger."""
    return _short(f"{type(error).__name__}: {str(error) or repr(error.__cause__)}", key)


def _short(said: str, key: str | None) -> str:
    return (said.replace(key, "…") if key else said)[:200]


def _retry_after(error: openai.APIStatusError) -> float:
    """Return the seconds that the server asks for; a date, or nonsense, counts as none."""
    try:
        return max(0.0, float(error.response.headers.get("retry-after", 0)))
    except ValueError:
        return 0.0


class _Capped(httpx2.AsyncByteStream):
    """An answer that ends in an error where it has no end."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        async for part in self._stream:
            count += len(part)
            if count > MAX_BODY_BYTES:
                raise httpx2.ReadError(f"the answer has more than {MAX_BODY_BYTES:,} bytes")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _CappedTransport(httpx2.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _Capped(response.stream)
        return response


def _capped_client() -> httpx2.AsyncClient:
    """Return a client that follows no redirect and reads no answer without end."""
    transport = _CappedTransport(limits=httpx2.Limits(max_connections=256, max_keepalive_connections=64))
    timeout = httpx2.Timeout(None, connect=CONNECT_S)
    return httpx2.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)
