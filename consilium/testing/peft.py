"""What the embedded engine must agree with: transformers' model, and PEFT's adapters, each through its own code."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from consilium.members.base import Base
from consilium.members.catalogue import Member

if TYPE_CHECKING:
    import torch

BARE = "__base__"
"""What PEFT calls the base without an adapter, in a batch of mixed adapters."""

_KEPT = ("r", "lora_alpha", "use_rslora", "target_modules", "task_type", "inference_mode")


def peft_model(base: Base, members: Sequence[Member]) -> "torch.nn.Module":
    """Return transformers' model in float32 with the members' adapters, by content name.

    ``generate`` and ``forward`` take ``adapter_names``, the name of an adapter or `BARE` for each row, if there is any
    adapter at all. Members without one are passed over.
    """
    import torch
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict
    from safetensors.torch import load
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    adapters = [(member.content_name, member.adapter) for member in members if member.adapter is not None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers for names that will go
        for name, adapter in adapters:
            config = LoraConfig(**{field: value for field, value in adapter.settings if field in _KEPT})
            if name == adapters[0][0]:
                model = get_peft_model(model, config, adapter_name=name)
            else:
                model.add_adapter(name, config)
            set_peft_model_state_dict(model, load(adapter.read_weights()), adapter_name=name)
    reference: torch.nn.Module = model.eval()
    return reference


def peft_name(member: Member) -> str:
    """Return what `peft_model` calls a member in ``adapter_names``."""
    return BARE if member.adapter is None else member.content_name
