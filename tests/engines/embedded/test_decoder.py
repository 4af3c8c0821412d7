"""The decoder's logits are those of transformers' own forward, on the same weights."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from consilium.engines.embedded.decoder import ARCHITECTURES, MANY_TOKENS, Decoder
from consilium.engines.embedded.keys_values import KeysValues
from consilium.engines.embedded.model import Model, Scored
from consilium.errors import BaseUnavailable
from tests.support.tiny import WORDS, some_ids, tiny_config, tiny_member, tiny_model, write_tiny_base

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CLOSE = 1e-4
SHAPES: dict[str, dict[str, object]] = {
    "grouped queries": {},
    "as many keys as queries": {"num_key_value_heads": 6},
    "one key for all": {"num_key_value_heads": 1, "num_hidden_layers": 3},
    "heads wider than their share": {"head_dim": 16},
    "tied": {"tie_word_embeddings": True},
}


def twins(architecture: str, published: torch.dtype, **changes: object) -> tuple["PreTrainedModel", Decoder]:
    """Return transformers' model and a decoder with the same weights."""
    config = tiny_config(architecture, **changes)
    with torch.inference_mode():
        return tiny_model(architecture, config, published), Decoder(tiny_model(architecture, config, published))


def expected(model: "PreTrainedModel", ids: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=ids).logits
    assert float(logits.std()) > 0.3  # the comparison would hold for any model whose logits are all alike
    return logits


def forward(decoder: Decoder, ids: torch.Tensor, *, pace: int) -> torch.Tensor:
    """Return the logits of all tokens, read ``pace`` at a time."""
    kv = KeysValues(decoder.layers_count, decoder.kv_heads, decoder.head_size)
    rows, tokens = ids.shape
    kv.reserve(rows, tokens, used=0, most=rows * tokens)
    found = []
    with torch.inference_mode():
        for start in range(0, tokens, pace):
            piece = ids[:, start : start + pace]
            positions = torch.arange(start, start + piece.shape[1]).expand(rows, -1)
            window = kv.window(slice(0, rows), positions)
            found.append(decoder.forward(piece, positions, window, None, last=piece.shape[1]))
    return torch.cat(found, 1)


def some_rows(rows: int, tokens: int = 13) -> torch.Tensor:
    return torch.randint(0, WORDS, (rows, tokens), generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("published", [torch.bfloat16, torch.float32], ids=["halved", "float32"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_logits_are_transformers_own(architecture: str, published: torch.dtype, rows: int) -> None:
    model, decoder = twins(architecture, published)
    ids = some_rows(rows)
    wanted = expected(model, ids)
    for pace in (ids.shape[1], 5, 1):
        torch.testing.assert_close(forward(decoder, ids, pace=pace), wanted, rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_heads_and_tables_may_be_shared(architecture: str, shape: str) -> None:
    model, decoder = twins(architecture, torch.bfloat16, **SHAPES[shape])
    ids = some_rows(2)
    for pace in (ids.shape[1], 1):
        torch.testing.assert_close(forward(decoder, ids, pace=pace), expected(model, ids), rtol=CLOSE, atol=CLOSE)


def test_biases_of_every_projection_count() -> None:
    model, decoder = twins("LlamaForCausalLM", torch.bfloat16, attention_bias=True, mlp_bias=True)
    ids = some_rows(2)
    torch.testing.assert_close(forward(decoder, ids, pace=4), expected(model, ids), rtol=CLOSE, atol=CLOSE)


def test_stretched_positions_are_transformers_own() -> None:
    ropes = [
        {"rope_type": "linear", "factor": 4.0, "rope_theta": 10_000.0},
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "rope_theta": 10_000.0,
         "original_max_position_embeddings": 64},
        {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10_000.0, "original_max_position_embeddings": 64},
    ]  # fmt: skip
    for rope in ropes:
        model, decoder = twins("LlamaForCausalLM", torch.bfloat16, rope_parameters=rope)
        ids = some_rows(2, 90)
        torch.testing.assert_close(forward(decoder, ids, pace=40), expected(model, ids), rtol=CLOSE, atol=CLOSE)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_positions_that_depend_on_the_longest_row_are_refused(kind: str) -> None:
    """Such a base turns the keys of every row by how long the longest one is: rows would see each other."""
    rope: dict[str, object] = {"rope_type": kind, "factor": 4.0, "rope_theta": 10_000.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "original_max_position_embeddings": 64}
    with pytest.raises(BaseUnavailable, match=kind):
        twins("LlamaForCausalLM", torch.float32, rope_parameters=rope)


def test_half_precision_is_kept_only_where_it_loses_nothing() -> None:
    """A weight that half precision rounds would move logits by far more than the tolerance allows."""
    model, decoder = twins("LlamaForCausalLM", torch.float32)
    ids = some_rows(1)
    rounded = tiny_model("LlamaForCausalLM", model.config, torch.float16)
    with torch.inference_mode():
        moved = (rounded(input_ids=ids).logits - expected(model, ids)).abs().max()
    assert moved > 5 * CLOSE
    torch.testing.assert_close(forward(decoder, ids, pace=13), expected(model, ids), rtol=CLOSE, atol=CLOSE)


def test_weights_published_in_bfloat16_are_read_in_half_precision() -> None:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this processor has no product of half precision")
    for published in (torch.bfloat16, torch.float32):
        _, decoder = twins("LlamaForCausalLM", published)
        projections = [projection for layer in decoder._layers for projection in layer.projections]
        assert [projection._packed is None for projection in projections] == [published == torch.float32] * 8


@pytest.mark.parametrize("architecture", ["GPT2LMHeadModel", "GemmaForCausalLM"])
def test_models_of_another_shape_are_refused(tmp_path: Path, architecture: str) -> None:
    import transformers

    name = architecture.replace("ForCausalLM", "").replace("LMHeadModel", "")
    sizes = {"n_embd": 16, "n_layer": 1, "n_head": 2} if name == "GPT2" else {"hidden_size": 16, "num_hidden_layers": 1}
    config = getattr(transformers, f"{name}Config")(vocab_size=WORDS, **sizes)
    with pytest.raises(BaseUnavailable, match=architecture):
        Decoder(getattr(transformers, architecture)(config))


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("MistralForCausalLM", {"sliding_window": 64}),
        ("Qwen2ForCausalLM", {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}),
        ("Qwen3ForCausalLM", {"layer_types": ["full_attention", "sliding_attention"], "sliding_window": 64}),
    ],
)
def test_sliding_windows_are_refused(tmp_path: Path, architecture: str, changes: dict[str, object]) -> None:
    base = write_tiny_base(tmp_path / "base", architecture, **changes)
    with pytest.raises(BaseUnavailable, match="sliding-window"):
        Model(base)


def test_a_window_as_wide_as_the_context_is_none() -> None:
    twins("MistralForCausalLM", torch.float32, sliding_window=4_096)


def test_products_of_many_tokens_may_be_rounded(tmp_path: Path) -> None:
    base = write_tiny_base(tmp_path / "base", published=torch.bfloat16)
    exact, rounded = Model(base), Model(base, precision="bfloat16")
    member = tiny_member("pilot", base)
    ids = some_ids(2 * MANY_TOKENS)

    def found(model: Model, prompt: int) -> float:
        (likelihood,) = model.likelihoods([Scored(member=member, prompt=tuple(ids[:prompt]), reply=(7, 8, 9))])
        return likelihood.log_probability

    few, many = 4, len(ids)
    assert found(rounded, few) == found(exact, few)
    assert found(rounded, many) != found(exact, many)
    assert found(rounded, many) == pytest.approx(found(exact, many), abs=0.05)
