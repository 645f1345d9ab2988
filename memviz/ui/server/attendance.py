"""Which sessions are there: by their sockets, so that no cleared cache and no message of another's ends one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st
from streamlit.runtime import Runtime

from memviz.settings import settings
from memviz.ui.common.process import worker

_known: set[str] = set()
"""Sessions that were seen and have not left."""
REHEARSAL = "x-memviz-rehearsal"
"""Header of the sockets that the server itself opens; its pages give way to all others."""
_last = 0.0
_running: set[int] = set()


@contextmanager
def answering() -> Iterator[None]:
    """While a page runs for a visitor."""
    global _last
    if REHEARSAL in st.context.headers:
        yield
        return
    thread = threading.get_ident()
    _running.add(thread)
    try:
        yield
    finally:
        _running.discard(thread)
        _last = time.monotonic()


def calm() -> float:
    """Seconds since a page last ran for a visitor."""
    return 0.0 if _running else time.monotonic() - _last


def is_there(session: str) -> bool:
    """Whether a page of this session is open."""
    return Runtime.instance().is_active_session(session)


def know(session: str) -> None:
    """A session that has jobs or uploads; from now on it is noticed when its socket closes."""
    _known.add(session)


def look() -> None:
    """After a socket closed: the jobs of sessions without one are left, and a while later their uploads freed."""
    for session in [each for each in tuple(_known) if not is_there(each)]:
        _known.discard(session)
        worker().leave(session)
        asyncio.get_running_loop().call_later(settings().grace, _free, session)


def _free(session: str) -> None:
    if not is_there(session):
        Runtime.instance().uploaded_file_mgr.remove_session_files(session)


def n_uploads(session: str) -> int:
    """Files that Streamlit keeps of a session."""
    kept = getattr(Runtime.instance().uploaded_file_mgr, "file_storage", {})
    return len(kept.get(session, ()))
