"""`Suite`: a file that was read and found sound, with its rows, so that it can be evaluated."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import ValidationError

from consilium.errors import BadScript, BadSuite, UnknownMember
from consilium.members.catalogue import Catalogue
from consilium.scripts.source import Place, Source, read_source
from consilium.settings import Settings
from consilium.suites.cases import Case, CaseReader
from consilium.suites.suite_file import ARMS, BASE, BEST_VOTE, ORACLE, SuiteFile

if TYPE_CHECKING:
    from consilium.council.council import Council
    from consilium.engines.protocol import Engine
    from consilium.members.base import Progress
    from consilium.routing.protocol import Router

EXAMPLES = Path(__file__).parent / "examples"
"""The suites that come with the package, ``NAME.suite.toml``."""
SUFFIX = ".suite.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What is to be compared, and on which rows. Made by `Suite.load`; run by an `Evaluation`.

    ::

        suite = Suite.load("desks")
        evaluation = Evaluation(suite, output="desks")
        async for grade in evaluation.run(suite.open()):
            print(grade.arm, grade.case, grade.score)
        evaluation.to_pandas()
    """

    file: SuiteFile
    path: Path
    catalogue: Catalogue
    cases: tuple[Case, ...]

    @classmethod
    def load(cls, path: Path | str, *, catalogue: Catalogue | None = None) -> Self:
        """Read and check a suite's file and all its rows; nobody is asked, and no model is needed.

        Args:
            path: a ``.toml`` file, or the name of a suite that comes with the package.
            catalogue: the members; the default is what lies at the ``personas`` setting.

        Raises:
            BadSuite: the file or its data cannot be used; the message names the line and what to do about it.
            BadPersona, AdapterRefused: the catalogue cannot be used.
            MissingExtra: a file or a metric needs a package that is not installed.
        """
        path = find_suite(path)
        file, source = read_suite_file(path)

        def fault(place: Place, message: str) -> BadSuite:
            return BadSuite(str(source.fault(place, message)))

        settings = Settings.load()
        catalogue = catalogue or Catalogue.load(settings.personas)
        for place, name in _named(file):
            try:
                catalogue.get(name)
            except UnknownMember as error:
                known = f" Or name one of: {', '.join(ARMS)}." if place[0] == "arms" else ""
                raise fault(place, f"{error}{known}") from error
        seed = settings.seed if file.limits.seed is None else file.limits.seed
        reader = CaseReader(file=file, folder=path.parent, catalogue=catalogue, seed=seed, fault=fault)
        return cls(file=file, path=path, catalogue=catalogue, cases=reader.read())

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.name.removesuffix(".toml").removesuffix(".suite")

    @property
    def members(self) -> tuple[str, ...]:
        """Who may sit."""
        return self.file.members or tuple(self.catalogue.members)

    @property
    def alone(self) -> tuple[str, ...]:
        """Who is heard alone to every row: the arms that are members, and everybody where the best is looked for."""
        arms = self.file.arms
        everybody = self.members if {BEST_VOTE, ORACLE} & set(arms) else ()
        named = [name for name in self.catalogue.members if name in arms]
        return tuple(dict.fromkeys([*everybody, *named, *([self.catalogue.fallback] if BASE in arms else [])]))

    def open(
        self,
        *,
        engine: "Engine | str | None" = None,
        router: "Router | None" = None,
        progress: "Progress | None" = None,
        **settings: object,
    ) -> "Council":
        """Put a council together for this suite, with its members, router, seed and deadline.

        Its turns stay in memory and teach nobody; the seats are not drawn by chance. Arguments and errors as for
        `Council.open`.
        """
        from consilium.council.council import Council
        from consilium.council.parts import named_router
        from consilium.ledger.memory import MemoryLedger

        limits = self.file.limits
        if limits.seed is not None:
            settings["seed"] = limits.seed
        settings |= {"deadline_s": limits.deadline_s, "recover": False, "learning": False, "exploration": 0.0}
        if router is None:
            router = named_router(self.file.council.router, Settings.load(**settings), self.catalogue, progress)
        return Council.open(
            engine=engine,
            router=router,
            ledger=MemoryLedger(),
            catalogue=self.catalogue,
            progress=progress,
            **settings,
        )


def find_suite(path: Path | str) -> Path:
    """Return a suite's file; a name without a suffix may be that of a suite that comes with the package."""
    path = Path(path)
    shipped = EXAMPLES / f"{path.name}{SUFFIX}"
    return shipped if path.name == str(path) and not path.exists() and shipped.is_file() else path


def shipped_suites() -> list[Path]:
    """Return the suites that come with the package."""
    return sorted(EXAMPLES.glob(f"*{SUFFIX}"))


def read_suite_file(path: Path) -> tuple[SuiteFile, Source]:
    """Return what a suite's file holds, and where it stands; members and rows are not yet looked for.

    Raises:
        BadSuite: the file is none of a suite; the message names the line.
    """
    if path.suffix.lower() != ".toml":
        raise BadSuite(f"{path} is no .toml file, which is how suites come. Name such a file, or a shipped suite.")
    try:
        source = read_source(path)
    except BadScript as error:
        raise BadSuite(str(error)) from error
    try:
        return SuiteFile.model_validate(source.data), source
    except ValidationError as error:
        raise BadSuite(str(source.misfit(error, "docs/suites.md"))) from error


def _named(file: SuiteFile) -> Iterator[tuple[Place, str]]:
    """Yield every member that the suite names, with its place."""
    yield from ((("arms", place), arm) for place, arm in enumerate(file.arms) if arm not in ARMS)
    yield from ((("members", place), name) for place, name in enumerate(file.members))
    yield from ((("judges", name, "by"), judge.by) for name, judge in file.judges.items() if judge.by)
