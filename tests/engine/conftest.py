"""Fixtures of the engine's tests: every tiny family in turn."""

from __future__ import annotations

import pytest
import torch
from tiny_models import FAMILIES, tiny

from memviz.engine.loading import Loaded


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Tiny models are slower with more."""
    torch.set_num_threads(1)


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Loaded:
    return tiny(request.param)
