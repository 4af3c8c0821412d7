"""Settings: defaults, then ``consilium.toml``, then ``CONSILIUM_*``, then keyword arguments.

Nothing else reads the environment. The data that comes with the package (personas, migrations) is found here too.
"""

import os
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from consilium.errors import BadSettings

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

Method: TypeAlias = Literal["best", "vote", "chair"]
"""How statements become a verdict."""

Precision: TypeAlias = Literal["float32", "bfloat16"]
"""Of the embedded engine's products with the base's weights: exact, or with activations rounded to bfloat16."""

SETTINGS_FILE = Path("consilium.toml")


def data_folder(name: Literal["personas", "storage"]) -> Path:
    """Return a folder of data: inside the installed package, or beside it in a checkout."""
    package = Path(str(resources.files("consilium")))
    packed = package / "_data" / name
    return packed if packed.is_dir() else package.parent / name


def default_database() -> str:
    """Return the URL of the default ledger: ``storage/`` of a checkout, else the user's data directory."""
    storage = data_folder("storage")
    in_checkout = (storage.parent / "pyproject.toml").is_file()
    folder = storage if in_checkout else Path(platformdirs.user_data_dir("consilium"))
    return f"sqlite:///{folder / 'consilium.db'}"


def child_environment(**more: str) -> dict[str, str]:
    """Return this process's environment, with more, for a process that it starts."""
    return {**os.environ, **more}  # noqa: TID251 - handed on, not read


def restrict_checkpoints() -> None:
    """Have LangGraph read nothing but plain values from checkpoints, also where nobody tells it so in the call.

    It looks at the environment when it is imported first; each saver of ours is told in the call too.
    """
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")  # noqa: TID251 - LangGraph's own switch


def keep_ray_quiet() -> None:
    """Have Ray send nobody its usage statistics. It looks at the environment when it is imported first."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # noqa: TID251 - Ray's own switch


class Settings(BaseSettings):
    """Everything that can be configured, in one frozen value."""

    model_config = SettingsConfigDict(env_prefix="CONSILIUM_", toml_file=SETTINGS_FILE, extra="forbid", frozen=True)

    base: str = "smollm2-135m-instruct"
    """Base model: the built-in one, a folder, or a hub id."""
    personas: Path = Field(default_factory=lambda: data_folder("personas"))
    """Folder with ``catalogue.toml``."""
    cache_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_cache_dir("consilium")))
    """Where the base model is kept."""
    database: str = Field(default_factory=default_database, repr=False)
    """SQLAlchemy URL of the ledger. It may hold a password, and is left out where settings are shown."""
    engine: Literal["embedded", "vllm"] = "embedded"
    """Who speaks: a model in this process, or vLLM servers over HTTP."""
    base_url: str = "http://127.0.0.1:8000/v1"
    """Of the vLLM server; of several with the same catalogue, separated by commas."""
    api_key: SecretStr | None = None
    """That the vLLM servers ask for."""
    server_personas: Path | None = None
    """The folder of the personas as the vLLM servers see it, where that is not as it is seen here."""
    adapters: Annotated[int, Field(ge=1)] = 64
    """Adapters that the embedded engine, or each vLLM server, holds in memory; of more, the likeliest come first."""
    precision: Precision = "float32"
    """bfloat16 reads prompts and scores replies faster on processors that multiply it
    (docs/adr/0004-reading-precision.md)."""
    pinned: str = ""
    """Members whose adapters stay in memory whatever comes, separated by commas."""
    seats: Annotated[int, Field(ge=1, le=32)] = 3
    """At most this many members sit in a turn."""
    exploration: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the turns in which the last seat goes to a member drawn by chance, so that outcomes tell of it too."""
    learning: bool = False
    """Whether outcomes in the ledger change who sits, from one turn to the next."""
    shadow: str | None = None
    """A router that decides beside the live one and is recorded, never acting: the file of a fitted router, the digest
    of one that is kept, or ``centroid``."""
    deliberation: Method = "best"
    """How statements become a verdict."""
    deadline_s: Annotated[float, Field(gt=0)] = 120.0
    """Seconds each seat has for its statement."""
    seed: int = 0
    executor: Literal["local", "ray"] = "local"
    """Where the rows of a job are answered: in its own process, or by workers on a Ray cluster."""
    workers: Annotated[int, Field(ge=1, le=1_024)] = 2
    """Workers on the Ray cluster, each with an engine of its own; a processor's place is taken by each."""
    ray_address: str | None = None
    """Of a Ray cluster that runs; without one a cluster is started on this machine, for as long as the job runs."""
    recover: bool = True
    """Whether a council, when it starts, takes up the turns that were cut off."""
    retain_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    """Days that a session is kept after its newest turn; a council that starts purges what is older. None keeps all."""
    credit: Literal["ballots", "likelihood"] = "ballots"
    """How learning shares an outcome among the seats: by who stands behind the verdict, or, where a chair composed it,
    by how much less likely it is without each statement, which costs a likelihood a seat and one more."""

    @field_validator("base_url")
    @classmethod
    def _are_urls(cls, value: str) -> str:
        for url in value.split(","):
            parts = urlsplit(url.strip())
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in url:
                raise ValueError("each is http://host:port/v1 or https://host/v1, with no name or password in it")
        return value

    @property
    def base_urls(self) -> tuple[str, ...]:
        """The URLs of the vLLM servers."""
        return tuple(url.strip() for url in self.base_url.split(","))

    @property
    def pinned_members(self) -> tuple[str, ...]:
        """Names of the members whose adapters stay in memory."""
        return tuple(name.strip() for name in self.pinned.split(",") if name.strip())

    @property
    def key(self) -> str | None:
        """The key that the vLLM servers ask for, in the clear."""
        return self.api_key.get_secret_value() if self.api_key else None

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Build the settings; overrides that are None are as good as absent.

        Raises:
            BadSettings: a name that does not exist, or a value of the wrong type or out of range.
        """
        given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            raise BadSettings(
                f"setting {_shown(error.errors(include_url=False)[0])}. Correct it in the call, in CONSILIUM_* or in "
                "consilium.toml."
            ) from None  # pydantic's own error shows the value
        except ValueError as error:  # TOML that does not parse
            raise BadSettings(f"{SETTINGS_FILE.absolute()} cannot be read: {error}. Correct the file.") from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: keyword arguments, environment, TOML file."""
        return init_settings, _Environment(settings_cls), TomlConfigSettingsSource(settings_cls)


def without_password(url: str) -> str:
    """Return what is meant for a URL, whether or not it is one, without the name and password in it.

    >>> without_password("postgresql://council:pa/ss@word@db/council")
    'postgresql://…@db/council'
    """
    return re.sub(r"(?<=:).*@", "//…@", url, flags=re.DOTALL)


def _shown(fault: "ErrorDetails") -> str:
    """Return what is wrong with which setting, and its value where that cannot be a secret."""
    name, value = ".".join(map(str, fault["loc"])), fault["input"]
    if fault["type"] == "extra_forbidden":  # a misspelt name may be that of a secret
        return f"{name}: there is no such setting"
    if fault["loc"][0] == "api_key":
        return f"{name}: {fault['msg']}"
    return f"{name}={(without_password(value) if isinstance(value, str) else value)!r}: {fault['msg']}"


class _Environment(EnvSettingsSource):
    """``CONSILIUM_*``; names that no setting has are handed over too, so that a misspelt one is refused."""

    def __call__(self) -> dict[str, Any]:
        prefix = self.env_prefix.lower()
        given = {name.removeprefix(prefix): value for name, value in self.env_vars.items() if name.startswith(prefix)}
        return {**given, **super().__call__()}
