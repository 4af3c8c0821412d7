"""The base model's tokenizer and chat template."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from consilium.engines.protocol import Message
from consilium.errors import BadMessage
from consilium.members.base import Base
from consilium.threads import loading

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Tokens:
    """Renders messages and encodes text; loaded at first use, safe to call from any thread."""

    def __init__(self, base: Base) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._loaded: Any = None  # transformers' tokenizer, whose class depends on the base

    @property
    def backend(self) -> "Tokenizer":
        """The tokenizer proper.

        Text is encoded by it directly: transformers' own call sets padding and truncation on it, which is not safe
        while another thread encodes.
        """
        self._load()
        backend: Tokenizer = self._loaded.backend_tokenizer
        return backend

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the token ids of the messages, up to where the assistant's reply begins.

        Raises:
            BadMessage: there are no messages.
        """
        if not messages:
            raise BadMessage("messages=(): a member answers at least one message. Give it one.")
        self._load()
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return self._encode(self._loaded.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))

    def reply(self, text: str) -> list[int]:
        """Return the token ids of a reply with the token that ends it."""
        self._load()
        return [*self._encode(text), self._loaded.eos_token_id]

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self.backend.encode(text, add_special_tokens=False).ids
        return ids

    def _load(self) -> None:
        with self._lock:
            if self._loaded is None:
                with loading:
                    from transformers import AutoTokenizer

                    self._loaded = AutoTokenizer.from_pretrained(self._base.path)
