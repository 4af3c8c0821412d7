"""Tiny adapters, written byte by byte so that a test can spoil any one of them."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from consilium.members.adapter import CONFIG_FILE, WEIGHTS_FILE, adapter_digest
from consilium.members.persona import AdapterPin

BASE = "smollm2-135m-instruct@b179c9523d0e"
RANK = 4
Q_PROJ = "base_model.model.model.layers.0.self_attn.q_proj"
MODULES: Mapping[str, tuple[int, int]] = {Q_PROJ: (16, 16)}
"""(inputs, outputs) of each adapted module."""

Header = dict[str, object]


def config_bytes(**changes: object) -> bytes:
    """Return a valid ``adapter_config.json``, with ``changes``."""
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": BASE,
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "use_rslora": False,
        "target_modules": ["q_proj"],
        "bias": "none",
        "inference_mode": True,
    }
    return json.dumps({**config, **changes}).encode()


def header_and_body(*, rank: int = RANK, modules: Mapping[str, tuple[int, int]] = MODULES) -> tuple[Header, bytes]:
    """Return the header and the tensors of valid float32 weights, drawn from a fixed seed."""
    draw, header, body = np.random.default_rng(0), dict[str, object](), b""
    for module, (inputs, outputs) in modules.items():
        for matrix, shape in (("lora_A", (rank, inputs)), ("lora_B", (outputs, rank))):
            tensor = draw.normal(0, 0.02, shape).astype("<f4").tobytes()
            header[f"{module}.{matrix}.weight"] = {
                "dtype": "F32",
                "shape": list(shape),
                "data_offsets": [len(body), len(body) + len(tensor)],
            }
            body += tensor
    return header, body


def weights_bytes(header: Mapping[str, object] | bytes, body: bytes) -> bytes:
    """Return a safetensors file; a header given as bytes goes in as it is."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def write_adapter(
    folder: Path, *, config: bytes | None = None, weights: bytes | None = None, base: str = BASE
) -> AdapterPin:
    """Write an adapter, valid unless its bytes are given, and return the pin that fits those bytes."""
    config = config_bytes(base_model_name_or_path=base) if config is None else config
    weights = weights_bytes(*header_and_body()) if weights is None else weights
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_FILE).write_bytes(config)
    (folder / WEIGHTS_FILE).write_bytes(weights)
    return AdapterPin(digest=adapter_digest(config, weights), base=base)
