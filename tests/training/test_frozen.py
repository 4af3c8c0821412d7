"""Frozen projections: the same products, and gradients for what is trained alone."""

import pytest
import torch

from consilium.training.frozen import freeze_projections, onednn_products


class Adapted(torch.nn.Module):
    """A projection with an adapter over it, as PEFT lays them."""

    def __init__(self, *, bias: bool = False, exact: bool = True) -> None:
        super().__init__()
        self.base_layer = torch.nn.Linear(64, 32, bias=bias)
        if exact:
            self.base_layer.weight.data = self.base_layer.weight.data.bfloat16().float()
        self.lora = torch.nn.Linear(64, 32, bias=False)
        self.base_layer.requires_grad_(requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.base_layer(x) + self.lora(x)


@pytest.fixture(autouse=True)
def _processor_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)


def test_products_and_gradients_stay_within_half_of_bfloat16s_step() -> None:
    torch.manual_seed(0)
    plain = Adapted()
    x = torch.randn(5, 64, requires_grad=True)
    expected = plain(x)
    (wanted,) = torch.autograd.grad(expected.square().sum(), x)
    assert freeze_projections(plain) == 1
    found = plain(x)
    (got,) = torch.autograd.grad(found.square().sum(), x, retain_graph=True)
    assert found.dtype is torch.float32
    assert torch.allclose(found, expected, atol=float(expected.detach().abs().max()) * 2**-7)
    assert torch.allclose(got, wanted, atol=float(wanted.abs().max()) * 2**-6)


def test_what_is_trained_learns_and_what_is_frozen_does_not() -> None:
    model = Adapted()
    freeze_projections(model)
    before = model.base_layer.weight.clone()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = model(torch.ones(2, 64)).square().sum()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert torch.equal(model.base_layer.weight, before)


@pytest.mark.parametrize("layer", [{"bias": True}, {"exact": False}])
def test_a_layer_that_would_change_is_left_alone(layer: dict[str, bool]) -> None:
    model = Adapted(**layer)
    assert freeze_projections(model) == 0
    assert isinstance(model.base_layer, torch.nn.Linear)


def test_a_processor_without_bfloat16_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert freeze_projections(Adapted()) == 0


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
