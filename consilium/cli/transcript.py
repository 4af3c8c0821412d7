"""A turn as people read it: who sits and why, what each seat says while it says it, and the verdict."""

from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from consilium.cli.rendering import clean
from consilium.council.events import Admitted, Concluded, Decided, Event, Stated, Token
from consilium.council.turn import Turn
from consilium.ledger.entries import DecisionEntry, SeatEntry, StatementEntry

SHOWN_SCORES = 5
"""Of the members that come first; `consilium route` shows all."""


class Transcript:
    """Shows the events of one turn.

    On a terminal the seats' panels fill side by side in time; elsewhere each statement is printed once it is whole.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[int, str] = {}
        self._seats: dict[int, SeatEntry] = {}
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Begin the live part of a terminal."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._live.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        match event:
            case Admitted():
                pass
            case Decided(decision=decision):
                self._console.print(decided(decision))
                self._seats = {seat.number: seat for seat in decision.seats}
            case Token(seat=number, text=text):
                self._said[number] = self._said.get(number, "") + text
            case Stated(seat=seat, statement=statement):
                self._said.pop(seat.number, None)
                self._console.print(stated(seat, statement), soft_wrap=False)
            case Concluded(turn=turn):
                self._console.print(concluded(turn))
        if self._console.is_terminal:
            panels = [self._panel(number, text) for number, text in sorted(self._said.items())]
            self._live.update(Group(*panels), refresh=True)

    def _panel(self, number: int, text: str) -> RenderableType:
        seat = self._seats.get(number)
        return Panel(escape(clean(text)), title=seat.member if seat else "chair", title_align="left", style="dim")


def headed(message: str) -> RenderableType:
    """Return what stands above a turn that is one of several: its message, as it is, whatever looks like markup."""
    return Rule(Text(clean(message)), align="left")


def decided(decision: DecisionEntry) -> RenderableType:
    """Return who sits, and the scores that came first."""
    seats = ", ".join(f"[bold]{seat.member}[/bold] {seat.weight:.2f}" for seat in decision.seats)
    if decision.router == "pinned":  # nobody was chosen, so that the scores explain nothing
        return f"[cyan]seats[/cyan]    {seats}  [dim](pinned)[/dim]"
    ranked = sorted(decision.scores.items(), key=lambda item: -item[1])
    scores = "  ".join(f"{name} {score:.2f}" for name, score in ranked[:SHOWN_SCORES])
    scores += "  …" if len(ranked) > SHOWN_SCORES else ""
    why = "nobody fits; the bare base sits" if decision.abstained else f"{decision.router} router"
    return f"[cyan]seats[/cyan]    {seats}  [dim]({why}; scores: {scores})[/dim]"


def stated(seat: SeatEntry, statement: StatementEntry) -> RenderableType:
    """Return one statement, or the error that stands for it."""
    if statement.error is not None:
        body = f"[red]{statement.error}[/red]: {escape(clean(statement.error_message or ''))}"
        return Panel(body, title=seat.member, title_align="left", border_style="red")
    figures = f"{statement.completion_tokens} tokens, {statement.latency_ms:,.0f} ms"
    title = f"{seat.member} ({seat.role})" if seat.role == "chair" else seat.member
    return Panel(
        escape(clean(statement.text)), title=title, title_align="left", subtitle=figures, subtitle_align="right"
    )


def concluded(turn: Turn) -> RenderableType:
    """Return the verdict, where it comes from, and what the turn took."""
    verdict = turn.verdict
    names = {seat.number: seat.member for seat in turn.seats}
    dissent = ", ".join(names[number] for number in verdict.dissent)
    notes = [f"{verdict.method}, words of {names[verdict.source_seat]}", f"agreement {verdict.agreement:.2f}"]
    notes += [f"dissent: {dissent}"] if dissent else []
    notes += [f"{turn.completion_tokens} tokens", f"{turn.latency_ms:,.0f} ms", f"turn {turn.id}"]
    return f"[green]verdict[/green]  {escape(clean(verdict.text))}\n         [dim]{' · '.join(notes)}[/dim]"
