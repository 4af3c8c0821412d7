"""What is said of vLLM servers, by `consilium doctor` and `consilium engine status`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from consilium.cli.checks import Check

if TYPE_CHECKING:
    from consilium.engines.vllm.inspection import Inspection
    from consilium.members.base import Base
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

TRIED = ("0.32.", "0.33.")
"""Versions of vLLM that this one speaks to as tried."""
MOST_CLOCK_S = 5.0
"""By more may a server's clock not differ: what it logs is read beside the ledger."""


async def server_checks(settings: "Settings", base: "Base", catalogue: "Catalogue") -> list[Check]:
    """Look at every server and judge what it finds against the catalogue and the settings."""
    from consilium.engines.vllm.inspection import inspect
    from consilium.engines.vllm.server import Again, Server
    from consilium.errors import EngineError

    checks: list[Check] = []
    for url in settings.base_urls:
        server = Server(url, settings.key)
        try:
            checks += judged(url, await inspect(server), settings.seats, base, catalogue)
        except (Again, EngineError) as error:
            checks.append(Check(name="server", state="fail", finding=str(error)))
        finally:
            await server.close()
    return checks


def judged(url: str, found: "Inspection", seats: int, base: "Base", catalogue: "Catalogue") -> Iterator[Check]:
    """Yield the checks of one server."""
    tried = found.version.startswith(TRIED)
    version = f"{url}, vLLM {found.version or 'of unknown version'}"
    hint = "" if tried else f"; tried with {' and '.join(each + 'x' for each in TRIED)}"
    yield Check(name="server", state="ok" if tried else "warn", finding=version + hint)
    yield from _adapters(found, seats, catalogue)
    yield _context(found, base)
    yield _paths(found)
    yield _clock(found)
    yield Check(name="server one token", state="ok", finding=f"{found.one_token_ms:.0f} ms")


def _adapters(found: "Inspection", seats: int, catalogue: "Catalogue") -> Iterator[Check]:
    wanted = {member.content_name for member in catalogue.members.values() if member.adapter}
    missing = sorted(wanted - found.served.adapters)
    serves = f"{len(wanted) - len(missing)} of {len(wanted)} adapters"
    if not found.takes_adapters:
        finding = "off (VLLM_ALLOW_RUNTIME_LORA_UPDATING): what it was started with is all it ever serves"
        yield Check(name="server updating", state="fail" if missing else "ok", finding=finding)
    else:
        yield Check(name="server updating", state="ok", finding="on: adapters are loaded when they are needed")
    if missing and not found.takes_adapters:
        finding = f"{serves}; not {', '.join(missing)}. Start it with the catalogue: consilium engine up"
        yield Check(name="server adapters", state="fail", finding=finding)
    else:
        yield Check(name="server adapters", state="ok", finding=serves)
    enough = found.slots is None or found.slots >= min(seats, len(wanted))
    finding = "not told" if found.slots is None else f"--max-loras {found.slots}, for {seats} seats a turn"
    hint = "" if enough else "; seats wait for each other. Start it with as many as there are seats"
    yield Check(name="server slots", state="ok" if enough else "warn", finding=finding + hint)


def _context(found: "Inspection", base: "Base") -> Check:
    tokens = found.served.context_tokens
    if tokens is not None and tokens < base.context_tokens:
        finding = f"{tokens:,} tokens; {base.name} could have {base.context_tokens:,} (--max-model-len)"
        return Check(name="server context", state="warn", finding=finding)
    return Check(name="server context", state="ok", finding="not told" if tokens is None else f"{tokens:,} tokens")


def _paths(found: "Inspection") -> Check:
    if not found.open_paths:
        return Check(name="server paths", state="ok", finding="no administrative path answers without a key")
    finding = (
        f"{', '.join(found.open_paths)} answer without a key. Keep the server on loopback, or behind a proxy that "
        "lets /v1 through alone"
    )
    return Check(name="server paths", state="warn", finding=finding)


def _clock(found: "Inspection") -> Check:
    if found.clock_s is None:
        return Check(name="server clock", state="ok", finding="not told")
    near = abs(found.clock_s) <= MOST_CLOCK_S
    return Check(name="server clock", state="ok" if near else "warn", finding=f"{found.clock_s:+.0f} s of ours")
