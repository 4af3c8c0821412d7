"""A loopback server that answers as vLLM does, says what it is told to, and misbehaves where it is told to.

What vLLM itself does is tried against vLLM itself, in the tests marked ``vllm``; this one is for faults, in
milliseconds.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from consilium.engines.protocol import Message
from consilium.engines.tokens import Tokens
from consilium.members.base import Base

Fault = Literal["reset", "500", "429", "401", "drip", "cut", "json", "model", "flood", "failure", "redirect", "hang"]
SERVED = "the-base"
WORDS = tuple(f"w{number}" for number in range(20, 200))


@dataclass(kw_only=True)
class FakeVllm:
    """One server; each adapter says words of its own."""

    base: Base
    adapters: list[str] = field(default_factory=list)
    takes_adapters: bool = True
    sees_folders: bool = True
    token_s: float = 0.002
    words: Sequence[str] = WORDS
    """What is said, one a token; each adapter begins somewhere else."""
    faults: list[Fault] = field(default_factory=list)
    """What happens to the next requests for statements, one each."""
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Path and body of every request."""
    keys: list[str] = field(default_factory=list)
    pages: dict[str, str] = field(default_factory=lambda: {"/version": '{"version":"0.32.0"}', "/metrics": ""})
    """What a GET outside of /v1 finds."""
    url: str = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeVllm"]:
        """Serve on a free port."""
        self._tokens = Tokens(self.base)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield self

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(asked == path for asked, _ in self.asked)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            path = lines[0].split()[1]
            self.keys.append(headers.get("authorization", ""))
            self.asked.append((path, json.loads(body) if body else {}))
            if lines[0].startswith("GET") and path != "/v1/models":
                self._look(path, writer)
            else:
                await self._answer(path, self.asked[-1][1], writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _look(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path in self.pages:
            _text(writer, self.pages[path], extra="date: Thu, 01 Jan 1970 00:00:00 GMT\r\n")
        else:
            _json(writer, {}, 405 if path == "/v1/load_lora_adapter" and self.takes_adapters else 404)

    async def _answer(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        if path == "/v1/models":
            cards = [{"id": SERVED, "object": "model", "parent": None, "max_model_len": self.base.context_tokens}]
            cards += [{"id": name, "object": "model", "parent": SERVED} for name in self.adapters]
            _json(writer, {"object": "list", "data": cards})
        elif path.endswith("lora_adapter"):
            self._change(path, body["lora_name"], writer)
        elif body["model"] not in (SERVED, *self.adapters):
            _json(writer, {"error": {"message": f"The model `{body['model']}` does not exist."}}, 404)
        elif path == "/v1/completions":
            _json(writer, self._scored(body))
        else:
            await self._speak(body, writer, self.faults.pop(0) if self.faults else None)

    def _change(self, path: str, name: str, writer: asyncio.StreamWriter) -> None:
        if not self.takes_adapters:
            _json(writer, {"detail": "Not Found"}, 404)
        elif not self.sees_folders:
            _json(writer, {"error": {"message": f"No adapter found for {name}"}}, 404)
        elif path.endswith("unload_lora_adapter"):
            self.adapters.remove(name)
            _text(writer, f"Success: LoRA adapter '{name}' removed successfully.")
        elif name in self.adapters:
            _json(writer, {"error": {"message": f"The lora adapter '{name}' has already been loaded."}}, 400)
        else:
            self.adapters.append(name)
            _text(writer, f"Success: LoRA adapter '{name}' added successfully.")

    def _scored(self, body: dict[str, Any]) -> dict[str, Any]:
        """Find each token the less likely the larger its id is."""
        ids = body["prompt"]
        found = [None, *({str(token): {"logprob": -0.01 * (token + 1)}} for token in ids[1:])]
        return {
            "id": "c",
            "object": "text_completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {"index": 0, "text": "", "finish_reason": "length", "logprobs": None, "prompt_logprobs": found}
            ],
        }

    async def _speak(self, body: dict[str, Any], writer: asyncio.StreamWriter, fault: Fault | None) -> None:
        if fault == "401":  # as OpenAI's own API, it repeats what it was given
            _json(writer, {"error": {"message": f"Incorrect API key provided: {self.keys[-1]}"}}, 401)
            return
        if fault in ("500", "429", "redirect"):
            extra = {"429": "retry-after: 0\r\n", "redirect": "location: http://127.0.0.1:9/v1\r\n"}.get(fault, "")
            status = 302 if fault == "redirect" else int(fault)
            _json(writer, {"error": {"message": "as told"}}, status, extra)
            return
        if fault == "reset":
            return
        if fault == "hang":
            await asyncio.sleep(30)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        await self._stream(body, writer, fault)

    async def _stream(self, body: dict[str, Any], writer: asyncio.StreamWriter, fault: Fault | None) -> None:
        model = "another" if fault == "model" else body["model"]
        messages = [Message(role=each["role"], content=each["content"]) for each in body["messages"]]
        start = sum(map(ord, body["model"])) % 60 % len(self.words)
        text, spoken, finish = "", 0, "length"
        for word in [*self.words[start:], *self.words][: body["max_tokens"]]:
            grown = f"{text} {word}".strip()
            spoken += 1
            if any(stop in grown for stop in body["stop"] or ()):
                finish = "stop"
                break
            piece, text = grown[len(text) :], grown
            await asyncio.sleep(0.3 if fault == "drip" else self.token_s)
            if fault == "json":
                writer.write(b'data: {"id": "x", "choi\n\n')
                return
            if fault == "cut" and spoken == 3:
                return
            if fault == "failure" and spoken == 3:  # as vLLM does, which says it with the status it can no longer send
                writer.write(b'data: {"error": {"message": "EngineCore died", "type": "x", "code": 500}}\n\n')
                return
            _event(writer, model, {"delta": {"content": piece * (5_000 if fault == "flood" else 1)}})
            await writer.drain()
        _event(writer, model, {"delta": {}, "finish_reason": finish})
        usage = {"prompt_tokens": len(self._tokens.prompt(messages)), "completion_tokens": spoken, "total_tokens": 0}
        _event(writer, model, None, usage)
        writer.write(b"data: [DONE]\n\n")


def _event(
    writer: asyncio.StreamWriter, model: str, choice: dict[str, Any] | None, usage: dict[str, int] | None = None
) -> None:
    choices = [] if choice is None else [{"index": 0, "finish_reason": None, **choice}]
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": model, "choices": choices}
    writer.write(f"data: {json.dumps({**chunk, 'usage': usage}, ensure_ascii=False)}\n\n".encode())


def _json(writer: asyncio.StreamWriter, content: object, status: int = 200, extra: str = "") -> None:
    _text(writer, json.dumps(content), status, f"content-type: application/json\r\n{extra}")


def _text(writer: asyncio.StreamWriter, content: str, status: int = 200, extra: str = "") -> None:
    data = content.encode()
    head = f"HTTP/1.1 {status} As told\r\n{extra}content-length: {len(data)}\r\nconnection: close\r\n\r\n"
    writer.write(head.encode() + data)
