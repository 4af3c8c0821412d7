"""The base model as a router: it is told what the members do, and how likely it finds each name is the score."""

import hashlib

import numpy as np

from consilium.engines.protocol import Continuation, Engine, Message
from consilium.members.catalogue import Catalogue
from consilium.routing.protocol import Decision, Request
from consilium.routing.selection import Selection

_TASK = "Say which of these members should answer the user. Reply with the name alone."


class PromptedRouter:
    """Seats the members whose names the bare base finds the likeliest reply, as many people route today.

    Names are compared by the mean over their tokens, so that long ones are not at a loss. The engine must be running.
    """

    def __init__(self, engine: Engine, catalogue: Catalogue, selection: Selection | None = None) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._selection = selection or Selection()
        members = "\n".join(f"{name}: {member.persona.description}" for name, member in catalogue.members.items())
        self._prompt = f"{_TASK}\n\n{members}"

    def digest(self) -> str:
        """Return the sha256 over the base, the prompt, and how seats are chosen."""
        parts = [self._engine.describe().base, self._prompt, self._selection.identity(self._catalogue)]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    async def route(self, request: Request) -> Decision:
        """Ask the base."""
        messages = (Message(role="system", content=self._prompt), Message(role="user", content=request.message))
        names = list(self._catalogue.members)
        found = await self._engine.likelihood(
            [Continuation(member=self._catalogue.fallback, messages=messages, text=name) for name in names]
        )
        means = np.array([each.log_probability / each.tokens for each in found])
        weights = np.exp(means - means.max())
        scores = dict(zip(names, (weights / weights.sum()).tolist(), strict=True))
        return self._selection.decide(scores, request, self._catalogue, router="prompted", digest=self.digest())
