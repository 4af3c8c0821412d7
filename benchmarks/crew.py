"""Members for benchmarks: the trained ones, and as many more as are asked for, made from them by adding noise."""

from dataclasses import replace

import torch
from safetensors.torch import load, save

from consilium.members.catalogue import Catalogue, Member
from consilium.settings import data_folder


def crew(count: int) -> list[Member]:
    """Return ``count`` members with names and adapters of their own."""
    trained = [member for member in Catalogue.load(data_folder("personas")).members.values() if member.adapter]
    return [trained[n] if n < len(trained) else noisy(trained[n % len(trained)], n) for n in range(count)]


def noisy(member: Member, seed: int) -> Member:
    """Return a member like this one, with another name and other weights."""
    assert member.adapter is not None
    generator = torch.Generator().manual_seed(seed)
    tensors = load(member.adapter.weights)
    for name, tensor in tensors.items():
        spread = 0.2 * float(tensor.float().std())
        tensors[name] = (tensor.float() + spread * torch.randn(tensor.shape, generator=generator)).to(tensor.dtype)
    pin = member.adapter.pin.model_copy(update={"digest": f"{seed:064x}"})
    persona = member.persona.model_copy(update={"name": f"{member.name}-{seed}"})
    return replace(member, persona=persona, adapter=replace(member.adapter, weights=save(tensors), pin=pin))
