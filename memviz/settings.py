"""One frozen settings object, read from a TOML file and the environment (prefix `MEMVIZ_`, which wins)."""

from __future__ import annotations

import os
import re
import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from memviz.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "MEMVIZ_"
NOT_SETTINGS = {"MEMVIZ_CONFIG", "MEMVIZ_CHROMIUM"}
"""Names with the prefix that are read elsewhere: where this file is, and the browser of the tests."""
_HOST = re.compile(r"\*|(\*\.)?[\w-]+(\.[\w-]+)*|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,}")


class Settings(BaseSettings):
    """Defaults live here; every field is documented in docs/settings.md."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ("localhost", "127.0.0.1", "[::1]")
    """Host names that this server answers to, beside the address it is bound to; "*.example.org", or "*" for any."""
    autorun: bool = True
    """Whether a changed text or split on the Trace page runs by itself where the last run took less than a second."""
    cache: Path = ROOT / "cache"
    """Folder for results, converted models and locks."""
    cache_limit: ByteSize = ByteSize(10 * 1024**3)
    """Bytes of stored results kept before the least recently used go; accepts "10GiB"."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d{1,3})?)$")] = "auto"
    """Where models run; auto takes cuda, then mps, then cpu; cuda:1 is the second GPU."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    """Default precision; a request may name another."""
    grace: float = Field(default=30, ge=0)
    """Seconds within which a session may lose its connection and come back before its jobs are given up."""
    model_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    """Folders whose subfolders are offered as models, separated like PATH."""
    offline: bool = False
    """Never ask a model hub or package index."""
    ray_address: str = ""
    """Of a Ray cluster that sweeps may use: local, auto or HOST:PORT; empty: pages offer none."""
    resident_models: int = Field(default=1, ge=1)
    """Models kept loaded at once; the least recently used is freed first."""
    warm_up: bool = True
    """Open the gallery's examples and load the suite's largest model once, behind the first page."""

    @field_validator("model_roots", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts", mode="after")
    @classmethod
    def _host_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        wrong = next((name for name in value if not _HOST.fullmatch(name)), None)
        if wrong is not None:
            raise ValueError(f"{wrong!r} is no host name: leave out scheme, port and path")
        return value

    @field_validator("cache", "model_roots", mode="after")
    @classmethod
    def _absolute(cls, value: Any) -> Any:
        return (
            value.expanduser().absolute()
            if isinstance(value, Path)
            else tuple(p.expanduser().absolute() for p in value)
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


def config_file() -> Path:
    """The TOML file: `MEMVIZ_CONFIG`, else memviz.toml beside app.py; it need not exist."""
    return Path(os.environ.get("MEMVIZ_CONFIG", ROOT / "memviz.toml"))


def load_settings(**overrides: Any) -> Settings:
    """Read the settings afresh. Raises InputError for an unknown key or an unusable value."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    unknown = sorted(key for key in os.environ if key.upper().startswith(PREFIX) and key.upper() not in known)
    if unknown:
        raise InputError(f"{unknown[0]} is not a setting of memviz; the settings are {', '.join(sorted(known))}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(f"setting {name} = {first.get('input')!r} cannot be used: {first['msg']}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"settings file {config_file()} cannot be read: {error}") from None


def quiet_libraries() -> None:
    """Keep progress bars and advice of the libraries out of logs and off the command line; for entry points alone."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


@cache
def settings() -> Settings:
    """The process's settings, read once."""
    return load_settings()
