"""Which fitted predictors there are, read again only where a folder changed."""

from __future__ import annotations

import streamlit as st

from memviz.predictor.files import ABOUT
from memviz.predictor.known import SHIPPED, Known, known_predictors
from memviz.settings import settings


def known_now() -> list[Known]:
    """Every fitted predictor, read again only when a folder changed."""
    folders = (settings().cache / "predictors", SHIPPED)
    paths = [path for folder in folders for path in sorted(folder.glob(f"*/{ABOUT}"))]
    return _known(tuple((str(path), path.stat().st_mtime_ns) for path in paths))


@st.cache_resource(max_entries=2, show_spinner=False)
def _known(there: tuple[tuple[str, int], ...]) -> list[Known]:
    return known_predictors(settings()) if there else []


def is_nothing_fitted() -> bool:
    """Whether there is no predictor at all."""
    return not known_now()
