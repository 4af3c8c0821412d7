"""Router versions: fitted routers kept by content in the ledger's database, and which of them is in charge."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, insert, select

from consilium.errors import BadSettings, CacheUnwritable
from consilium.learning.transactions import transact
from consilium.ledger.entries import now
from consilium.ledger.orm import PromotionRow, RouterVersionRow
from consilium.members.files import write_whole
from consilium.routing.router_file import read_router


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A fitted router that was in charge once."""

    digest: str
    """sha256 of its file."""
    added_at: datetime
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A row of the ledger: from then on this router decides."""

    digest: str | None
    """None: the one beside the catalogue, or the nearest centroid."""
    action: str
    promoted_at: datetime


def promote(url: str, router: Path | str) -> Promotion:
    """Put a router in charge: a fitted router's file, or the beginning of the digest of one that is kept.

    Raises:
        BadSettings: no router's file, and the beginning of no digest or of several.
    """
    file = Path(router)
    if not file.is_file():
        return transact(
            url, lambda connection: _promoted(connection, find(connection, str(router)), "promote"), writes=True
        )
    digest = read_router(file).digest  # a file that is no router is refused before anything is written
    content = file.read_bytes()

    def work(connection: Connection) -> Promotion:
        known = select(RouterVersionRow.digest).where(RouterVersionRow.digest == digest)
        if connection.execute(known).first() is None:
            row = {"digest": digest, "content": content, "added_at": now()}
            connection.execute(insert(RouterVersionRow), row)
        return _promoted(connection, digest, "promote")

    return transact(url, work, writes=True)


def rollback(url: str) -> Promotion:
    """Put the router in charge that was before the present one; before the first, that is the catalogue's own.

    Raises:
        BadSettings: no router was ever promoted, or all promotions are rolled back.
    """

    def work(connection: Connection) -> Promotion:
        stack: list[str | None] = [None]
        for promotion in _promotions(connection):
            if promotion.action == "promote":
                stack.append(promotion.digest)
            else:
                stack.pop()
        if len(stack) == 1:
            raise BadSettings("there is no promotion to roll back. `consilium router list` shows them.")
        return _promoted(connection, stack[-2], "rollback")

    return transact(url, work, writes=True)


def history(url: str) -> tuple[list[Version], list[Promotion]]:
    """Return all versions, oldest first, and all promotions in their order."""

    def work(connection: Connection) -> tuple[list[Version], list[Promotion]]:
        promotions = _promotions(connection)
        live = promotions[-1].digest if promotions else None
        query = select(RouterVersionRow.digest, RouterVersionRow.added_at).order_by(RouterVersionRow.added_at)
        rows = connection.execute(query)
        return [Version(digest=r.digest, added_at=r.added_at, live=r.digest == live) for r in rows], promotions

    return transact(url, work)


def live_file(url: str, cache: Path) -> Path | None:
    """Return the file of the router in charge, fetched into ``cache`` by its digest; None where none was promoted."""

    def work(connection: Connection) -> str | None:
        promotions = _promotions(connection)
        return promotions[-1].digest if promotions else None

    digest = transact(url, work)
    return None if digest is None else kept_file(url, digest, cache)


def kept_file(url: str, beginning: str, cache: Path) -> Path:
    """Return the file of a router that is kept, by the beginning of its digest.

    Raises:
        BadSettings: the beginning of no digest or of several.
        CacheUnwritable: the cache directory refuses writes.
    """
    digest = transact(url, lambda connection: find(connection, beginning))
    file = cache / "routers" / f"{digest}.safetensors"
    if not _holds(file, digest):
        content = select(RouterVersionRow.content).where(RouterVersionRow.digest == digest)
        kept = transact(url, lambda connection: connection.execute(content).scalar_one())
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, kept)
        except OSError as error:
            raise CacheUnwritable(
                f"router {digest[:12]} cannot be put into the cache directory {file.parent}: {error.strerror}. "
                "Set CONSILIUM_CACHE_DIR to one that can be written."
            ) from error
    return file


def _holds(file: Path, digest: str) -> bool:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest() == digest
    except OSError:  # not there, or not to be read: it is written anew
        return False


def find(connection: Connection, beginning: str) -> str:
    """Return the one digest that begins so. Raises `BadSettings`."""
    query = select(RouterVersionRow.digest).where(RouterVersionRow.digest.startswith(beginning, autoescape=True))
    found = connection.execute(query).scalars().all()
    if len(found) != 1 or not beginning:
        raise BadSettings(
            f"{beginning!r} is no router's file and begins the digests of {len(found)} kept routers. Name a file, or "
            "one of `consilium router list`."
        )
    return found[0]


def _promotions(connection: Connection) -> list[Promotion]:
    query = select(PromotionRow.digest, PromotionRow.action, PromotionRow.promoted_at).order_by(PromotionRow.number)
    return [Promotion(**row) for row in connection.execute(query).mappings()]


def _promoted(connection: Connection, digest: str | None, action: str) -> Promotion:
    promotion = Promotion(digest=digest, action=action, promoted_at=now())
    row = {"digest": digest, "action": action, "promoted_at": promotion.promoted_at}
    connection.execute(insert(PromotionRow), row)
    return promotion
