"""A lab for every test, with models and cards made once."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.model_folders import write_model
from support.sweeps import Lab, lab_in, lab_settings

from memviz.engine.backend import Backend


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_model(home / "models" / "tiny")
    write_model(home / "models" / "twin", family="gpt_neox")
    write_model(home / "models" / "tiny-bos", tokenizer="bos")
    return home


@pytest.fixture(scope="session")
def backend(home: Path) -> Backend:
    return Backend(lab_settings(home))


@pytest.fixture
def lab(backend: Backend, tmp_path: Path) -> Lab:
    return lab_in(tmp_path, backend)
