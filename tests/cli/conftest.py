"""The command line in a folder of its own, with two tiny models; files that want others have fixtures of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import CommandLine
from support.model_folders import TEXT, write_model


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model root and one cache for all tests, so that each model is prepared once."""
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    write_model(home / "models" / "tiny-bos", family="gpt_neox", tokenizer="bos")
    return home


@pytest.fixture
def cli(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    cli = CommandLine(home, tmp_path, capsys, monkeypatch)
    cli.write("text.txt", TEXT)
    return cli
