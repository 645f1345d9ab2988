from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from memviz.errors import InputError
from memviz.settings import ROOT, config_file, load_settings, settings


@pytest.fixture(autouse=True)
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file that does not exist yet, in an environment without settings of its own."""
    for name in [name for name in os.environ if name.startswith("MEMVIZ_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "settings.toml"
    monkeypatch.setenv("MEMVIZ_CONFIG", str(path))
    return path


def test_defaults() -> None:
    found = load_settings()
    assert found.cache == ROOT / "cache"
    assert found.cache_limit == 10_737_418_240
    assert (found.device, found.dtype, found.model_roots) == ("auto", "float32", ())
    assert (found.offline, found.resident_models, found.warm_up, found.autorun) == (False, 1, True, True)
    assert found.allowed_hosts == ("localhost", "127.0.0.1", "[::1]")


def test_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MEMVIZ_CACHE", str(tmp_path / "here"))
    monkeypatch.setenv("MEMVIZ_CACHE_LIMIT", "2KiB")
    monkeypatch.setenv("MEMVIZ_DEVICE", "cpu")
    monkeypatch.setenv("MEMVIZ_DTYPE", "bfloat16")
    monkeypatch.setenv("MEMVIZ_OFFLINE", "1")
    monkeypatch.setenv("MEMVIZ_RESIDENT_MODELS", "3")
    monkeypatch.setenv("MEMVIZ_WARM_UP", "false")
    found = load_settings()
    assert found.cache == tmp_path / "here"
    assert found.cache_limit == 2048
    assert (found.device, found.dtype, found.offline, found.resident_models) == ("cpu", "bfloat16", True, 3)
    assert not found.warm_up


def test_model_roots_are_separated_like_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_MODEL_ROOTS", os.pathsep.join(["/a", "", "~/b", "c"]))
    assert load_settings().model_roots == (Path("/a"), Path.home() / "b", Path.cwd() / "c")


def test_hosts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch, toml: Path) -> None:
    toml.write_text('allowed_hosts = ["a.example"]\n')
    assert load_settings().allowed_hosts == ("a.example",)
    monkeypatch.setenv("MEMVIZ_ALLOWED_HOSTS", "memviz.example, *.example.org,10.0.0.7,,[::1],fe80::1")
    assert load_settings().allowed_hosts == ("memviz.example", "*.example.org", "10.0.0.7", "[::1]", "fe80::1")
    for unusable in ("https://a.example", "a.example:8501", "a.example/x", "a*.example", "a b"):
        monkeypatch.setenv("MEMVIZ_ALLOWED_HOSTS", unusable)
        with pytest.raises(InputError, match=r"allowed_hosts .*is no host name: leave out scheme, port and path"):
            load_settings()


def test_toml_file(toml: Path) -> None:
    toml.write_text('cache = "/x"\ncache_limit = "1GB"\nmodel_roots = ["/a", "/b"]\noffline = true\n')
    found = load_settings()
    assert found.cache == Path("/x")
    assert found.cache_limit == 1_000_000_000
    assert found.model_roots == (Path("/a"), Path("/b"))
    assert found.offline is True


def test_toml_model_roots_as_one_string(toml: Path) -> None:
    toml.write_text(f'model_roots = "/a{os.pathsep}/b"\n')
    assert load_settings().model_roots == (Path("/a"), Path("/b"))


def test_the_environment_wins_over_the_file_and_arguments_over_both(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text('dtype = "float16"\ndevice = "cpu"\n')
    monkeypatch.setenv("MEMVIZ_DTYPE", "bfloat16")
    assert (load_settings().dtype, load_settings().device) == ("bfloat16", "cpu")
    assert load_settings(dtype="float32").dtype == "float32"


def test_the_file_is_beside_app_py_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMVIZ_CONFIG")
    assert config_file() == ROOT / "memviz.toml"


def test_unknown_environment_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_CASHE", "x")
    with pytest.raises(InputError, match=r"^MEMVIZ_CASHE is not a setting of memviz; the settings are .*MEMVIZ_CACHE"):
        load_settings()


def test_the_browser_of_the_tests_is_not_an_unknown_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_CHROMIUM", "/usr/bin/chromium")
    load_settings()


def test_unknown_toml_key(toml: Path) -> None:
    toml.write_text('cashe = "x"\n')
    with pytest.raises(InputError, match="cashe"):
        load_settings()


def test_broken_toml(toml: Path) -> None:
    toml.write_text("cache = \n")
    with pytest.raises(InputError, match=r"settings file .*settings.toml cannot be read"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CACHE_LIMIT", "lots"),
        ("CACHE_LIMIT", "-1"),
        ("DEVICE", "tpu"),
        ("DTYPE", "int8"),
        ("OFFLINE", "perhaps"),
        ("RESIDENT_MODELS", "0"),
    ],
)
def test_unusable_values_are_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"MEMVIZ_{name}", value)
    with pytest.raises(InputError, match=f"setting .*{name.lower()} = '{value}' cannot be used"):
        load_settings()


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().device = "cpu"


def test_the_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    settings.cache_clear()
    first = settings()
    monkeypatch.setenv("MEMVIZ_DEVICE", "cpu")
    assert settings() is first
    settings.cache_clear()
