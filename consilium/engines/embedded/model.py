"""The base model with its adapters in this process: transformers and PEFT, float32, one mixed batch at a time.

Nothing here is safe to call from two threads: PEFT hooks every layer for the length of a mixed batch. The worker calls.
"""

import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from consilium.engines.embedded.batch import Batch
from consilium.engines.embedded.row import Row
from consilium.engines.protocol import Likelihood
from consilium.errors import AdapterRefused
from consilium.members.adapter import WEIGHTS_FILE, Adapter
from consilium.members.base import Base
from consilium.members.catalogue import Member

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

BARE = "__base__"
"""PEFT's name for a row without an adapter."""

_PREFIX = "base_model.model."
"""What PEFT puts before the base's own module names in a file of weights."""

logger = logging.getLogger(__name__)


class AdaptedModel:
    """A base model, and adapters that were added to it by the content names of their members."""

    def __init__(self, base: Base) -> None:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._base = base
        self._plain: Any = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
        self._adapted: Any = None  # a PeftModel, from the first adapter on; PEFT cannot wrap a model without one
        self._serving: Any = self._plain
        self._loaded: set[str] = set()
        ends = self._plain.generation_config.eos_token_id
        self._end_ids = frozenset([ends] if isinstance(ends, int) else ends)

    def load(self, member: Member) -> None:
        """Add the member's adapter, if it has one and it is not there yet.

        Raises:
            AdapterRefused: it was trained on another base, does not fit it, or holds weights that are not finite.
        """
        adapter, name = member.adapter, member.content_name
        if adapter is None or name in self._loaded:
            return
        if adapter.pin.base != self._base.name:
            raise AdapterRefused(
                f"{member.name!r} was trained on base {adapter.pin.base!r}, this engine serves {self._base.name!r}. "
                "Train the member on this base, or open the council with the other one."
            )
        tensors = _read_tensors(adapter)
        self._check_fits(adapter, tensors)
        self._add(adapter, name, tensors)
        self._loaded.add(name)

    def _check_fits(self, adapter: Adapter, tensors: "dict[str, torch.Tensor]") -> None:
        """Compare the adapter's matrices with the base's modules, both ways and by shape, before any change."""
        settings = adapter.settings
        wanted: dict[str, tuple[int, int]] = {}
        for path, module in self._plain.named_modules():
            if path.rpartition(".")[2] in settings.target_modules and hasattr(module, "in_features"):
                wanted[f"{_PREFIX}{path}.lora_A.weight"] = (settings.r, module.in_features)
                wanted[f"{_PREFIX}{path}.lora_B.weight"] = (module.out_features, settings.r)
        found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        if odd := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
            raise AdapterRefused(
                f"{adapter.folder} does not fit the base {self._base.name!r}: {odd[0]!r} has shape "
                f"{found.get(odd[0])}, the base wants {wanted.get(odd[0])}. Train the member on this base."
            )

    def _add(self, adapter: Adapter, name: str, tensors: "dict[str, torch.Tensor]") -> None:
        from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

        settings = adapter.settings
        config = LoraConfig(
            r=settings.r,
            lora_alpha=settings.lora_alpha,
            use_rslora=settings.use_rslora,
            target_modules=list(settings.target_modules),
            task_type="CAUSAL_LM",
            inference_mode=True,
        )
        # PEFT 0.21 still asks transformers 5.23 for a property by its old name; nobody else's warnings are touched.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        if self._adapted is None:
            # PEFT adds its layers in place: from here on even bare rows must go through it, by name.
            self._adapted = self._serving = get_peft_model(self._plain, config, adapter_name=name).eval()
        else:
            self._adapted.add_adapter(name, config)
        set_peft_model_state_dict(self._adapted, tensors, adapter_name=name)

    def generate(self, rows: Sequence[Row], adapters: Sequence[str], tokenizer: "Tokenizer") -> None:
        """Speak all rows to their ends in one batch; ``adapters`` names one content name, or `BARE`, for each."""
        import torch
        from transformers import LogitsProcessorList, StoppingCriteriaList

        for row in rows:
            row.bind(tokenizer)
        batch = Batch(rows, self._end_ids)
        ids, mask = _left_padded([row.token_ids for row in rows])
        with torch.inference_mode():
            self._serving.generate(
                input_ids=ids,
                attention_mask=mask,
                do_sample=False,
                max_new_tokens=max(row.prompt.sampling.max_tokens for row in rows),
                logits_processor=LogitsProcessorList([batch.draw]),
                stopping_criteria=StoppingCriteriaList([batch.stop]),
                **self._mixed(adapters),
            )

    def likelihoods(
        self, prompts: Sequence[list[int]], continuations: Sequence[list[int]], adapters: Sequence[str]
    ) -> tuple[Likelihood, ...]:
        """Return the likelihood of each continuation after its prompt, in one forward pass; all are token ids."""
        import torch

        ids, mask = _left_padded([[*p, *c] for p, c in zip(prompts, continuations, strict=True)])
        longest = max(map(len, continuations))
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        with torch.inference_mode():
            # Left padding puts all ends in one column, so that one slice of logits serves every row.
            logits = self._serving(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                logits_to_keep=longest + 1,
                **self._mixed(adapters),
            ).logits[:, :-1]
            chosen = logits.log_softmax(-1).gather(-1, ids[:, -longest:, None])[..., 0]
        return tuple(
            Likelihood(log_probability=float(row[longest - len(c) :].sum()), tokens=len(c))
            for row, c in zip(chosen, continuations, strict=True)
        )

    def _mixed(self, adapters: Sequence[str]) -> dict[str, object]:
        return {} if self._adapted is None else {"adapter_names": list(adapters)}


def _read_tensors(adapter: Adapter) -> "dict[str, torch.Tensor]":
    import torch
    from safetensors.torch import load

    tensors = load(adapter.weights)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise AdapterRefused(
                f"{adapter.folder / WEIGHTS_FILE}: tensor {name!r} holds values that are not finite. "
                "Train the member again, with a smaller learning rate."
            )
    return tensors


def _left_padded(sequences: Sequence[list[int]]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return ids and mask, both [rows, longest]; what is padded is masked, so that any id will do for it."""
    import torch

    longest = max(map(len, sequences))
    ids = torch.tensor([[0] * (longest - len(s)) + s for s in sequences])
    mask = torch.tensor([[0] * (longest - len(s)) + [1] * len(s) for s in sequences])
    return ids, mask
