"""Settings: where a value comes from, and what is refused."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from consilium.errors import BadSettings
from consilium.settings import SETTINGS_FILE, Settings, data_folder, default_database


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory and no ``CONSILIUM_*``."""
    for name in [name for name in os.environ if name.startswith("CONSILIUM_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_hold_without_file_or_environment() -> None:
    settings = Settings.load()
    assert (settings.base, settings.engine, settings.seats) == ("smollm2-135m-instruct", "embedded", 3)
    assert (settings.personas / "catalogue.toml").is_file()


def test_each_source_overrides_the_one_before(clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clean / SETTINGS_FILE).write_text("seats = 5\nseed = 5\ndeadline_s = 5.0\n")
    monkeypatch.setenv("CONSILIUM_SEED", "6")
    monkeypatch.setenv("CONSILIUM_DEADLINE_S", "6")
    settings = Settings.load(deadline_s=7)
    assert (settings.seats, settings.seed, settings.deadline_s) == (5, 6, 7.0)


def test_an_override_of_none_is_as_good_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIUM_SEATS", "4")
    assert Settings.load(seats=None).seats == 4


def test_paths_are_read_as_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIUM_CACHE_DIR", "/somewhere/else")
    assert Settings.load().cache_dir == Path("/somewhere/else")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seats", 0),
        ("seats", 33),
        ("seats", "many"),
        ("exploration", 0.7),
        ("deadline_s", 0),
        ("engine", "steam"),
        ("base_url", "localhost:8000/v1"),
        ("base_url", "http://a/v1,ftp://b/v1"),
    ],
)
def test_a_bad_keyword_argument_is_named(name: str, value: object) -> None:
    with pytest.raises(BadSettings) as caught:
        Settings.load(**{name: value})
    assert f"{name}={value!r}" in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("seats", "99"), ("deliberation", "dice")])
def test_a_bad_environment_variable_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"CONSILIUM_{name.upper()}", value)
    with pytest.raises(BadSettings) as caught:
        Settings.load()
    assert f"{name}={value!r}" in str(caught.value)


def test_a_name_that_no_setting_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSettings, match="setting berths: there is no such setting"):
        Settings.load(berths=1)
    monkeypatch.setenv("CONSILIUM_SEETS", "3")
    with pytest.raises(BadSettings, match="setting seets: there is no such setting"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "named"), [("seats = -1", "seats=-1"), ("chairs = 2", "chairs: there is no such setting")]
)
def test_a_bad_line_of_the_file_is_named(text: str, named: str, clean: Path) -> None:
    (clean / SETTINGS_FILE).write_text(text)
    with pytest.raises(BadSettings) as caught:
        Settings.load()
    assert named in str(caught.value)


@pytest.mark.parametrize("content", [b"seats = = 3", b"seats = '\xff'"])
def test_a_file_that_is_not_toml_is_named(content: bytes, clean: Path) -> None:
    (clean / SETTINGS_FILE).write_bytes(content)
    with pytest.raises(BadSettings, match=r"consilium\.toml cannot be read"):
        Settings.load()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load().seats = 9


def test_the_data_of_a_checkout_lies_beside_the_package() -> None:
    assert (data_folder("personas") / "catalogue.toml").is_file()
    assert default_database().endswith("storage/consilium.db")


def test_a_password_in_a_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadSettings, match=r"base_url='http://…@host/v1'") as caught:
        Settings.load(base_url="http://me:canary-7@host/v1")
    assert "canary-7" not in str(caught.value)


def test_several_servers_are_told_apart_and_a_key_is_not_shown() -> None:
    settings = Settings.load(base_url="http://a:8000/v1, https://b/v1", api_key="canary-7")
    assert settings.base_urls == ("http://a:8000/v1", "https://b/v1")
    assert "canary-7" not in f"{settings!r}{settings.model_dump_json()}"


def test_pinned_members_are_separated_by_commas() -> None:
    assert Settings.load(pinned="operator, empath,").pinned_members == ("operator", "empath")
    assert Settings.load().pinned_members == ()
