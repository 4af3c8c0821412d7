"""The base model's tokenizer and chat template."""

import threading
from collections.abc import Sequence
from typing import Any

from consilium.engines.protocol import Message
from consilium.members.base import Base


class Tokens:
    """Renders messages and encodes text; loaded at first use, safe to call from any thread."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._loaded: Any = None

    @property
    def tokenizer(self) -> Any:  # noqa: ANN401 -- transformers types tokenizers loosely
        """Transformers' tokenizer."""
        with self._lock:
            if self._loaded is None:
                from transformers import AutoTokenizer

                self._loaded = AutoTokenizer.from_pretrained(self._base.path)
            return self._loaded

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of the messages, up to where the assistant's reply begins."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return self.text(self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def reply(self, text: str) -> list[int]:
        """Return the token ids of a reply with the token that ends it."""
        return [*self.text(text), self.tokenizer.eos_token_id]

    def text(self, text: str) -> list[int]:
        """Return the token ids of plain text."""
        # The backend is called directly: transformers' own call sets padding and truncation on it, which is not
        # safe while another thread encodes.
        ids: list[int] = self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return ids
