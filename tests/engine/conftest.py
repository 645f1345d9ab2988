"""Fixtures of the engine's tests: every tiny family in turn."""

from __future__ import annotations

import pytest
from support.tiny_models import FAMILIES, tiny

from memviz.engine.loading import Loaded


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Loaded:
    return tiny(request.param)
