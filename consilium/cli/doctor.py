"""consilium doctor: is everything here that a council needs, and does each adapter change what is said."""

import asyncio
import json
import platform
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from consilium.cli.checks import Check
from consilium.cli.consoles import out
from consilium.cli.options import AsJson, Database, Personas, examples, given
from consilium.cli.rendering import clean
from consilium.cli.servers import server_checks
from consilium.errors import BaseUnavailable, ConsiliumError

if TYPE_CHECKING:
    from consilium.members.base import Base
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

DOCTOR_EXAMPLES = examples("doctor", "doctor --no-model --json")
MIN_EFFECT = 0.01
"""Least difference from the base, in nats a token, for an adapter to count as doing anything."""

EXTRAS = {
    "train": "trl",
    "eval": "scikit-learn",
    "plots": "matplotlib",
    "postgres": "psycopg",
    "vllm": "openai",
    "serve": "vllm",
    "ray": "ray",
    "parquet": "pyarrow",
    "inspect": "inspect-ai",
    "lm-eval": "lm-eval",
}
"""A package that each extra brings."""


def doctor(
    database: Database = None,
    personas: Personas = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Do not load the model.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check versions, cache, base model, catalogue, adapters, ledger, and the vLLM servers where the engine is vllm.

    Fetches and changes nothing; exit code 1 on a failure.
    """
    from consilium.settings import Settings

    settings = Settings.load(**given(database=database, personas=personas))
    checks = list(_checks(settings, with_model=not no_model))
    if as_json:
        typer.echo(json.dumps({"checks": [asdict(check) for check in checks]}, ensure_ascii=False))
    else:
        console = out()
        for check in checks:
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.state]
            console.print(f"[{colour}]{check.state:<4}[/{colour}]  {check.name:<22} {escape(clean(check.finding))}")
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)


def _checks(settings: "Settings", *, with_model: bool) -> "Iterator[Check]":
    yield Check(name="python", state="ok", finding=platform.python_version())
    for package in ("torch", "transformers", "peft", "langgraph", "sqlalchemy"):
        yield Check(name=package, state="ok", finding=version(package))
    for extra, package in EXTRAS.items():
        yield _extra(extra, package)
    yield _try("cache", lambda: _cache(settings))
    base, check = _base(settings)
    yield check
    catalogue, check = _catalogue(settings)
    yield check
    if base is not None and catalogue is not None:
        servers = asyncio.run(server_checks(settings, base, catalogue)) if settings.engine == "vllm" else []
        yield from servers
        if with_model and not any(check.state == "fail" for check in servers):
            try:
                yield from asyncio.run(_effects(settings, base, catalogue))
            except ConsiliumError as error:
                yield Check(name="engine", state="fail", finding=str(error))
    yield _try("ledger", lambda: _ledger(settings))


def _try(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name=name, state="ok", finding=look())
    except (ConsiliumError, OSError) as error:
        return Check(name=name, state="fail", finding=str(error))


def _extra(extra: str, package: str) -> Check:
    try:
        return Check(name=f"extra {extra}", state="ok", finding=f"{package} {version(package)}")
    except PackageNotFoundError:
        return Check(name=f"extra {extra}", state="warn", finding=f"absent; pip install 'consilium[{extra}]' if needed")


def _cache(settings: "Settings") -> str:
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=settings.cache_dir):
        return str(settings.cache_dir)


def _base(settings: "Settings") -> "tuple[Base | None, Check]":
    from consilium.members.base import open_base

    try:
        base = open_base(settings.base, cache=settings.cache_dir, fetch=False)
    except BaseUnavailable as error:
        return None, Check(name="base model", state="warn", finding=str(error))
    except ConsiliumError as error:
        return None, Check(name="base model", state="fail", finding=str(error))
    return base, Check(name="base model", state="ok", finding=f"{base.name}, context {base.context_tokens:,} tokens")


def _catalogue(settings: "Settings") -> "tuple[Catalogue | None, Check]":
    from consilium.members.catalogue import Catalogue

    try:
        catalogue = Catalogue.load(settings.personas)
    except ConsiliumError as error:
        return None, Check(name="catalogue", state="fail", finding=str(error))
    adapters = sum(member.adapter is not None for member in catalogue.members.values())
    finding = f"{len(catalogue.members)} members, {adapters} adapters, in {settings.personas}"
    return catalogue, Check(name="catalogue", state="ok", finding=finding)


async def _effects(settings: "Settings", base: "Base", catalogue: "Catalogue") -> list[Check]:
    """Load every adapter and compare it with the base on its own example requests."""
    from consilium.council.parts import open_engine
    from consilium.evaluation.effect import adapter_effect

    checks = []
    async with open_engine(base, catalogue, settings) as engine:
        for member in catalogue.members.values():
            if member.adapter is None:
                continue
            try:
                effect = await adapter_effect(engine, member, catalogue.get(catalogue.fallback))
            except ConsiliumError as error:
                checks.append(Check(name=member.name, state="fail", finding=str(error)))
                continue
            finding = f"{member.content_name} differs from the base by {effect:.3f} nats a token"
            checks.append(Check(name=member.name, state="ok" if effect >= MIN_EFFECT else "fail", finding=finding))
    return checks


def _ledger(settings: "Settings") -> str:
    """Say what is in the ledger. One that is older than this version is not brought up to date, nor a new one made."""
    from consilium.ledger.migrate import HEAD, schema_of
    from consilium.ledger.sql import SqlLedger
    from consilium.settings import without_password

    async def newest() -> str:
        async with SqlLedger(settings.database) as ledger:
            turns = await ledger.turns(limit=1)
        return f"last turn {turns[0].turn.id}" if turns else "no turn yet"

    where, schema = without_password(settings.database), schema_of(settings.database)
    if schema is None:
        return f"{where}, none yet; the first turn makes it"
    if schema != HEAD:
        return f"{where}, schema {schema}; the next turn brings it to {HEAD}"
    return f"{where}, schema {schema}, {asyncio.run(newest())}"
