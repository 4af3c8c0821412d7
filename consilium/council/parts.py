"""What a council is put together from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from consilium.engines.protocol import Engine
from consilium.errors import BadSettings, MissingExtra
from consilium.ledger.entries import MemberEntry
from consilium.ledger.protocol import Ledger
from consilium.members.base import BUILT_IN, Base, Progress, open_base
from consilium.members.catalogue import Catalogue
from consilium.routing.pinned import PinnedRouter
from consilium.routing.protocol import Router
from consilium.routing.selection import Selection
from consilium.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Settings, catalogue, router, engine and ledger of one council."""

    settings: Settings
    catalogue: Catalogue
    router: PinnedRouter
    engine: Engine
    ledger: Ledger
    checkpoints: Path | str | None
    """File or PostgreSQL URL of LangGraph's checkpoints; None keeps none."""

    def member_entries(self) -> list[MemberEntry]:
        """Return every member as the ledger records it before it can sit."""
        base = self.engine.describe().base
        return [
            MemberEntry(
                content_name=member.content_name,
                name=member.name,
                group=member.persona.group,
                adapter_digest=member.adapter.pin.digest if member.adapter else None,
                base=base,
            )
            for member in self.catalogue.members.values()
        ]


def assemble(
    *,
    engine: Engine | str | None,
    router: Router | None,
    ledger: Ledger | None,
    catalogue: Catalogue | None,
    progress: Progress | None,
    settings: Mapping[str, object],
) -> Parts:
    """Build what was not handed over; the base is opened only where something needs it. Raises as `Council.open`."""
    chosen = Settings.load(**settings, engine=engine if isinstance(engine, str) else None)
    if ledger is not None:  # what the surroundings say of the ledger is said of theirs
        ours = {"learning": False, "retain_days": None}
        chosen = chosen.model_copy(update={name: value for name, value in ours.items() if settings.get(name) is None})
    catalogue = catalogue or Catalogue.load(chosen.personas)
    if engine is None or isinstance(engine, str):
        base = open_base(chosen.base, cache=chosen.cache_dir, progress=progress)
        engine = open_engine(base, catalogue, chosen)
    checkpoints: Path | str | None = None
    database = None
    if ledger is None:
        from consilium.ledger.sql import SqlLedger

        ledger, database = SqlLedger(chosen.database), chosen.database
        checkpoints = checkpoints_of(chosen.database)
    if chosen.retain_days is not None and database is None:
        raise BadSettings("retain_days needs a ledger in a database. Name one: database='sqlite:///…'.")
    router = router or _router(chosen, catalogue, progress, database)
    router = _standing_beside(router, chosen, catalogue, ledger, engine, database, progress)
    return Parts(
        settings=chosen,
        catalogue=catalogue,
        router=PinnedRouter(catalogue, router),
        engine=engine,
        ledger=ledger,
        checkpoints=checkpoints,
    )


def open_engine(base: Base, catalogue: Catalogue, settings: Settings) -> Engine:
    """Return the engine that the settings name; it is not started. Raises `MissingExtra`, `UnknownMember`."""
    if settings.engine == "embedded":
        from consilium.engines.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(
            base,
            catalogue,
            capacity=settings.adapters,
            pinned=settings.pinned_members,
            precision=settings.precision,
        )
    try:
        from consilium.engines.vllm.engine import VllmEngine
    except ImportError as error:
        raise MissingExtra("speaking to a vLLM server needs its client: pip install 'consilium[vllm]'") from error
    return VllmEngine(
        base,
        catalogue,
        settings.base_urls,
        key=settings.key,
        seen_at=settings.server_personas,
        capacity=settings.adapters,
        pinned=settings.pinned_members,
        work=settings.cache_dir.absolute() / "adapters",
    )


def selection_of(settings: Settings) -> Selection:
    """Return how scores become seats."""
    return Selection(exploration=settings.exploration, seed=settings.seed)


def named_router(name: str, settings: Settings, catalogue: Catalogue, progress: Progress | None = None) -> Router:
    """Return a router by name: ``live``, ``centroid``, the file of a fitted one, or the digest of one that is kept.

    Raises:
        BadSettings: there is none of that name.
    """
    from consilium.learning.versions import kept_file

    if name == "live":
        return _router(settings, catalogue, progress, settings.database)
    if name == "centroid":
        return _centroid(settings, catalogue, progress)
    file = Path(name)
    if not file.is_file():
        file = kept_file(settings.database, name, settings.cache_dir)
    return _hierarchical(file, settings, catalogue, progress)


def _router(settings: Settings, catalogue: Catalogue, progress: Progress | None, database: str | None) -> Router:
    """Return the router that was promoted, or was fitted for the catalogue; where none was, the nearest centroid."""
    from consilium.ledger.connection import there
    from consilium.routing.router_file import ROUTER_FILE

    file = catalogue.root / ROUTER_FILE
    if database is not None and there(database):
        from consilium.learning.versions import live_file

        file = live_file(database, settings.cache_dir) or file
    if not file.exists():
        return _centroid(settings, catalogue, progress)
    return _hierarchical(file, settings, catalogue, progress)


def _centroid(settings: Settings, catalogue: Catalogue, progress: Progress | None) -> Router:
    from consilium.routing.centroid import CentroidRouter

    base = open_base(settings.base, cache=settings.cache_dir, progress=progress)
    return CentroidRouter(base, catalogue, selection_of(settings))


def _hierarchical(file: Path, settings: Settings, catalogue: Catalogue, progress: Progress | None) -> Router:
    from consilium.routing.hierarchical import HierarchicalRouter
    from consilium.routing.router_file import read_router

    encoder = open_base(BUILT_IN, cache=settings.cache_dir, progress=progress)
    return HierarchicalRouter(read_router(file), encoder, catalogue, selection_of(settings))


def _standing_beside(
    router: Router,
    settings: Settings,
    catalogue: Catalogue,
    ledger: Ledger,
    engine: Engine,
    database: str | None,
    progress: Progress | None,
) -> Router:
    """Let it learn, and let a candidate stand beside it, where the settings say so."""
    if settings.learning:
        from consilium.learning.adaptive import AdaptiveRouter
        from consilium.learning.learner import Learner
        from consilium.learning.memory import Memory

        if database is None or not _kept(database):
            raise BadSettings(
                "learning=True needs a ledger in a file or on a server. Name one: database='sqlite:///…'."
            )
        learner = Learner(catalogue=catalogue, selection=selection_of(settings), credit=settings.credit)
        router = AdaptiveRouter(router, Memory(url=database, ledger=ledger, learner=learner, engine=engine))
    if settings.shadow:
        from consilium.learning.adaptive import ShadowRouter

        router = ShadowRouter(router, named_router(settings.shadow, settings, catalogue, progress))
    return router


def _kept(database: str) -> bool:
    """Say whether others can open the same ledger: it lies in a file or on a server."""
    from consilium.ledger.connection import parsed

    url = parsed(database)
    return url.get_backend_name() != "sqlite" or bool(url.database and url.database != ":memory:")


def checkpoints_of(database: str) -> Path | str | None:
    """Return where a ledger's checkpoints lie: in a file beside it, on the same server, or nowhere as one in memory."""
    from consilium.ledger.connection import parsed

    url = parsed(database)
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql").render_as_string(hide_password=False)
    if not url.database or url.database == ":memory:":
        return None
    file = Path(url.database)
    return file.with_name(f"{file.stem}.checkpoints{file.suffix}")
