"""Adapters: what is loaded, what is refused, and that no refusal comes after something was run."""

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from consilium.errors import AdapterRefused
from consilium.members.adapter import (
    CONFIG_FILE,
    MAX_CONFIG_BYTES,
    MAX_HEADER_BYTES,
    MAX_WEIGHTS_BYTES,
    WEIGHTS_FILE,
    Adapter,
    adapter_digest,
    read_adapter,
)
from consilium.members.persona import AdapterPin
from tests.support.adapters import (
    BASE,
    Q_PROJ,
    RANK,
    config_bytes,
    header_and_body,
    weights_bytes,
    write_adapter,
)
from tests.support.watching import best_of_three

A, B = f"{Q_PROJ}.lora_A.weight", f"{Q_PROJ}.lora_B.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "personas" / "pilot" / "adapter"


def read(folder: Path, pin: AdapterPin) -> Adapter:
    return read_adapter(folder, root=folder.parents[1], pin=pin)


def refusal(folder: Path, pin: AdapterPin) -> str:
    """Return why an adapter is refused, which takes a tenth of a second at most."""
    messages = set[str]()

    def attempt() -> None:
        with pytest.raises(AdapterRefused) as caught:
            read(folder, pin)
        messages.add(str(caught.value))

    assert best_of_three(attempt) <= 0.1
    (message,) = messages
    assert str(folder) in message
    return message.replace(str(folder), "")  # its path repeats the test's name


def refused_weights(folder: Path, weights: bytes) -> str:
    """Refuse weights whose digest is the pinned one, so that only the header's check can be the cause."""
    return refusal(folder, write_adapter(folder, weights=weights))


def test_a_valid_adapter_comes_with_its_bytes(folder: Path) -> None:
    adapter = read(folder, pin := write_adapter(folder))
    assert adapter.pin == pin
    assert adapter.settings.r == RANK
    assert adapter.read_weights() == (folder / WEIGHTS_FILE).read_bytes()
    assert adapter.bytes_on_disk == (folder / WEIGHTS_FILE).stat().st_size
    tensors = safetensors.numpy.load(adapter.read_weights())
    assert {name: tensor.shape for name, tensor in tensors.items()} == {A: (RANK, 16), B: (16, RANK)}


@pytest.mark.parametrize("file", [CONFIG_FILE, WEIGHTS_FILE])
def test_files_that_changed_after_they_were_checked_are_refused(folder: Path, file: str) -> None:
    adapter = read(folder, write_adapter(folder))
    (folder / file).write_bytes((folder / file).read_bytes() + b" ")
    with pytest.raises(AdapterRefused, match="the files were changed"):
        adapter.read_weights()


def test_files_that_are_gone_are_refused(folder: Path) -> None:
    adapter = read(folder, write_adapter(folder))
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(AdapterRefused, match="cannot be read: No such file"):
        adapter.read_weights()


def test_what_safetensors_itself_writes_is_accepted(folder: Path) -> None:
    tensors = {A: np.zeros((RANK, 8), np.float16), B: np.ones((12, RANK), np.float16)}
    weights = safetensors.numpy.save(tensors, metadata={"format": "pt"})
    assert read(folder, write_adapter(folder, weights=weights)).read_weights() == weights


def test_the_digest_covers_the_border_between_the_two_files() -> None:
    assert adapter_digest(b"ab", b"c") != adapter_digest(b"a", b"bc")
    assert adapter_digest(b"a", b"b") != adapter_digest(b"b", b"a")


class TestFiles:
    @pytest.mark.parametrize(
        "name", ["adapter_model.bin", "adapter_model.pkl", "modeling.py", "adapter_model.pt", ".hidden", "README.md"]
    )
    def test_any_other_file_is_refused(self, name: str, folder: Path) -> None:
        pin = write_adapter(folder)
        (folder / name).write_bytes(b"")
        assert f"holds {name!r}" in refusal(folder, pin)

    def test_a_folder_inside_is_refused(self, folder: Path) -> None:
        pin = write_adapter(folder)
        (folder / "checkpoint-50").mkdir()
        assert "'checkpoint-50'" in refusal(folder, pin)

    @pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
    def test_a_missing_file_is_named(self, name: str, folder: Path) -> None:
        pin = write_adapter(folder)
        (folder / name).unlink()
        assert f"lacks {name!r}" in refusal(folder, pin)

    @pytest.mark.parametrize("name", [CONFIG_FILE, WEIGHTS_FILE])
    def test_a_symlinked_file_is_refused(self, name: str, folder: Path) -> None:
        pin = write_adapter(folder)
        (folder / name).rename(folder.parent / name)
        (folder / name).symlink_to(folder.parent / name)
        assert f"{name} is not a plain file" in refusal(folder, pin)

    def test_a_folder_in_the_place_of_the_weights_is_refused(self, folder: Path) -> None:
        pin = write_adapter(folder)
        (folder / WEIGHTS_FILE).unlink()
        (folder / WEIGHTS_FILE).mkdir()
        assert "is not a plain file" in refusal(folder, pin)

    def test_a_folder_that_leads_out_of_the_root_is_refused(self, folder: Path, tmp_path: Path) -> None:
        pin = write_adapter(tmp_path / "elsewhere")
        folder.parent.mkdir(parents=True)
        folder.symlink_to(tmp_path / "elsewhere")
        assert "leads out of" in refusal(folder, pin)

    def test_a_missing_folder_is_refused(self, folder: Path) -> None:
        assert "is not a folder" in refusal(folder, AdapterPin(digest="0" * 64, base=BASE))

    @pytest.mark.parametrize(("name", "limit"), [(CONFIG_FILE, MAX_CONFIG_BYTES), (WEIGHTS_FILE, MAX_WEIGHTS_BYTES)])
    def test_size_is_checked_before_reading(self, name: str, limit: int, folder: Path) -> None:
        pin = write_adapter(folder)
        with (folder / name).open("r+b") as file:
            file.truncate(limit + 1)  # sparse: takes no room on the disk
        assert f"at most {limit:,}" in refusal(folder, pin)


class TestPickles:
    class Canary:
        """Creates a file where it is unpickled."""

        def __init__(self, path: Path) -> None:
            self.path = path

        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (self.path,)

    @pytest.mark.parametrize("beside", [True, False], ids=["beside safetensors", "instead of safetensors"])
    def test_a_pickle_is_refused_before_it_can_run(self, beside: bool, folder: Path, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        payload = pickle.dumps(self.Canary(canary))
        pin = write_adapter(folder)
        (folder / "adapter_model.bin").write_bytes(payload)
        if not beside:
            (folder / WEIGHTS_FILE).unlink()
        assert "'adapter_model.bin'" in refusal(folder, pin)
        assert not canary.exists()

        pickle.loads(payload)  # noqa: S301 -- the control: these very bytes do create it
        assert canary.exists()

    def test_a_pickle_under_the_name_of_the_weights_is_refused_before_it_can_run(
        self, folder: Path, tmp_path: Path
    ) -> None:
        canary = tmp_path / "canary"
        payload = pickle.dumps(self.Canary(canary))
        assert "claims a header" in refused_weights(folder, payload)
        assert not canary.exists()


class TestConfiguration:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"use_dora": True}, "use_dora"),
            ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
            ({"auto_mapping": {"base_model_class": "x"}}, "auto_mapping"),
            ({"anything": None}, "anything"),
            ({"bias": "all"}, "bias"),
            ({"peft_type": "IA3"}, "peft_type"),
            ({"task_type": "SEQ_CLS"}, "task_type"),
            ({"inference_mode": False}, "inference_mode"),
            ({"target_modules": ["embed_tokens"]}, "target_modules"),
            ({"target_modules": "all-linear"}, "target_modules"),
            ({"r": 0}, "r:"),
            ({"r": "8"}, "r:"),
            ({"lora_alpha": 16.0}, "lora_alpha"),
            ({"use_rslora": "false"}, "use_rslora"),
            ({"r": -4}, "r:"),
            ({"r": 10**9}, "r:"),
            ({"lora_alpha": float("nan")}, "lora_alpha"),
            ({"lora_alpha": float("inf")}, "lora_alpha"),
            ({"base_model_name_or_path": None}, "base_model_name_or_path"),
        ],
        ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
    )
    def test_anything_but_plain_lora_is_refused(self, changes: dict[str, object], field: str, folder: Path) -> None:
        message = refusal(folder, write_adapter(folder, config=config_bytes(**changes)))
        assert CONFIG_FILE in message
        assert field in message

    @pytest.mark.parametrize(
        "config", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 50_000], ids=["empty", "cut", "list", "bytes", "deep"]
    )
    def test_what_is_no_json_object_is_refused(self, config: bytes, folder: Path) -> None:
        assert "file:" in refusal(folder, write_adapter(folder, config=config))

    def test_another_base_is_refused(self, folder: Path) -> None:
        pin = write_adapter(folder, config=config_bytes(base_model_name_or_path="other@0123456789ab"))
        message = refusal(folder, pin)
        assert "'other@0123456789ab'" in message
        assert repr(BASE) in message

    def test_a_changed_configuration_breaks_the_digest(self, folder: Path) -> None:
        pin = write_adapter(folder)
        (folder / CONFIG_FILE).write_bytes(config_bytes(lora_alpha=16))
        assert pin.digest[:12] in refusal(folder, pin)


class TestWeights:
    def test_a_flipped_bit_breaks_the_digest(self, folder: Path) -> None:
        pin = write_adapter(folder)
        weights = bytearray((folder / WEIGHTS_FILE).read_bytes())
        weights[-1] ^= 1
        (folder / WEIGHTS_FILE).write_bytes(weights)
        assert f"pins {pin.digest[:12]}" in refusal(folder, pin)

    @pytest.mark.parametrize("length", [0, 7])
    def test_what_is_too_short_for_a_header_is_refused(self, length: int, folder: Path) -> None:
        assert f"has {length} bytes" in refused_weights(folder, b"\0" * length)

    @pytest.mark.parametrize("cut", [1, 100])
    def test_truncated_weights_are_refused(self, cut: int, folder: Path) -> None:
        assert "truncated" in refused_weights(folder, weights_bytes(*header_and_body())[:-cut])

    def test_padded_weights_are_refused(self, folder: Path) -> None:
        assert "padded" in refused_weights(folder, weights_bytes(*header_and_body()) + b"\0")

    @pytest.mark.parametrize("length", [2**63, 2**64 - 1, MAX_HEADER_BYTES + 1, 100])
    def test_a_header_that_claims_more_than_there_is_is_refused(self, length: int, folder: Path) -> None:
        assert f"claims a header of {length:,} bytes" in refused_weights(folder, struct.pack("<Q", length) + b"{}")

    def test_a_header_beyond_the_limit_is_refused_though_it_is_there(self, folder: Path) -> None:
        padded = json.dumps(header_and_body()[0]).encode().ljust(MAX_HEADER_BYTES + 1)
        assert "claims a header" in refused_weights(folder, weights_bytes(padded, header_and_body()[1]))

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"{garbage",
            b"[]",
            b"null",
            b" {}",
            b"{\xff}",
            '{"ä": 1}'.encode("utf-16"),
            b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"a": ' + b"1" * 5_000 + b"}",
            b'{"a": {}, "a": {}}',
            b'{"__metadata__": []}',
            b'{"__metadata__": {"format": 1}}',
        ],
        ids=[
            "empty",
            "garbage",
            "list",
            "null",
            "space",
            "bytes",
            "utf-16",
            "deep",
            "digits",
            "twice",
            "notes",
            "note",
        ],
    )
    def test_a_header_that_safetensors_would_not_read_is_refused(self, header: bytes, folder: Path) -> None:
        message = refused_weights(folder, weights_bytes(header, header_and_body()[1]))
        assert "header" in message or "__metadata__" in message

    def test_weights_without_a_tensor_are_refused(self, folder: Path) -> None:
        assert "holds no tensor" in refused_weights(folder, weights_bytes({"__metadata__": {"format": "pt"}}, b""))

    @pytest.mark.parametrize(
        "changes",
        [
            {"shape": [-RANK, -16]},
            {"shape": [RANK, -16], "data_offsets": [256, 0]},
            {"shape": [RANK, 0], "data_offsets": [0, 0]},
            {"shape": [RANK, 17]},
            {"shape": [RANK, 16, 1]},
            {"shape": [RANK, 16.0]},
            {"shape": "many"},
            {"dtype": "F64"},
            {"dtype": "BOOL"},
            {"dtype": None},
            {"data_offsets": [0]},
            {"data_offsets": [256, 0]},
            {"data_offsets": [False, 256]},
            {"data_offsets": [0, 2**70]},
        ],
        ids=json.dumps,
    )
    def test_a_malformed_entry_is_refused_by_name(self, changes: dict[str, object], folder: Path) -> None:
        header, body = header_and_body()
        header[A] = {**header[A], **changes}
        assert repr(A) in refused_weights(folder, weights_bytes(header, body))

    @pytest.mark.parametrize("starts", [(0, 0), (0, 128), (-256, 0), (256, 512), (0, 300)])
    def test_offsets_that_overlap_or_leave_gaps_are_refused(self, starts: tuple[int, int], folder: Path) -> None:
        header, body = header_and_body()
        for name, start in zip((A, B), starts, strict=True):
            header[name] = {**header[name], "data_offsets": [start, start + 256]}
        assert "overlaps another, or leaves a gap" in refused_weights(folder, weights_bytes(header, body))

    def test_a_rank_other_than_the_announced_is_refused(self, folder: Path) -> None:
        message = refused_weights(folder, weights_bytes(*header_and_body(rank=8)))
        assert f"rank {RANK}" in message
        assert "[8, 16]" in message

    @pytest.mark.parametrize(
        "name",
        [
            "base_model.model.lm_head.lora_A.weight",
            Q_PROJ.replace("q_proj", "k_proj") + ".lora_A.weight",
            f"{Q_PROJ}.lora_A",
            f"{Q_PROJ}.lora_magnitude_vector.weight",
            f"{Q_PROJ}.bias",
            "weight",
        ],
    )
    def test_a_tensor_that_is_no_lora_matrix_of_the_targets_is_refused(self, name: str, folder: Path) -> None:
        header, body = header_and_body()
        assert repr(name) in refused_weights(folder, weights_bytes({name: header[A], B: header[B]}, body))

    def test_a_without_b_is_refused(self, folder: Path) -> None:
        header, body = header_and_body()
        message = refused_weights(folder, weights_bytes({A: header[A]}, body[:256]))
        assert f"only one of A and B for {Q_PROJ!r}" in message
