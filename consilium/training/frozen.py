"""The base's own projections while adapters over them are trained: multiplied in bfloat16 where that is faster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def freeze_projections(model: Any) -> int:  # noqa: ANN401 -- PEFT's class depends on the base
    """Let the projections under a PEFT model's adapters multiply in bfloat16; return how many do.

    They are frozen, so that only products with activations and with gradients are needed, and those are most of a
    training step. Adapters, sums, norms, attention and loss stay in float32: a small delta that is added to a rounded
    activation in bfloat16, as autocast would, is partly lost (docs/adr/0003-training-precision.md). Nothing changes on
    a processor without bfloat16 products, or for weights that bfloat16 does not hold exactly.
    """
    import torch

    if not torch.cpu._is_avx512_bf16_supported():
        return 0
    frozen = 0
    for module in list(model.modules()):
        linear = getattr(module, "base_layer", None)
        if isinstance(linear, torch.nn.Linear) and _is_exact(linear):
            module.base_layer = _frozen(linear)
            frozen += 1
    return frozen


@contextmanager
def onednn_products() -> Iterator[None]:
    """Let oneDNN multiply float32 matrices: on processors that are not Intel's, twice as fast as MKL."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _is_exact(linear: Any) -> bool:  # noqa: ANN401 -- torch says that a bias is always there
    weight = linear.weight.detach()
    return linear.bias is None and bool((weight.bfloat16().float() == weight).all())


def _frozen(linear: "torch.nn.Linear") -> "torch.nn.Module":
    import torch

    class Product(torch.autograd.Function):
        """``x W^T``, with a gradient for x alone."""

        @staticmethod
        def forward(ctx: Any, x: "torch.Tensor", weight: "torch.Tensor") -> "torch.Tensor":  # noqa: ANN401 -- torch's own
            ctx.weight = weight
            return (x.bfloat16() @ weight.t()).float()

        @staticmethod
        def backward(ctx: Any, *gradients: "torch.Tensor") -> "tuple[torch.Tensor, None]":  # noqa: ANN401 -- torch's own
            return (gradients[0].bfloat16() @ ctx.weight).float(), None

    class Frozen(torch.nn.Module):
        """A linear layer whose weight cannot be trained."""

        def __init__(self) -> None:
            super().__init__()
            self.in_features, self.out_features = linear.in_features, linear.out_features
            self.register_buffer("weight", linear.weight.detach().bfloat16(), persistent=False)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            product: torch.Tensor = Product.apply(x, self.weight)  # type: ignore[no-untyped-call]
            return product

    return Frozen()
