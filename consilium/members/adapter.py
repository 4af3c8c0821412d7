"""An adapter on disk: what it may consist of, its name by content, and the checks before any tensor is read.

Only ``adapter_config.json`` and ``adapter_model.safetensors`` may lie in the folder. PEFT falls back to a pickle where
no safetensors file is there, hence the check of names comes first, and PEFT itself is never given a path: the bytes
that were checked are the bytes that are loaded.
"""

import hashlib
import json
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consilium.errors import AdapterRefused
from consilium.members.json_text import unique
from consilium.members.persona import MAX_RANK, AdapterPin

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
TargetModule: TypeAlias = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TARGET_MODULES: tuple[TargetModule, ...] = get_args(TargetModule)
MAX_CONFIG_BYTES = 64 * 1024
MAX_HEADER_BYTES = 1024 * 1024
MAX_WEIGHTS_BYTES = 256 * 1024 * 1024
_DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}


class LoraSettings(BaseModel):
    """The part of PEFT's ``adapter_config.json`` that plain LoRA needs; any other key is refused."""

    # strictly: what coerces here may be coerced otherwise by others that read the file
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    peft_type: Literal["LORA"] = "LORA"
    task_type: Literal["CAUSAL_LM"] = "CAUSAL_LM"
    base_model_name_or_path: str
    """Name by content of the base it was trained on, ``slug@sha256[:12]``."""
    r: int = Field(ge=1, le=MAX_RANK)
    """Rank: A is [r, inputs], B is [outputs, r]."""
    lora_alpha: int = Field(ge=1, le=1_024)
    """Numerator of the scale ``alpha / r`` (``alpha / sqrt(r)`` with rsLoRA)."""
    use_rslora: bool = False
    target_modules: tuple[TargetModule, ...]
    bias: Literal["none"] = "none"
    inference_mode: Literal[True] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """An adapter that passed every check short of reading its tensors."""

    folder: Path
    pin: AdapterPin
    settings: LoraSettings
    bytes_on_disk: int
    """Size of the weights."""

    def read_weights(self) -> bytes:
        """Return the safetensors file, which is read anew: a catalogue may hold more adapters than memory does.

        Raises:
            AdapterRefused: the files are no longer those that were checked.
        """
        config = _read(self.folder / CONFIG_FILE, MAX_CONFIG_BYTES)
        weights = _read(self.folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
        _check_digest(config, weights, self.pin, self.folder)
        return weights


def adapter_digest(config: bytes, weights: bytes) -> str:
    """Return the sha256 over configuration and weights, each preceded by its length in eight bytes."""
    digest = hashlib.sha256()
    for part in (config, weights):
        digest.update(struct.pack("<Q", len(part)))
        digest.update(part)
    return digest.hexdigest()


def read_adapter(folder: Path, *, root: Path, pin: AdapterPin) -> Adapter:
    """Check the adapter in ``folder`` and return it with its bytes.

    In this order: the folder's real path lies inside ``root``; it holds the two allowed files and no link; sizes; the
    configuration is plain LoRA for the pinned base; the tensors' header is sane; the digest is the pinned one.

    Raises:
        AdapterRefused: naming the first check that failed.
    """
    _check_files(folder, root)
    config = _read(folder / CONFIG_FILE, MAX_CONFIG_BYTES)
    weights = _read(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    settings = parse_settings(config, where=folder / CONFIG_FILE)
    if settings.base_model_name_or_path != pin.base:
        raise AdapterRefused(
            f"{folder} was trained on base {settings.base_model_name_or_path!r}, its persona names {pin.base!r}. "
            "Train the member again on that base."
        )
    check_header(weights, settings, where=folder / WEIGHTS_FILE)
    _check_digest(config, weights, pin, folder)
    return Adapter(folder=folder, pin=pin, settings=settings, bytes_on_disk=len(weights))


def unpinned_adapter(folder: Path) -> Adapter:
    """Return the adapter that lies in ``folder``, whatever it is; no persona pins it. Raises as `read_adapter`."""
    _check_files(folder, folder)
    config, weights = _read(folder / CONFIG_FILE, MAX_CONFIG_BYTES), _read(folder / WEIGHTS_FILE, MAX_WEIGHTS_BYTES)
    settings = parse_settings(config, where=folder / CONFIG_FILE)
    pin = AdapterPin(digest=adapter_digest(config, weights), base=settings.base_model_name_or_path)
    return read_adapter(folder, root=folder, pin=pin)


def _check_digest(config: bytes, weights: bytes, pin: AdapterPin, folder: Path) -> None:
    if (digest := adapter_digest(config, weights)) != pin.digest:
        raise AdapterRefused(
            f"{folder} has digest {digest[:12]}, its persona pins {pin.digest[:12]}: the files were changed. "
            "Restore them, or train the member again."
        )


def _check_files(folder: Path, root: Path) -> None:
    if not folder.is_dir():
        raise AdapterRefused(f"{folder} is not a folder. Train the member, or remove [adapter] from its persona.")
    if not folder.resolve().is_relative_to(root.resolve()):
        raise AdapterRefused(f"{folder} leads out of {root}. Put the adapter inside that folder.")
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise AdapterRefused(f"{folder} cannot be read: {error.strerror}. Let this user read it.") from error
    if unexpected := [p.name for p in found if p.name not in (CONFIG_FILE, WEIGHTS_FILE)]:
        raise AdapterRefused(
            f"{folder} holds {unexpected[0]!r}; only {CONFIG_FILE} and {WEIGHTS_FILE} may lie there "
            "(pickles and code are never loaded). Remove it, or convert the weights to safetensors."
        )
    if missing := {CONFIG_FILE, WEIGHTS_FILE} - {p.name for p in found}:
        raise AdapterRefused(f"{folder} lacks {min(missing)!r}. Train the member again.")
    for path in found:
        if path.is_symlink() or not path.is_file():
            raise AdapterRefused(f"{path} is not a plain file. Replace it by the file itself.")


def _read(path: Path, limit: int) -> bytes:
    try:
        if (size := path.stat().st_size) > limit:
            raise AdapterRefused(f"{path} has {size:,} bytes; at most {limit:,} are read. Use a smaller rank.")
        return path.read_bytes()
    except OSError as error:
        raise AdapterRefused(
            f"{path} cannot be read: {error.strerror}. Restore it, or train the member again."
        ) from error


def parse_settings(config: bytes, *, where: Path) -> LoraSettings:
    """Parse ``adapter_config.json`` strictly. Raises `AdapterRefused` on any key outside `LoraSettings`."""
    try:
        return LoraSettings.model_validate_json(config)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "file"
        raise AdapterRefused(
            f"{where}: {field}: {fault['msg']} (got {str(fault['input'])[:60]!r}). "
            "Only plain LoRA is served; `consilium train member` writes such a file."
        ) from error


def check_header(weights: bytes, settings: LoraSettings, *, where: Path) -> None:
    """Check a safetensors header against ``settings`` without reading a tensor.

    Each tensor must be a LoRA A or B matrix of an allowed module with the configured rank, in F32, F16 or BF16, and
    the tensors must fill the file exactly, each starting where another ends.

    Raises:
        AdapterRefused: naming the tensor and what is wrong with it.
    """
    header, size = _header(weights, where)
    spans = sorted((*_check_tensor(name, entry, settings, where), name) for name, entry in header.items())
    border = 0
    for start, end, name in spans:
        if start != border:
            raise AdapterRefused(
                f"{where}: tensor {name!r} lies at {start:,} where {border:,} is due: "
                "it overlaps another, or leaves a gap. Restore the file."
            )
        border = end
    if border == 0:
        raise AdapterRefused(f"{where} holds no tensor. Train the member again.")
    if border != size:
        raise AdapterRefused(
            f"{where} is truncated or padded: its tensors end at {border:,} of {size:,} bytes. Restore it."
        )
    pairs = Counter(name.rpartition(".lora_")[0] for name in header)
    if halves := [module for module, count in pairs.items() if count != 2]:
        raise AdapterRefused(f"{where} holds only one of A and B for {halves[0]!r}. Train the member again.")


def _header(weights: bytes, where: Path) -> tuple[dict[str, Any], int]:
    """Return the entry of each tensor, and how many bytes of tensors follow the header."""
    if len(weights) < 8:
        raise AdapterRefused(f"{where} has {len(weights)} bytes and is no safetensors file. Restore it.")
    (length,) = struct.unpack_from("<Q", weights)
    if length > min(MAX_HEADER_BYTES, len(weights) - 8):
        raise AdapterRefused(f"{where} claims a header of {length:,} bytes. Restore the file.")
    if weights[8:9] != b"{":
        raise AdapterRefused(f"{where} has a header that is no table. Restore the file.")
    try:
        header = json.loads(weights[8 : 8 + length].decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise AdapterRefused(f"{where} has an unreadable header: {error}. Restore the file.") from error
    metadata = header.pop("__metadata__", {})
    if not (isinstance(metadata, dict) and all(isinstance(note, str) for note in metadata.values())):
        raise AdapterRefused(f"{where}: __metadata__ is {metadata!r:.60}, not a table of texts. Restore the file.")
    return header, len(weights) - 8 - length


def _check_tensor(name: str, entry: object, settings: LoraSettings, where: Path) -> tuple[int, int]:
    """Return where the tensor's bytes start and end, counted from the end of the header."""
    module, _, matrix = name.removesuffix(".weight").rpartition(".")
    axis = {"lora_A": 0, "lora_B": 1}.get(matrix)
    if axis is None or not name.endswith(".weight") or module.rpartition(".")[2] not in settings.target_modules:
        raise AdapterRefused(f"{where} holds {name[:120]!r}, which is no LoRA matrix of {settings.target_modules}.")
    match entry:
        case {"dtype": str(dtype), "shape": [int(rows), int(columns)], "data_offsets": [int(start), int(end)]} if (
            bool not in map(type, (rows, columns, start, end))
        ):
            size = rows * columns * _DTYPE_BYTES.get(dtype, 0)
        case _:
            raise AdapterRefused(f"{where}: tensor {name!r} has a malformed header entry. Restore the file.")
    if (rows, columns)[axis] != settings.r or size <= 0 or end - start != size:
        raise AdapterRefused(
            f"{where}: tensor {name!r} is {dtype} {[rows, columns]} over {end - start} bytes; "
            f"rank {settings.r} in F32, F16 or BF16 was announced. Restore the file."
        )
    return start, end
