"""`Script`: a file that was read and found sound, so that it can be played."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from consilium.errors import BadScript
from consilium.members.catalogue import Catalogue
from consilium.scripts.rows import Row, read_rows, written
from consilium.scripts.script_file import ScriptFile
from consilium.scripts.soundness import check_members, check_script
from consilium.scripts.source import Source, read_source
from consilium.scripts.steps import Step, steps_of
from consilium.scripts.template import resolved

if TYPE_CHECKING:
    from consilium.council.council import Council
    from consilium.engines.protocol import Engine
    from consilium.ledger.protocol import Ledger
    from consilium.members.base import Progress
    from consilium.routing.protocol import Router
    from consilium.scripts.play import Play, PlayEvent

EXAMPLES = Path(__file__).parent / "examples"
"""The scripts that come with the package, ``NAME.play.toml``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A play for the council that is also a test: who may sit, what is said, and what must hold.

    Made by `Script.read`; played with `play`, `stream` or `play_sync`.
    """

    file: ScriptFile
    source: Source
    variables: Mapping[str, str]
    """With those that stand in each other filled in."""
    rows: Mapping[str, tuple[Row, ...]]

    @classmethod
    def read(cls, path: Path | str, *, variables: Mapping[str, str] | None = None) -> Self:
        """Read and check a script's file; nothing is played, and no model is needed.

        Args:
            path: a ``.toml`` or ``.yaml`` file, or the name of a script that comes with the package.
            variables: replace those of the file.

        Raises:
            BadScript: the file is no sound script; the message names the line and what to do about it.
        """
        path = find_script(path)
        source = read_source(path)
        try:
            file = ScriptFile.model_validate(source.data)
        except ValidationError as error:
            raise source.misfit(error, "docs/scripts.md") from error
        given = dict(variables or {})
        if unknown := given.keys() - file.variables.keys():
            raise BadScript(f"{path} has no variable {min(unknown)!r}. It has: {', '.join(file.variables) or 'none'}.")
        rows = {name: _rows(source, name, file) for name in file.rows}
        script = cls(file=file, source=source, variables=_variables(source, file, given), rows=rows)
        check_script(script)
        return script

    @property
    def folder(self) -> Path:
        """Where the files lie that the script names."""
        return self.source.path.parent

    def member(self, name: str) -> str:
        """Return the member that a role stands for, or the name itself."""
        return self.file.cast.roles.get(name, name)

    def steps(self) -> list[Step]:
        """Return every turn that will be played, loops unrolled."""
        return list(steps_of(self))

    def catalogue(self, personas: Path) -> Catalogue:
        """Return the catalogue with the script's characters in it, in memory only.

        Raises:
            BadPersona, AdapterRefused: the catalogue or a card cannot be used.
            BadScript: the script names somebody who is not there.
        """
        from consilium.scripts.cast import with_cards

        catalogue = with_cards(self, Catalogue.load(personas))
        check_members(self, catalogue)
        return catalogue

    def open(
        self,
        *,
        engine: "Engine | str | None" = None,
        router: "Router | None" = None,
        ledger: "Ledger | None" = None,
        progress: "Progress | None" = None,
        **settings: object,
    ) -> "Council":
        """Put a council together for this script, with its characters, seed and deadline.

        Arguments as for `Council.open`; what the script says itself stands. Raises as that and `catalogue`.
        """
        from consilium.council.council import Council
        from consilium.settings import Settings

        limits = self.file.limits
        own = {"seed": limits.seed, "deadline_s": limits.deadline_s}
        settings |= {name: value for name, value in own.items() if value is not None}
        return Council.open(
            engine=engine,
            router=router,
            ledger=ledger,
            catalogue=self.catalogue(Settings.load(**settings).personas),
            progress=progress,
            **settings,
        )

    def stream(self, council: "Council") -> "AsyncIterator[PlayEvent]":
        """Yield what happens while the script is played; the last event holds the `Play`.

        Args:
            council: see `open`. Of another one, seed and deadline have to be those that the script asks for.

        Raises:
            BadScript: the council lacks a member, or has another seed or deadline; nothing was played.
        """
        from consilium.scripts.playing import playing

        return playing(self, council)

    async def play(self, council: "Council") -> "Play":
        """Play the script and return what came of it; arguments and errors as for `stream`."""
        from consilium.scripts.playing import ended

        return await ended(self.stream(council))

    def play_sync(self, council: "Council") -> "Play":
        """`play` for callers without an event loop."""
        return council._sync(self.play(council))


def find_script(path: Path | str) -> Path:
    """Return a script's file; a name without a suffix may be that of a script that comes with the package."""
    path = Path(path)
    shipped = EXAMPLES / f"{path.name}.play.toml"
    return shipped if path.name == str(path) and not path.exists() and shipped.is_file() else path


def shipped_scripts() -> list[Path]:
    """Return the scripts that come with the package."""
    return sorted(EXAMPLES.glob("*.play.toml"))


def _variables(source: Source, file: ScriptFile, given: Mapping[str, str]) -> dict[str, str]:
    texts = {name: given.get(name, written(value)) for name, value in file.variables.items()}
    try:
        return resolved(texts)
    except CycleError as error:
        way = error.args[1]
        raise source.fault(
            ("variables", way[0]), f"goes round in a circle: {' -> '.join(way)}. Break it somewhere."
        ) from error
    except KeyError as error:
        name, other = error.args
        raise source.fault(
            ("variables", name), f"{{{other}}} is no variable. Write {{{{{other}}}}} where braces are meant."
        ) from error


def _rows(source: Source, name: str, file: ScriptFile) -> tuple[Row, ...]:
    try:
        return read_rows(file.rows[name], source.path.parent)
    except BadScript as error:
        raise source.fault(("rows", name), str(error)) from error
