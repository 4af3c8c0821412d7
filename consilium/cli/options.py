"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from consilium.settings import Method

Database: TypeAlias = Annotated[str | None, typer.Option(help="SQLAlchemy URL of the ledger.", show_default=False)]
Personas: TypeAlias = Annotated[Path | None, typer.Option(help="Folder with catalogue.toml.", show_default=False)]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON; the last line of stdout is the answer.")]
Member: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--member", "-m", help="Who sits, in place of whom the router would choose; may be repeated."),
]
Seats: TypeAlias = Annotated[int | None, typer.Option(help="At most this many members sit.", show_default=False)]
MinSeats: TypeAlias = Annotated[int | None, typer.Option(help="At least this many members sit.", show_default=False)]
MustSit: TypeAlias = Annotated[
    list[str] | None, typer.Option(help="A member that sits beside whom the router chooses; may be repeated.")
]
MustNotSit: TypeAlias = Annotated[list[str] | None, typer.Option(help="A member that does not sit; may be repeated.")]
TokenBudget: TypeAlias = Annotated[
    int | None, typer.Option(help="Tokens that the seats may speak together.", show_default=False)
]
HowToConclude: TypeAlias = Annotated[
    Method | None, typer.Option("--method", help="How statements become a verdict.", show_default=False)
]
MaxTokens: TypeAlias = Annotated[int | None, typer.Option(help="Longest statement, in tokens.", show_default=False)]
SessionId: TypeAlias = Annotated[str | None, typer.Option("--session", help="Go on with the session of this id.")]
Deadline: TypeAlias = Annotated[float | None, typer.Option(help="Seconds each seat has.", show_default=False)]


def examples(*commands: str) -> str:
    """Return the last part of a command's help."""
    return "[bold]Examples[/bold]\n\n" + "\n\n".join(f"  consilium {command}" for command in commands)


def given(**options: object) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}
