"""Projections with adapters over them, while the adapters are trained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from peft.tuners.lora import Linear as AdaptedLinear
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

Gradients: TypeAlias = tuple[Tensor | None, None, Tensor, Tensor, None]


def fuse_adapters(model: torch.nn.Module) -> int:
    """Let a PEFT model's adapted projections be summed where they are multiplied; return how many are.

    PEFT writes the frozen product, the adapter's, the scaled one and their sum to memory one after the other, and
    autograd goes back the same way, which takes longer than the adapter's products do. In a step most of the time is
    then the frozen products: they are multiplied in bfloat16 on processors that have it, where the weight is exact in
    it. Adapters, sums, norms, attention and loss stay in float32: a small delta that is added to a rounded activation
    in bfloat16, as autocast would, is partly lost (docs/adr/0003-training-precision.md). Projections with a bias or
    dropout are left to PEFT.
    """
    fused = 0
    for module in model.modules():
        if isinstance(module, AdaptedLinear) and _is_plain(module):
            _fuse(module)
            fused += 1
    return fused


@contextmanager
def onednn_products() -> Iterator[None]:
    """Let oneDNN multiply float32 matrices: on processors that are not Intel's, twice as fast as MKL."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _is_plain(module: AdaptedLinear) -> bool:
    (name,) = module.active_adapters
    without_dropout = isinstance(module.lora_dropout[name], torch.nn.Identity)
    return without_dropout and getattr(module.get_base_layer(), "bias", None) is None


def _fuse(module: AdaptedLinear) -> None:
    (name,) = module.active_adapters
    linear: Any = module.get_base_layer()
    weight: Tensor = linear.weight.detach()
    if torch.cpu._is_avx512_bf16_supported() and bool((weight.bfloat16().float() == weight).all()):
        weight = weight.bfloat16()

    def forward(x: Tensor) -> Tensor:
        a, b = module.lora_A[name].weight, module.lora_B[name].weight
        y: Tensor = _AdaptedProduct.apply(x, weight, a, b, module.scaling[name])  # type: ignore[no-untyped-call]  # torch
        return y

    module.forward = forward  # type: ignore[method-assign]  # the module stays PEFT's


class _AdaptedProduct(Function):
    """``x W^T + s (x A^T) B^T``, with gradients for x, A and B. LoRA: Hu et al., arXiv 2106.09685, eq. 3."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:  # noqa: ANN401 -- torch's own
        rows = x.reshape(-1, x.shape[-1])
        low = torch.mm(rows, a.t()).mul_(scale)
        y = torch.mm(rows.to(weight.dtype), weight.t()).float().addmm_(low, b.t())
        ctx.save_for_backward(rows, low, a, b)
        ctx.weight, ctx.scale = weight, scale
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:  # noqa: ANN401 -- torch's own
        rows, low, a, b = ctx.saved_tensors
        (gradient,) = gradients
        by_row = gradient.reshape(-1, gradient.shape[-1])
        to_low = torch.mm(by_row, b).mul_(ctx.scale)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_rows = torch.mm(by_row.to(ctx.weight.dtype), ctx.weight).float().addmm_(to_low, a)
            to_x = to_rows.view(*gradient.shape[:-1], -1)
        return to_x, None, torch.mm(to_low.t(), rows), torch.mm(by_row.t(), low), None
