"""States of messages, each read once: what was read is kept in a folder, so that a killed fit goes on where it was."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from consilium.engines.embedded.states import STATES
from consilium.routing.deep import QUESTION, StateEncoder
from consilium.routing.fitting import FitStep
from consilium.routing.tuning import digest_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_READ_AT_ONCE = 2_048


class KeptStates:
    """Reads messages with an encoder.

    Args:
        encoder: what reads.
        name: of its base, by content.
        folder: where states are kept; without it, in memory alone.
    """

    def __init__(self, encoder: StateEncoder, name: str, folder: Path | None) -> None:
        self._encoder = encoder
        adapted = [digest_of(encoder.adapter)] if encoder.adapter else []
        self._folder = folder and folder / f"states-{_digest([name, encoder.depth, QUESTION, STATES, *adapted])}"
        self._found: dict[str, NDArray[np.float32]] = {}
        for file in sorted(self._folder.glob("*.npz")) if self._folder else ():
            with np.load(file) as part:
                self._found |= dict(zip(part["keys"].tolist(), part["states"], strict=True))

    def __call__(self, messages: Sequence[str], on_step: Callable[[FitStep], None] | None = None) -> "Tensor":
        """Return the states of messages, [messages, states, hidden]; each is read once, however often it is there.

        ``on_step`` is told how far reading is.
        """
        keys = {message: _digest(message) for message in messages}
        missing = [message for message, key in keys.items() if key not in self._found]
        for start in range(0, len(missing), _READ_AT_ONCE):
            part = missing[start : start + _READ_AT_ONCE]
            self._keep([keys[message] for message in part], self._encoder.encode(part).numpy())
            if on_step:
                on_step(FitStep(done=start + len(part), total=len(missing), loss=0.0))
        return torch.from_numpy(np.stack([self._found[keys[message]] for message in messages]))

    def _keep(self, keys: Sequence[str], states: "NDArray[np.float32]") -> None:
        self._found |= dict(zip(keys, states, strict=True))
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
            unfinished = self._folder / f"{keys[0]}.unfinished"
            with unfinished.open("wb") as file:
                np.savez(file, keys=np.array(keys), states=states)
            unfinished.replace(self._folder / f"{_digest(keys)}.npz")


def _digest(what: str | Iterable[object]) -> str:
    text = what if isinstance(what, str) else json.dumps(list(what))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]
