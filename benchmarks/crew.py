"""Members for benchmarks: the trained ones, and as many more as are asked for, made from them by adding noise."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load, save

from consilium.members.adapter import CONFIG_FILE, WEIGHTS_FILE, adapter_digest, read_adapter
from consilium.members.catalogue import Catalogue, Member
from consilium.members.persona import AdapterPin
from consilium.settings import data_folder

_SCRATCH = tempfile.TemporaryDirectory(prefix="consilium-crew-")


def crew(count: int) -> list[Member]:
    """Return ``count`` members with names and adapters of their own."""
    trained = [member for member in Catalogue.load(data_folder("personas")).members.values() if member.adapter]
    return [trained[n] if n < len(trained) else noisy(trained[n % len(trained)], n) for n in range(count)]


def speaking(member: Member, tokens: int) -> Member:
    """Return a member that always speaks ``tokens`` tokens, whatever end it thinks of, in one draft."""
    length = {"min_tokens": tokens, "max_tokens": tokens, "stop": ()}
    sampling = member.persona.sampling.undrafted.model_copy(update=length)
    return replace(member, persona=member.persona.model_copy(update={"sampling": sampling}))


def noisy(member: Member, seed: int) -> Member:
    """Return a member like this one, with another name and other weights."""
    assert member.adapter is not None
    generator = torch.Generator().manual_seed(seed)
    tensors = load(member.adapter.read_weights())
    for name, tensor in tensors.items():
        spread = 0.2 * float(tensor.float().std())
        tensors[name] = (tensor.float() + spread * torch.randn(tensor.shape, generator=generator)).to(tensor.dtype)
    persona = member.persona.model_copy(update={"name": f"{member.name}-{seed}"})
    folder = Path(_SCRATCH.name) / persona.name
    folder.mkdir()
    config, weights = (member.adapter.folder / CONFIG_FILE).read_bytes(), save(tensors)
    (folder / CONFIG_FILE).write_bytes(config)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    pin = AdapterPin(digest=adapter_digest(config, weights), base=member.adapter.pin.base)
    return replace(member, persona=persona, adapter=read_adapter(folder, root=folder, pin=pin))
