"""One row of a batch: a prompt on its way to becoming a statement."""

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeAlias

from consilium.engines.embedded.stops import StopScanner
from consilium.engines.protocol import Delta, Prompt, Spoken
from consilium.errors import ConsiliumError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Piece: TypeAlias = Delta | Spoken | ConsiliumError


class Row:
    """A prompt, the tokens drawn for it so far, and where the pieces of text go.

    The event loop makes it and may set ``cancelled``; all else is done by the worker's thread.
    """

    def __init__(self, prompt: Prompt, adapter: str, token_ids: list[int], emit: Callable[[Piece], object]) -> None:
        self.prompt = prompt
        self.adapter = adapter
        """Content name of the member."""
        self.token_ids = token_ids
        """The rendered prompt."""
        self.drawn: list[int] = []
        """The statement so far, its end token not included."""
        self.known = 0
        """Tokens of prompt and statement whose keys and values are in the row's slot."""
        self.cancelled = False
        self.done = False
        self.failed = False
        """Whether it ended with an error."""
        self._emit = emit
        self._started = time.perf_counter()
        self._first_token_ms = 0.0
        self._said: list[str] = []
        self._stops = StopScanner(prompt.sampling.stop)

    @property
    def over(self) -> bool:
        """Whether nobody waits for its tokens any longer."""
        return self.done or self.cancelled

    @property
    def unread(self) -> int:
        """Tokens of the prompt that are still to be read."""
        return len(self.token_ids) - self.known

    @property
    def most_tokens(self) -> int:
        """Tokens of the prompt and of the longest statement it may get."""
        return len(self.token_ids) + self.prompt.sampling.max_tokens

    def bind(self, tokenizer: "Tokenizer") -> None:
        """Get ready to decode and to draw."""
        import torch
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._decoder = DecodeStream(skip_special_tokens=True)
        self.generator: torch.Generator = torch.Generator().manual_seed(self._seed())

    def _seed(self) -> int:
        """Mix seed, member and prompt, so that two seats of one turn do not draw alike."""
        key = f"{self.prompt.seed}\0{self.prompt.member}\0{self.token_ids}".encode()
        return int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1

    def accept(self, token_id: int, *, is_end: bool) -> None:
        """Take the next token: pass its text on, and finish where it is the last."""
        if not self._first_token_ms:
            self._first_token_ms = self._passed_ms()
        if is_end:
            self._finish("stop")
            return
        self.drawn.append(token_id)
        self._say(self._stops.feed(self._decoder.step(self._tokenizer, token_id) or ""))
        if self._stops.stopped:
            self._finish("stop")
        elif len(self.drawn) >= self.prompt.sampling.max_tokens:
            self._finish("length")

    def fail(self, error: ConsiliumError) -> None:
        """End the row with a typed error, unless it has ended already."""
        if not self.done:
            self.done = self.failed = True
            self._emit(error)

    def _say(self, text: str) -> None:
        if text:
            self._said.append(text)
            self._emit(Delta(text=text))

    def _finish(self, reason: Literal["stop", "length"]) -> None:
        self._say(self._stops.flush())
        self.done = True
        self._emit(
            Spoken(
                text="".join(self._said),
                finish=reason,
                prompt_tokens=len(self.token_ids),
                completion_tokens=len(self.drawn),
                first_token_ms=self._first_token_ms,
                latency_ms=self._passed_ms(),
            )
        )

    def _passed_ms(self) -> float:
        return (time.perf_counter() - self._started) * 1_000
