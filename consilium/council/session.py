"""A conversation with the council."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from typing_extensions import Unpack

from consilium.council.admission import new_id
from consilium.council.events import Event
from consilium.council.options import AskOptions
from consilium.council.turn import Turn

if TYPE_CHECKING:
    from consilium.council.council import Council


class Session:
    """Turns that follow upon each other: each member hears the earlier messages and verdicts.

    Made by `Council.session`. Any number of sessions may run at the same time; the turns of one go one after another.
    """

    def __init__(self, council: "Council", session_id: str | None = None) -> None:
        self._council = council
        self.id = session_id or new_id()
        """Names the session in the ledger; give it to `Council.session` to go on later."""
        self.is_known = session_id is not None
        """Whether the ledger is to know the session already."""

    async def ask(self, message: str, **options: Unpack[AskOptions]) -> Turn:
        """Put a message to the council; options as for `Council.ask`."""
        return await self._council.ask(message, session=self, **options)

    def ask_sync(self, message: str, **options: Unpack[AskOptions]) -> Turn:
        """Put a message to the council, for callers without an event loop."""
        return self._council.ask_sync(message, session=self, **options)

    def stream(self, message: str, **options: Unpack[AskOptions]) -> AsyncIterator[Event]:
        """Yield the events of one turn; options as for `Council.stream`."""
        return self._council.stream(message, session=self, **options)
