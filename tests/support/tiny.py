"""Tiny random models of every architecture, and members for them: the whole embedded engine in milliseconds.

Weights are drawn wide, so that logits lie far apart and no token hangs on a rounding.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save

from consilium.engines.embedded.model import Model
from consilium.engines.embedded.row import Piece, Row
from consilium.engines.protocol import Prompt, Spoken
from consilium.engines.tokens import Tokens
from consilium.members.adapter import TARGET_MODULES, adapter_digest, read_adapter
from consilium.members.base import Base, open_base
from consilium.members.catalogue import Catalogue, Member
from consilium.members.persona import Persona, SamplingDefaults
from tests.support.adapters import BASE, config_bytes, write_adapter
from tests.support.personas import TRAINING, persona_table

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

WORDS = 300
"""Tokens of the vocabulary, those of the template included."""
SPECIAL = {"eos_token": "<end>", "bos_token": "<start>", "unk_token": "<unknown>"}
"""Numbered from 0; roles come next, then words."""
END, START = 0, 1
CONTEXT = 4_096
ATTENTION, MLP = TARGET_MODULES[:4], TARGET_MODULES[4:]
TEMPLATE = "{% for m in messages %}<start> {{ m['role'] }} {{ m['content'] }} <end>{% endfor %}<start> assistant "


def tiny_config(architecture: str = "LlamaForCausalLM", **changes: object) -> "PreTrainedConfig":
    """Return the configuration of a tiny model; with Qwen2's biases and Qwen3's norms, as their classes have them."""
    import transformers

    settings: dict[str, object] = {
        "vocab_size": WORDS,
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT,
        "eos_token_id": END,
        "bos_token_id": START,
        "pad_token_id": END,
    }
    if architecture == "MistralForCausalLM":
        settings["sliding_window"] = None
    kind = getattr(transformers, architecture.replace("ForCausalLM", "Config"))
    return kind(**{**settings, **changes})


def tiny_model(architecture: str, config: "PreTrainedConfig", published: torch.dtype) -> "PreTrainedModel":
    """Return transformers' model with random float32 weights, rounded to the type they were ``published`` in."""
    import transformers

    generator = torch.Generator().manual_seed(7)
    model = getattr(transformers, architecture)(config).eval()
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        wide = 1 + 0.3 * noise if "norm" in name else noise * (0.5 if parameter.ndim == 1 else 0.2)
        parameter.data = wide.to(published).float()
    return model


def write_tiny_base(
    folder: Path,
    architecture: str = "LlamaForCausalLM",
    *,
    ends: int = 1,
    published: torch.dtype = torch.float32,
    **changes: object,
) -> Base:
    """Write a tiny model with a tokenizer of invented words, and open it; its first ``ends`` tokens end a statement."""
    model = tiny_model(architecture, tiny_config(architecture, **changes), published)
    model.generation_config.eos_token_id = [END, *range(WORDS - ends + 1, WORDS)]
    model.generation_config.pad_token_id = END
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return open_base(str(folder), cache=folder)


def write_base_of_adapters(folder: Path) -> Base:
    """Write a tiny model, and return it under the name of the base that `write_adapter`'s are of."""
    return replace(write_tiny_base(folder), name=BASE)


def tiny_tokenizer() -> "PreTrainedTokenizerFast":
    """Return a tokenizer that knows one word for every token."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL.values(), "system", "user", "assistant"]
    words += [f"w{number}" for number in range(len(words), WORDS)]
    backend = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, SPECIAL["unk_token"]))
    backend.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def tiny_member(
    name: str,
    base: Base,
    *,
    rank: int = 4,
    alpha: int = 8,
    modules: Iterable[str] = TARGET_MODULES,
    rslora: bool = False,
    dtype: torch.dtype = torch.float32,
    spread: float = 0.15,
) -> Member:
    """Return a member whose random adapter, drawn from its name, changes what the base says."""
    model = tiny_model_of(base)
    generator = torch.Generator().manual_seed(int.from_bytes(name.encode()[:6], "little"))
    tensors = {}
    for path, linear in model.named_modules():
        if path.rpartition(".")[2] in modules:
            for side, shape in (("A", (rank, linear.in_features)), ("B", (linear.out_features, rank))):
                drawn = spread * torch.randn(shape, generator=generator)
                tensors[f"base_model.model.{path}.lora_{side}.weight"] = drawn.to(dtype)
    config = config_bytes(
        base_model_name_or_path=base.name,
        r=rank,
        lora_alpha=alpha,
        use_rslora=rslora,
        target_modules=list(modules),
    )
    weights = save(tensors)
    folder = base.path / "adapters" / f"{name}-{adapter_digest(config, weights)[:12]}"
    pin = write_adapter(folder, config=config, weights=weights, base=base.name)
    adapter = read_adapter(folder, root=base.path, pin=pin)
    table = persona_table(name, "crew", training=TRAINING, adapter=pin.model_dump())
    return Member(persona=Persona.model_validate(table), adapter=adapter)


def tiny_model_of(base: Base) -> "PreTrainedModel":
    """Return transformers' own model of a base, in float32."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32).eval()


def bare_member(name: str = "clerk") -> Member:
    """Return a member without an adapter."""
    return Member(persona=Persona.model_validate(persona_table(name, "desk")), adapter=None)


def tiny_crew(base: Base) -> list[Member]:
    """Return members of different ranks, scales and modules, and last the bare base."""
    return [
        tiny_member("pilot", base, rank=2, alpha=4),
        tiny_member("mate", base, rank=8, alpha=8, modules=ATTENTION, rslora=True),
        tiny_member("cook", base, rank=4, alpha=12, modules=("k_proj", "up_proj", "down_proj")),
        tiny_member("smith", base, rank=3, alpha=5, modules=("q_proj", "gate_proj")),
        bare_member(),
    ]


def tiny_catalogue(base: Base, members: Iterable[Member]) -> Catalogue:
    """Return a catalogue of members in memory."""
    by_name = {member.name: member for member in members}
    return Catalogue(root=base.path, members=MappingProxyType(by_name), groups=MappingProxyType({}), fallback="clerk")


def a_prompt(member: str, *, seed: int = 0, **sampling: object) -> Prompt:
    """Return a request for a row whose tokens are given."""
    settings = SamplingDefaults.model_validate({"max_tokens": 8, **sampling})
    return Prompt(member=member, messages=(), sampling=settings, seed=seed)


class Speakers:
    """A model and the rows that speak in it, step by step, without thread and event loop."""

    def __init__(self, base: Base) -> None:
        self.model = Model(base)
        self._tokenizer = Tokens(base).backend

    def add(self, member: Member, ids: list[int], *, seed: int = 0, **sampling: object) -> "Heard":
        """Hand a row to the model."""
        heard = Heard(a_prompt(member.name, seed=seed, **sampling), member.content_name, ids)
        heard.row.bind(self._tokenizer)
        self.model.add(heard.row, member)
        return heard

    def finish(self) -> None:
        """Step until nobody is left."""
        while self.model.rows:
            self.model.step()

    def say(self, member: Member, ids: list[int], *, seed: int = 0, **sampling: object) -> list[int]:
        """Return the tokens of a row that is alone."""
        heard = self.add(member, ids, seed=seed, **sampling)
        self.finish()
        return heard.row.drawn


class Heard:
    """A row and all the pieces it emitted."""

    def __init__(self, prompt: Prompt, adapter: str, ids: list[int]) -> None:
        self.pieces: list[Piece] = []
        self.row = Row(prompt, adapter, ids, self.pieces.append)

    @property
    def spoken(self) -> Spoken:
        """The finished statement."""
        piece = self.pieces[-1]
        assert isinstance(piece, Spoken)
        return piece


def some_ids(count: int, *, seed: int = 0) -> list[int]:
    """Return random token ids of a prompt."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(6, WORDS, (count,), generator=generator).tolist()
