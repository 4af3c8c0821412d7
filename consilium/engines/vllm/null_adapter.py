"""An adapter that changes nothing: under its name the bare base is heard where adapters share a batch with it.

vLLM 0.32 on a CPU gives rows without an adapter that of its last slot (``lora/ops/torch_ops``: index -1), so that the
bare base answers as whatever member lies there. A row with this one is the base, on a CPU as on a GPU.
"""

import json
from pathlib import Path

from consilium.errors import BaseUnavailable
from consilium.members.adapter import CONFIG_FILE, WEIGHTS_FILE, adapter_digest
from consilium.members.base import Base
from consilium.members.files import write_whole

MODULE = "model.layers.0.self_attn.q_proj"
_SLUG = "nobody"


def null_adapter(base: Base) -> tuple[str, dict[str, bytes]]:
    """Return its name by content and its files.

    Raises:
        BaseUnavailable: the base has no module of that name.
    """
    import torch
    from safetensors.torch import save

    outputs, inputs = _shape(base.path)
    prefix = f"base_model.model.{MODULE}"
    weights = save(
        {f"{prefix}.lora_A.weight": torch.zeros(1, inputs), f"{prefix}.lora_B.weight": torch.zeros(outputs, 1)}
    )
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.name,
        "r": 1,
        "lora_alpha": 1,
        "target_modules": [MODULE.rpartition(".")[2]],
        "bias": "none",
        "inference_mode": True,
    }
    config = json.dumps(settings, sort_keys=True).encode()
    name = f"{_SLUG}@{adapter_digest(config, weights)[:12]}"
    return name, {CONFIG_FILE: config, WEIGHTS_FILE: weights}


def write_null_adapter(base: Base, folder: Path) -> tuple[str, Path]:
    """Write it into a folder of its name below ``folder``, and return name and folder. Raises as `null_adapter`.

    A server may be reading it from memory that the file is mapped to: cut short there, it would take the server down.
    """
    name, files = null_adapter(base)
    own = folder / name
    own.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        write_whole(own / file, content)
    return name, own


def _shape(path: Path) -> tuple[int, int]:
    from safetensors import safe_open

    for file in sorted(path.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            if f"{MODULE}.weight" in set(tensors.keys()):
                outputs, inputs = tensors.get_slice(f"{MODULE}.weight").get_shape()
                return outputs, inputs
    raise BaseUnavailable(f"{path} has no {MODULE}: members of such a base cannot be served by vLLM here.")
