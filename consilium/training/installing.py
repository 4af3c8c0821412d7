"""Install a trained adapter: check it, put its files in place, and pin it in the persona."""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tomlkit

from consilium.errors import AdapterRefused
from consilium.members.adapter import CONFIG_FILE, WEIGHTS_FILE, Adapter, read_adapter, unpinned_adapter
from consilium.members.catalogue import ADAPTER_FOLDER, PERSONA_FILE
from consilium.members.files import write_whole
from consilium.members.persona import AdapterPin


def install_adapter(trained: Path, root: Path, name: str) -> Adapter:
    """Move the adapter in ``trained`` to the member ``name`` under ``root`` and pin it there.

    Each file appears whole or not at all; a member that is interrupted between adapter and pin is refused by its digest
    until it is installed again.

    Raises:
        AdapterRefused: the files break a rule of `consilium.members.adapter`, hold values that are not finite, or
            change nothing because every B matrix is zero.
    """
    adapter = unpinned_adapter(trained)
    check_weights(adapter)
    config, weights = (trained / CONFIG_FILE).read_bytes(), adapter.read_weights()
    target = root / name / ADAPTER_FOLDER
    fresh = Path(tempfile.mkdtemp(prefix=".adapter-", dir=root / name))
    try:
        for file, content in ((CONFIG_FILE, config), (WEIGHTS_FILE, weights)):
            write_whole(fresh / file, content)
        fresh.chmod(0o755)
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    _pin(root / name / PERSONA_FILE, adapter.pin)
    return read_adapter(target, root=root, pin=adapter.pin)


def check_weights(adapter: Adapter) -> None:
    """Raise `AdapterRefused` unless all values are finite and some B matrix is not zero."""
    import torch
    from safetensors.torch import load

    tensors = load(adapter.read_weights())
    if odd := [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
        raise AdapterRefused(f"{adapter.folder}: {odd[0]!r} holds values that are not finite. Lower the learning rate.")
    if not any(bool(tensor.any()) for name, tensor in tensors.items() if ".lora_B." in name):
        raise AdapterRefused(f"{adapter.folder}: every B matrix is zero, so that it changes nothing. Train it longer.")


def data_digest(places: Sequence[Path]) -> str:
    """Return the sha256 over JSONL files and over those of folders, of each in the order of their names."""
    files = [file for place in places for file in (sorted(place.glob("*.jsonl")) if place.is_dir() else [place])]
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def _pin(persona: Path, pin: AdapterPin) -> None:
    """Write the pin into the persona; its comments and layout stay."""
    document = tomlkit.parse(persona.read_text(encoding="utf-8"))
    table = tomlkit.table()
    table.update({"digest": pin.digest, "base": pin.base})
    document["adapter"] = table
    write_whole(persona, tomlkit.dumps(document).encode())
