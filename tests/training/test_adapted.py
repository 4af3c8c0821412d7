"""Adapted projections: PEFT's own sums and gradients, to float32's rounding or bfloat16's."""

from collections.abc import Callable

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from consilium.training.adapted import fuse_adapters, onednn_products

BFLOAT16, FLOAT32 = 2**-6, 1e-5


class Layers(torch.nn.Module):
    """Two projections, the second of what the first gives."""

    def __init__(self, *, bias: bool, exact: bool) -> None:
        super().__init__()
        self.up, self.down = torch.nn.Linear(64, 96, bias=bias), torch.nn.Linear(96, 32, bias=bias)
        if exact:
            for linear in (self.up, self.down):
                linear.weight.data = linear.weight.data.bfloat16().float()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.nn.functional.silu(self.up(x)))


def adapted(*, bias: bool = False, exact: bool = True, dropout: float = 0.0) -> PeftModel:
    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=["up", "down"], init_lora_weights=False)
    return get_peft_model(Layers(bias=bias, exact=exact), config)


def results(model: PeftModel) -> list[torch.Tensor]:
    """Return what a model says of some input, and the gradients for the input and for all that is trained."""
    x = torch.linspace(-1, 1, 2 * 5 * 64).reshape(2, 5, 64).requires_grad_()
    said = model(x)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [said, *torch.autograd.grad(said.square().sum(), [x, *trained])]


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """A processor with bfloat16 products or without; what they may round."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: request.param)
    return BFLOAT16 if request.param else FLOAT32


def test_sums_and_gradients_are_pefts_own(processor: float) -> None:
    wanted = results(adapted())
    model = adapted()
    assert fuse_adapters(model) == 2
    found = results(model)
    assert len(found) == 2 + 4
    for one, other in zip(found, wanted, strict=True):
        assert one.dtype is torch.float32
        assert torch.allclose(one, other, atol=float(other.detach().abs().max()) * processor)


@pytest.mark.usefixtures("processor")
def test_a_weight_that_bfloat16_does_not_hold_is_not_rounded() -> None:
    wanted, model = results(adapted(exact=False)), adapted(exact=False)
    assert fuse_adapters(model) == 2
    for one, other in zip(results(model), wanted, strict=True):
        assert torch.allclose(one, other, atol=float(other.detach().abs().max()) * FLOAT32)


@pytest.mark.parametrize("unlike", [lambda: adapted(bias=True), lambda: adapted(dropout=0.1)])
def test_what_is_summed_otherwise_is_left_to_peft(unlike: Callable[[], PeftModel]) -> None:
    assert fuse_adapters(unlike()) == 0


def test_what_is_trained_learns_and_what_is_frozen_does_not() -> None:
    model = adapted()
    fuse_adapters(model)
    frozen = [parameter.clone() for parameter in model.parameters() if not parameter.requires_grad]
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = model(torch.ones(2, 64)).square().sum()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    after = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    assert all(torch.equal(one, other) for one, other in zip(frozen, after, strict=True))


def test_the_choice_of_kernels_ends_with_the_training() -> None:
    before = torch.get_float32_matmul_precision()
    chosen = []

    def cut_off() -> None:
        with onednn_products():
            chosen.append(torch.get_float32_matmul_precision())
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError, match="cut off"):
        cut_off()
    assert (chosen, torch.get_float32_matmul_precision()) == (["medium"], before)
