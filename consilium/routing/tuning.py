"""Tune how the base reads for the deep stage: an adapter over its first layers, which is the router's own.

The stage's regressions are fitted on states of the bare base first, and stay as they are while the adapter learns to
put requests where they find them. An encoder that is tuned under a head drawn at random forgets more of what it knew
about requests of another kind (Kumar et al., arXiv 2202.10054).
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from consilium.engines.embedded.deltas import Delta
from consilium.engines.embedded.model import load_plain
from consilium.engines.embedded.states import summed_up
from consilium.errors import BadSettings
from consilium.members.adapter import TARGET_MODULES
from consilium.members.base import Base
from consilium.routing.drawing import Labelled
from consilium.routing.fitting import FitSettings, FitStep

if TYPE_CHECKING:
    from torch import Tensor

    from consilium.routing.deep import DeepPath, StateEncoder

RANK = 8
"""Of the adapter."""
SCALE = 2.0
"""Of what it adds."""
UNTUNED = 0.25
"""Share of the layers, the first ones, that are left as they are: they know least of what is asked, and no gradient has
to go back through them."""
BATCH = 32
"""Requests a step, of long ones fewer."""
BATCH_TOKENS = 2_048
"""Requests of a step times the tokens of its longest."""
MOST_TOKENS = 128
"""Of a request that are read while tuning: half of them from its beginning, half from its end."""
LONGEST_STEP = 1.0
"""To which gradients are cut."""
WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""
_FILE = "tuned."


def tune(
    base: Base,
    encoder: "StateEncoder",
    deep: "DeepPath",
    known: Labelled,
    weights: "Tensor",
    settings: FitSettings,
    *,
    seed: int = 0,
    on_step: Callable[[FitStep], None] | None = None,
) -> Delta:
    """Return an adapter through which the base's states let the deep stage find requests their members.

    Each request is read once.

    Args:
        base: the model.
        encoder: reads requests with the bare base, at the depth that is tuned.
        deep: fitted on what it reads.
        known: the requests.
        weights: what each counts, [requests].
        settings: how to fit.
        seed: of the start and of the order.
        on_step: told about progress.
    """
    from consilium.training.adapted import onednn_products

    rows = [_cut(row) for row in encoder.rows(known.messages)]
    with torch.random.fork_rng(), onednn_products():
        torch.manual_seed(seed)
        model = _adapted(base, encoder.depth)
        learned = [each for each in model.parameters() if each.requires_grad]
        batches = list(_batches(rows))
        optimiser = torch.optim.AdamW(learned, settings.tuning_rate, weight_decay=0.0)
        rates = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.tuning_rate, total_steps=len(batches) + 1, pct_start=WARM_UP
        )
        for done, chosen in enumerate(batches, 1):
            states = _states(model, encoder, [rows[place] for place in chosen])
            found = deep.logits(states).log_softmax(-1)
            lost = -(known.targets[chosen] * found).sum(-1) * weights[chosen]
            optimiser.zero_grad()
            (lost.sum() / BATCH).backward()
            torch.nn.utils.clip_grad_norm_(learned, LONGEST_STEP)
            optimiser.step()
            rates.step()
            if on_step and (done % 20 == 0 or done == len(batches)):
                on_step(FitStep(done=done, total=len(batches), loss=float(lost.detach().mean())))
    return _taken_out(model, encoder.depth)


def tensors_of(adapter: Delta | None) -> "dict[str, Tensor]":
    """Return what a file keeps of an adapter; nothing where there is none."""
    if adapter is None:
        return {}
    sides = {"a": adapter.a, "b": adapter.b}
    return {f"{_FILE}{side}.{name}": part for side, parts in sides.items() for name, part in parts.items()}


def from_tensors(tensors: "Mapping[str, Tensor]", layers: int) -> Delta | None:
    """Return the adapter of so many layers that a file kept; None where it has none.

    Raises:
        BadSettings: a part of it is missing, it is of more or fewer layers, or its matrices do not go together.
    """
    kept = {name: tensor for name, tensor in tensors.items() if name.startswith(_FILE)}
    if not kept:
        return None
    names = {f"{_FILE}{side}.{name}" for side in "ab" for name in TARGET_MODULES}
    sizes = {tuple(tensor.shape[:2]) for tensor in kept.values()}
    if kept.keys() != names or len(sizes) > 1 or {size[0] for size in sizes} != {layers}:
        raise BadSettings(
            f"the router's adapter has {len(kept)} matrices of {sorted(sizes)} layers and ranks, where {len(names)} of "
            f"{layers} layers are wanted. Fit it anew."
        )
    modules: Sequence[str] = TARGET_MODULES
    a, b = ({name: kept[f"{_FILE}{side}.{name}"] for name in modules} for side in "ab")
    return Delta(rank=sizes.pop()[1], scale=SCALE, a=a, b=b)


def digest_of(adapter: Delta | None) -> str:
    """Return the sha256 over an adapter's weights; empty where there is none."""
    if adapter is None:
        return ""
    return hashlib.sha256(save(tensors_of(adapter))).hexdigest()


def _adapted(base: Base, depth: int) -> torch.nn.Module:
    """Return the first layers of a base under an adapter that does nothing yet."""
    from peft import LoraConfig, get_peft_model

    from consilium.training.adapted import fuse_adapters

    plain = load_plain(base)
    plain.model.layers, plain.model.norm = plain.model.layers[:depth], torch.nn.Identity()
    lora = LoraConfig(
        r=RANK,
        lora_alpha=int(SCALE * RANK),
        target_modules=list(TARGET_MODULES),
        layers_to_transform=list(range(int(UNTUNED * depth), depth)),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        model: Any = get_peft_model(plain, lora)
    fuse_adapters(model)
    layers: torch.nn.Module = model.base_model.model.model
    return layers


def _states(model: torch.nn.Module, encoder: "StateEncoder", rows: Sequence[Sequence[int]]) -> "Tensor":
    """Return what `StateEncoder.encode` would of these rows, with gradients, [rows, states, hidden]."""
    from transformers import DynamicCache

    known = DynamicCache()
    model(input_ids=torch.tensor([encoder.prefix]), past_key_values=known, use_cache=True)
    known.batch_repeat_interleave(len(rows))
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows])
    places = torch.arange(len(encoder.prefix) + ids.shape[1])
    found = model(
        input_ids=ids,
        attention_mask=(places < (len(encoder.prefix) + lengths)[:, None]).long(),
        position_ids=places[len(encoder.prefix) :].expand_as(ids),
        past_key_values=known,
        use_cache=True,
    )
    return summed_up(found.last_hidden_state, lengths, encoder.tail)


def _batches(rows: Sequence[Sequence[int]]) -> "Iterator[Tensor]":
    """Yield places of rows of about the same length, in random order."""
    lengths = torch.tensor([len(row) for row in rows])
    order = (lengths * (1 + 0.3 * torch.rand(len(rows)))).argsort()
    cut: list[Tensor] = []
    for part in torch.split(order, BATCH):
        cut += torch.split(part, max(1, BATCH_TOKENS // int(lengths[part].max())))
    for number in torch.randperm(len(cut)).tolist():
        yield cut[number]


def _cut(row: Sequence[int]) -> Sequence[int]:
    return row if len(row) <= MOST_TOKENS else [*row[: MOST_TOKENS // 2], *row[-MOST_TOKENS // 2 :]]


def _taken_out(model: torch.nn.Module, depth: int) -> Delta:
    """Return a model's adapter, in bfloat16, with zeros for the layers that are untuned."""

    def stacked(side: str) -> "dict[str, Tensor]":
        found: dict[str, list[Tensor]] = {}
        for path, tensor in model.state_dict().items():
            name, lora, _ = path.partition(f".lora_{side}.")
            if lora:
                matrix = tensor if side == "A" else tensor.T
                found.setdefault(name.rpartition(".")[2], []).append(matrix.bfloat16())
        whole = {}
        for name, parts in found.items():
            untuned = [torch.zeros_like(parts[0])] * (depth - len(parts))
            whole[name] = torch.stack([*untuned, *parts])
        return whole

    return Delta(rank=RANK, scale=SCALE, a=stacked("A"), b=stacked("B"))
