"""What became of one row, and the line that says so in OpenAI's Batch format."""

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from consilium.council.turn import Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One row's answer, or its error."""

    custom_id: str
    model: str
    text: str
    """The verdict; empty where there is an error."""
    error: str | None
    """Class name of the typed error, or None."""
    error_message: str | None
    turn_id: str | None
    """In the ledger; None where the row never got that far."""
    members: tuple[str, ...]
    """Who sat, by seat."""
    method: str | None
    agreement: float | None
    prompt_tokens: int
    completion_tokens: int
    """Of all seats together."""

    @property
    def tokens(self) -> int:
        """All tokens that the row cost."""
        return self.prompt_tokens + self.completion_tokens

    @classmethod
    def of_turn(cls, custom_id: str, model: str, turn: Turn) -> Self:
        """Return the result of a turn that has a verdict."""
        statements = [seat.statement for seat in turn.seats]
        return cls(
            custom_id=custom_id,
            model=model,
            text=turn.verdict.text,
            error=None,
            error_message=None,
            turn_id=turn.id,
            members=tuple(seat.member for seat in turn.seats),
            method=turn.verdict.method,
            agreement=turn.verdict.agreement,
            prompt_tokens=sum(statement.prompt_tokens for statement in statements),
            completion_tokens=turn.completion_tokens,
        )

    @classmethod
    def of_error(cls, custom_id: str, model: str, error: Exception, *, turn_id: str | None = None) -> Self:
        """Return the result of a row that failed."""
        return cls(
            custom_id=custom_id,
            model=model,
            text="",
            error=type(error).__name__,
            error_message=str(error),
            turn_id=turn_id,
            members=(),
            method=None,
            agreement=None,
            prompt_tokens=0,
            completion_tokens=0,
        )

    def line(self) -> bytes:
        """Return the result as one line of a Batch output file; what the format has no place for is ``consilium``."""
        response = None if self.error else {"status_code": 200, "request_id": self.turn_id, "body": self._body()}
        error = {"code": self.error, "message": self.error_message} if self.error else None
        line = {
            "id": f"batch_req_{self.turn_id or self.custom_id}",
            "custom_id": self.custom_id,
            "response": response,
            "error": error,
            "consilium": {
                "model": self.model,
                "turn_id": self.turn_id,
                "members": self.members,
                "method": self.method,
                "agreement": self.agreement,
            },
        }
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Read a line back. Raises `ValueError` or `KeyError` where it is none of a job's."""
        entry: Mapping[str, Any] = json.loads(line)
        body = (entry["response"] or {}).get("body") or {}
        usage = body.get("usage", {"prompt_tokens": 0, "completion_tokens": 0})
        error, own = entry["error"] or {}, entry["consilium"]
        return cls(
            custom_id=entry["custom_id"],
            model=own["model"],
            text=body["choices"][0]["message"]["content"] if body else "",
            error=error.get("code"),
            error_message=error.get("message"),
            turn_id=own["turn_id"],
            members=tuple(own["members"]),
            method=own["method"],
            agreement=own["agreement"],
            prompt_tokens=usage["prompt_tokens"],
            completion_tokens=usage["completion_tokens"],
        )

    def _body(self) -> dict[str, Any]:
        message = {"role": "assistant", "content": self.text}
        return {
            "id": f"chatcmpl-{self.turn_id}",
            "object": "chat.completion",
            "model": self.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": self.prompt_tokens,
                "completion_tokens": self.completion_tokens,
                "total_tokens": self.tokens,
            },
        }

    def _repr_html_(self) -> str:
        said = self.error_message if self.error else self.text
        who = self.error or ", ".join(self.members)
        return f"<b>{html.escape(self.custom_id)}</b> <i>{html.escape(who)}</i><pre>{html.escape(said or '')}</pre>"
