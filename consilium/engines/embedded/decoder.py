"""The base model's forward pass over rows that each speak through an adapter of their own.

transformers can run any batch of any model. Here both are known: a few short rows, a token at a time, on a CPU, where
reading the weights is what a step costs. So projections that share an input are one product, their weights lie in the
order that oneDNN reads fastest, keys and values lie in place, and the rows' adapters are two batched products behind
each projection. Weights and rotary embedding are transformers' own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from consilium.engines.embedded.deltas import GROUPS
from consilium.errors import BaseUnavailable
from consilium.settings import Precision

if TYPE_CHECKING:
    import torch

    from consilium.engines.embedded.deltas import DeltaWindow, Sizes
    from consilium.engines.embedded.keys_values import Window

Loaded: TypeAlias = Any
"""A model of transformers', a part of it or its configuration, whose class depends on the base."""

ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
"""Models of one shape: RMSNorm, rotary positions, grouped queries, gated MLP, full attention."""

UNSTEADY_ROPES = ("dynamic", "longrope")
"""Rotary positions whose frequencies change with the longest row: with them, rows would see each other."""

LOST = 2.0**-25
"""What half precision may change in a weight: half of its smallest step."""

MANY_TOKENS = 16
"""From which on products are rounded where that was asked for: with fewer, reading the weights is what takes time."""


class Projection:
    """``x W^T + b`` for weights W that share their input, side by side."""

    def __init__(self, modules: "Sequence[torch.nn.Linear]", precision: Precision = "float32") -> None:
        import torch

        biases = [module.bias for module in modules if module.bias is not None]
        self._bias = torch.cat([bias.detach() for bias in biases]) if len(biases) == len(modules) else None
        self._weight = torch.cat([module.weight.detach() for module in modules])
        self._rounded = self._weight.bfloat16() if precision == "bfloat16" else None
        self._packed: Any = _halved(self._weight, self._bias)
        if self._packed is not None:
            del self._weight

    def __call__(self, x: "torch.Tensor") -> "torch.Tensor":
        """Return [rows, tokens, outputs] for [rows, tokens, inputs]."""
        import torch

        if self._rounded is not None and x.shape[:-1].numel() >= MANY_TOKENS:
            rounded = torch.nn.functional.linear(x.bfloat16(), self._rounded).float()
            return rounded if self._bias is None else rounded + self._bias
        if self._packed is None:
            return torch.nn.functional.linear(x, self._weight, self._bias)
        product: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self._packed)
        return product


def _halved(weight: "torch.Tensor", bias: "torch.Tensor | None") -> object:
    """Return the weight packed in half precision, where that loses nothing and the processor can; else None.

    FBGEMM widens it while it multiplies, in float32: half the bytes are read for the same product. Weights published in
    bfloat16 have eight significant bits, which half precision holds for all but the smallest, exactly.
    """
    import torch

    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return None
    if float((weight.half().float() - weight).abs().max()) > LOST:
        return None
    return torch.ops.quantized.linear_prepack_fp16(weight, bias)


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder layer's weights."""

    projections: tuple[Projection, ...]
    """As `GROUPS`."""
    attention_norm: "torch.Tensor"
    """[hidden]; RMSNorm before the attention."""
    mlp_norm: "torch.Tensor"
    """[hidden]; RMSNorm before the MLP."""
    query_norm: "torch.Tensor | None"
    """[head size]; RMSNorm of each query (Qwen3)."""
    key_norm: "torch.Tensor | None"
    """[head size]; RMSNorm of each key (Qwen3)."""


class Decoder:
    """A base model, from token ids to logits.

    Args:
        model: one of transformers' `ARCHITECTURES`, in float32. Its weights are taken out of it.
        precision: of products with them.

    Raises:
        BaseUnavailable: a model of another shape.
    """

    def __init__(self, model: Loaded, precision: Precision = "float32") -> None:
        config = model.config
        _check_shape(type(model).__name__, config)
        self._heads: int = config.num_attention_heads
        self.kv_heads: int = config.num_key_value_heads
        self.head_size: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.sizes = _sizes(model.model.layers[0])
        """Inputs and outputs of each projection that an adapter may change."""
        self._eps: float = config.rms_norm_eps
        self._activation = model.model.layers[0].mlp.act_fn
        self._rotary = model.model.rotary_emb
        self._norm = model.model.norm.weight.detach()
        self._table = _smallest(model.model.embed_tokens.weight.detach())
        self._vocabulary = Projection([model.lm_head], precision)
        self._layers = [_taken_over(layer, precision) for layer in model.model.layers]
        self.layers_count = len(self._layers)

    def forward(
        self,
        ids: "torch.Tensor",
        positions: "torch.Tensor",
        kv: "Window",
        deltas: "DeltaWindow | None",
        *,
        last: int = 1,
    ) -> "torch.Tensor":
        """Append tokens to their rows and return the logits after the last of them.

        Args:
            ids: [rows, tokens].
            positions: [rows, tokens], each token's place in its row, from 0.
            kv: keys and values of these rows; those of ``ids`` are added.
            deltas: the rows' adapters; None where no row has one.
            last: how many of the tokens, from the end, logits are wanted for.

        Returns:
            [rows, last, vocabulary].
        """
        return self.logits(self.states(ids, positions, kv, deltas)[:, -last:])

    def logits(self, states: "torch.Tensor") -> "torch.Tensor":
        """Return logits of the next token, [..., vocabulary], after tokens whose `states` are [..., hidden]."""
        from torch.nn.functional import rms_norm

        return self._vocabulary(rms_norm(states, (states.shape[-1],), self._norm, self._eps))

    def states(
        self, ids: "torch.Tensor", positions: "torch.Tensor", kv: "Window", deltas: "DeltaWindow | None"
    ) -> "torch.Tensor":
        """Append tokens to their rows and return what the last layer leaves of them, before it is normalised.

        Arguments as for `forward`. Returns [rows, tokens, hidden].
        """
        from torch.nn.functional import embedding, rms_norm

        rows, tokens = ids.shape
        h = embedding(ids, self._table).float()
        cos, sin = (part[:, :, None] for part in self._rotary(h, positions))
        size = (h.shape[-1],)
        for number, layer in enumerate(self._layers):

            def project(x: "torch.Tensor", group: int, number: int = number, layer: Layer = layer) -> "torch.Tensor":
                y = layer.projections[group](x)
                return y if deltas is None else deltas.add(y, x, group, number)

            x = project(rms_norm(h, size, layer.attention_norm, self._eps), 0)
            x = self._attend(x.view(rows, tokens, -1, self.head_size), layer, cos, sin, kv, number)
            h = h + project(x, 1)
            gate, up = project(rms_norm(h, size, layer.mlp_norm, self._eps), 2).chunk(2, -1)
            h = h + project(self._activation(gate) * up, 3)
        return h

    def _attend(
        self, x: "torch.Tensor", layer: Layer, cos: "torch.Tensor", sin: "torch.Tensor", kv: "Window", number: int
    ) -> "torch.Tensor":
        """Return [rows, tokens, heads * head size] for queries, keys, values: [rows, tokens, all heads, head size]."""
        import torch
        from torch.nn.functional import rms_norm

        size = (self.head_size,)
        turned = x[:, :, : self._heads + self.kv_heads]
        if layer.query_norm is not None and layer.key_norm is not None:
            queries = rms_norm(turned[:, :, : self._heads], size, layer.query_norm, self._eps)
            keys = rms_norm(turned[:, :, self._heads :], size, layer.key_norm, self._eps)
            turned = torch.cat((queries, keys), 2)
        first, second = turned.chunk(2, -1)
        turned = turned * cos + torch.cat((-second, first), -1) * sin
        values = x[:, :, self._heads + self.kv_heads :]
        return kv.attend(number, turned[:, :, : self._heads], turned[:, :, self._heads :], values)


def _check_shape(architecture: str, config: Loaded) -> None:
    if architecture not in ARCHITECTURES:
        raise BaseUnavailable(
            f"the embedded engine cannot run a {architecture}; it runs {', '.join(ARCHITECTURES)}. "
            "Choose a base of that kind, or serve this one with vLLM."
        )
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None) if "layer_types" not in config else None
    if kinds != {"full_attention"} or (window is not None and window < config.max_position_embeddings):
        raise BaseUnavailable(
            "the embedded engine cannot run a base with sliding-window attention. "
            "Choose another, or serve this one with vLLM."
        )
    if (rope := (getattr(config, "rope_parameters", None) or {}).get("rope_type")) in UNSTEADY_ROPES:
        raise BaseUnavailable(
            f"the embedded engine cannot run a base with positions of type {rope!r}: they depend on the longest row of "
            "a batch. Choose another, or serve this one with vLLM."
        )


def _sizes(layer: Loaded) -> "Sizes":
    linears = {name: _linear(layer, name) for group in GROUPS for name in group}
    return {name: (linear.in_features, linear.out_features) for name, linear in linears.items()}


def _linear(layer: Loaded, name: str) -> "torch.nn.Linear":
    linear: torch.nn.Linear = getattr(layer.self_attn if hasattr(layer.self_attn, name) else layer.mlp, name)
    return linear


def _taken_over(layer: Loaded, precision: Precision) -> Layer:
    """Return a layer's weights, and free those that were packed anew."""
    projections = []
    for group in GROUPS:
        linears = [_linear(layer, name) for name in group]
        projections.append(Projection(linears, precision))
        for linear in linears:
            linear.weight = None  # type: ignore[assignment]  # frees it
    norms = [getattr(layer.self_attn, name, None) for name in ("q_norm", "k_norm")]
    return Layer(
        tuple(projections),
        layer.input_layernorm.weight.detach(),
        layer.post_attention_layernorm.weight.detach(),
        *(None if norm is None else norm.weight.detach() for norm in norms),
    )


def _smallest(table: "torch.Tensor") -> "torch.Tensor":
    """Return the table in bfloat16 where that loses nothing: weights mostly were published in it."""
    import torch

    small = table.bfloat16()
    return small if torch.equal(small.float(), table) else table
