"""How a server is started and ended: the command by itself, and the rest with a server of another kind in its place."""

import os
import sys
import time
from pathlib import Path

import pytest

from consilium.engines.vllm import launch
from consilium.engines.vllm.launch import Plan, Started
from consilium.engines.vllm.null_adapter import MODULE, null_adapter, write_null_adapter
from consilium.errors import AdapterRefused, BadSettings, EngineLost
from consilium.members.base import Base
from consilium.members.catalogue import Catalogue
from tests.support.tiny import write_base_of_adapters, write_tiny_base

URL = "http://127.0.0.1:8123/v1"


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return write_base_of_adapters(tmp_path / "base")


def planned(base: Base, harbour: Path, *, on_cpu: bool = True, seats: int = 3) -> Plan:
    crew = Catalogue.load(harbour)
    return launch.plan("python", base, crew, URL, seats=seats, on_cpu=on_cpu, work=harbour.parent / "work")


def test_the_server_knows_every_adapter_under_its_content_name(base: Base, harbour: Path) -> None:
    argv = planned(base, harbour).argv
    modules = argv[argv.index("--lora-modules") + 1 :]
    pilot = Catalogue.load(harbour).get("pilot").content_name
    assert f"{pilot}={harbour / 'pilot' / 'adapter'}" in modules
    assert any(each.startswith(null_adapter(base)[0]) for each in modules)
    assert argv[argv.index("--max-loras") + 1] == "3"  # two adapters, and the one that changes nothing
    assert argv[argv.index("--port") + 1] == "8123"


def test_of_many_adapters_only_those_that_have_room_are_there_from_the_start(base: Base, harbour: Path) -> None:
    crew = Catalogue.load(harbour)
    argv = launch.plan("python", base, crew, URL, seats=1, on_cpu=True, work=harbour.parent / "work", capacity=1).argv
    modules = [each for each in argv if each.endswith("/adapter")]
    assert [each.partition("@")[0] for each in modules] == ["pilot"]
    assert argv[argv.index("--max-cpu-loras") + 1] == "2"


def test_a_cpu_computes_in_float32_and_a_gpu_as_it_likes(base: Base, harbour: Path) -> None:
    assert "float32" in planned(base, harbour).argv
    assert "float32" not in planned(base, harbour, on_cpu=False).argv
    assert "VLLM_CPU_KVCACHE_SPACE" in str(planned(base, harbour))


def test_adapters_of_another_base_are_not_served(harbour: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterRefused, match=r"this engine serves 'other@"):
        planned(write_tiny_base(tmp_path / "other"), harbour)


def test_a_url_without_a_port_is_refused(base: Base, harbour: Path) -> None:
    with pytest.raises(BadSettings, match="names no port"):
        launch.plan("python", base, Catalogue.load(harbour), "http://a/v1", seats=1, on_cpu=True, work=harbour)


def test_the_null_adapter_fits_the_base_and_is_zero(base: Base) -> None:
    from safetensors.torch import load

    name, files = null_adapter(base)
    assert null_adapter(base)[0] == name
    tensors = load(files["adapter_model.safetensors"])
    assert {key.split(MODULE)[1]: tuple(value.shape) for key, value in tensors.items()} == {
        ".lora_A.weight": (1, 48),
        ".lora_B.weight": (48, 1),
    }
    assert all(not value.any() for value in tensors.values())


def test_who_reads_the_null_adapter_is_not_cut_short_where_it_is_written_again(base: Base, tmp_path: Path) -> None:
    _, folder = write_null_adapter(base, tmp_path)
    with (folder / "adapter_model.safetensors").open("rb") as reading:
        write_null_adapter(base, tmp_path)
        assert os.fstat(reading.fileno()).st_nlink == 0, "the file that is read stays as it was, under no name"
        assert reading.read() == null_adapter(base)[1]["adapter_model.safetensors"]


class TestProcess:
    def started(self, folder: Path, *argv: str) -> Started:
        (folder / "health").write_text("")
        how = Plan(argv=(sys.executable, *argv), environment={}, url="http://127.0.0.1:8124/v1")
        return launch.start(how, folder / "log" / "server.log")

    def test_a_server_is_waited_for_found_again_and_ended(self, tmp_path: Path) -> None:
        started = self.started(tmp_path, "-m", "http.server", "8124", "--directory", str(tmp_path))
        launch.wait(started)
        started.write(tmp_path / "note.json")
        assert Started.read(tmp_path / "note.json") == started
        launch.stop(started)
        assert not launch.healthy(started.url)
        assert Started.read(tmp_path / "note.json") is None
        launch.stop(started)

    def test_one_that_ends_is_told_with_its_last_words(self, tmp_path: Path) -> None:
        started = self.started(tmp_path, "-c", "print('no room'); raise SystemExit(3)")
        with pytest.raises(EngineLost, match="no room"):
            launch.wait(started)

    def test_another_process_of_the_same_number_is_left_alone(self, tmp_path: Path) -> None:
        started = self.started(tmp_path, "-c", "import time; time.sleep(30)")
        time.sleep(0.2)
        other = Started(pid=started.pid, url=started.url, log=started.log, argv=("something", "else"))
        other.write(tmp_path / "note.json")
        assert Started.read(tmp_path / "note.json") is None
        launch.stop(started)

    def test_an_interpreter_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        how = Plan(argv=("/nowhere/python",), environment={}, url=URL)
        with pytest.raises(BadSettings, match="/nowhere/python cannot be run"):
            launch.start(how, tmp_path / "server.log")

    @pytest.mark.parametrize("text", ["", "[]", '{"pid": "x"}', '{"pid": 1}'])
    def test_a_note_that_cannot_be_read_is_none(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "note.json").write_text(text)
        assert Started.read(tmp_path / "note.json") is None
