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
    checkpoints: Path | None
    """File of LangGraph's checkpoints; None keeps them in memory."""

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
    progress: Progress | None,
    settings: Mapping[str, object],
) -> Parts:
    """Build what was not handed over; the base is opened only where something needs it. Raises as `Council.open`."""
    chosen = Settings.load(**settings, engine=engine if isinstance(engine, str) else None)
    catalogue = Catalogue.load(chosen.personas)
    if engine is None or isinstance(engine, str):
        base = open_base(chosen.base, cache=chosen.cache_dir, progress=progress)
        engine = open_engine(base, catalogue, chosen)
    router = router or _router(chosen, catalogue, progress)
    checkpoints = None
    if ledger is None:
        from consilium.ledger.sql import SqlLedger

        ledger = SqlLedger(chosen.database)
        checkpoints = _beside(chosen.database)
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

        return EmbeddedEngine(base, catalogue, capacity=settings.adapters, pinned=settings.pinned_members)
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


def _router(settings: Settings, catalogue: Catalogue, progress: Progress | None) -> Router:
    """Return the router that was fitted for the catalogue; where none was, the nearest centroid."""
    from consilium.routing.router_file import ROUTER_FILE, read_router

    file = catalogue.root / ROUTER_FILE
    selection = Selection(exploration=settings.exploration, seed=settings.seed)
    if not file.exists():
        from consilium.routing.centroid import CentroidRouter

        base = open_base(settings.base, cache=settings.cache_dir, progress=progress)
        return CentroidRouter(base, catalogue, selection)
    from consilium.routing.hierarchical import HierarchicalRouter

    encoder = open_base(BUILT_IN, cache=settings.cache_dir, progress=progress)
    return HierarchicalRouter(read_router(file), encoder, catalogue, selection)


def _beside(database: str) -> Path | None:
    """Return the checkpoints' file beside a SQLite ledger; None where the ledger is in memory or on a server."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(database)
    except ArgumentError as error:
        raise BadSettings(f"database={database!r} is no SQLAlchemy URL. Write e.g. 'sqlite:///council.db'.") from error
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    file = Path(url.database)
    return file.with_name(f"{file.stem}.checkpoints{file.suffix}")
