"""A proxy between a council and its server that spoils what passes through it, a fault a request."""

import asyncio
import json
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["none", "reset", "500", "429", "drip", "cut", "json", "model"]
SPOILT = "/v1/chat/completions"
CUT_AFTER = 1_200
"""Bytes of an answer that are let through before it is cut: its head, vLLM's first event, which has no word, and some
words; fewer than the shortest answer has."""


@dataclass(kw_only=True)
class ChaosProxy:
    """Passes requests on to ``upstream``; the statements among them suffer the faults, one each."""

    upstream: str
    faults: list[Fault] = field(default_factory=list)
    asked: int = 0
    """Statements asked for so far."""
    url: str = ""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ChaosProxy"]:
        """Serve on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            yield self

    def break_all(self) -> None:
        """Reset every connection in hand, as a server does that dies."""
        for writer in list(self._open):
            _reset(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            fault: Fault = "none"
            if lines[0].split()[1] == SPOILT:
                self.asked += 1
                fault = self.faults.pop(0) if self.faults else "none"
            await self._answer(fault, head.replace(b"keep-alive", b"close") + body, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, fault: Fault, request: bytes, writer: asyncio.StreamWriter) -> None:
        if fault == "reset":
            _reset(writer)
        elif fault in ("500", "429"):
            text = json.dumps({"error": {"message": "as told"}})
            head = f"HTTP/1.1 {fault} As told\r\nretry-after: 0.2\r\ncontent-length: {len(text)}\r\n"
            writer.write(f"{head}connection: close\r\n\r\n{text}".encode())
            await writer.drain()
        else:
            await self._pass_on(fault, request, writer)

    async def _pass_on(self, fault: Fault, request: bytes, writer: asyncio.StreamWriter) -> None:
        place = urlsplit(self.upstream)
        answer, out = await asyncio.open_connection(place.hostname, place.port)
        passed = 0
        try:
            out.write(request)
            while part := await answer.read(16 if fault == "drip" else 65_536):
                if fault == "json":
                    part = part.replace(b'"choices"', b'"choices ')
                if fault == "model":
                    part = re.sub(rb'("model": ?").', rb"\1~", part)  # as long as before, as chunked answers must be
                if fault == "drip":
                    await asyncio.sleep(0.05)
                passed += len(part)
                writer.write(part[: max(0, len(part) - passed + CUT_AFTER)] if fault == "cut" else part)
                await writer.drain()
                if fault == "cut" and passed > CUT_AFTER:
                    return
        finally:
            out.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset, unlike one that ends in order."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
