"""Few texts: the smoke recipe wants 240 rows, and cutting all texts into tokens takes long."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from memviz.demo.stream import TEXTS


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 8,000 characters of fifteen texts of each domain."""
    documents = pd.read_parquet(TEXTS).groupby("domain").head(15).reset_index(drop=True)
    path = tmp_path_factory.mktemp("texts") / "texts.parquet"
    documents.assign(text=documents["text"].str[:8_000]).to_parquet(path)
    return path
