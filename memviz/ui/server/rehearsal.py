"""The gallery opened once by the server itself, so that its first visitor finds everything read and imported."""

from __future__ import annotations

import logging
import time
from typing import Any

import streamlit as st
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from memviz.gallery import Example, examples
from memviz.ui.common.sign_in import is_wanted
from memviz.ui.server.attendance import REHEARSAL, calm

log = logging.getLogger(__name__)
_PATIENCE = 60
"""Seconds that a page may take."""
_CALM = 3.0
"""Seconds without a visitor's page before the next is opened: it takes a processor that theirs would wait for."""
_ANY = {None: "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


def open_examples() -> None:
    """Open each example of the gallery as a browser would, one after another; what cannot be opened is left.

    Where visitors must sign in there is nothing to open: the server is nobody.
    """
    if is_wanted():
        return
    start = time.perf_counter()
    try:
        address = _address()
        for example in examples():
            while calm() < _CALM:
                time.sleep(_CALM / 10)
            _open(address, example)
    except (OSError, WebSocketException) as error:  # other hosts are allowed, or TLS is wanted
        log.info("the gallery's examples are read when they are first opened (%s)", error)
    else:
        log.info("opened the gallery's examples once in %.1f s", time.perf_counter() - start)


def _address() -> str:
    """Where this server answers to its pages, from the machine itself."""
    host, base = st.get_option("server.address"), st.get_option("server.baseUrlPath").strip("/")
    host = _ANY.get(host, host)
    host = f"[{host}]" if ":" in host else host
    return f"ws://{host}:{st.get_option('server.port')}{'/' if base else ''}{base}/_stcore/stream"


def _open(address: str, example: Example) -> None:
    asked = BackMsg()
    asked.rerun_script.page_name, _, asked.rerun_script.query_string = example.link.partition("?")
    options: dict[str, Any] = {"subprotocols": ["streamlit"], "max_size": None, "close_timeout": 1}
    with connect(address, additional_headers={REHEARSAL: "yes"}, **options) as socket:
        socket.send(asked.SerializeToString())
        while ForwardMsg.FromString(socket.recv(timeout=_PATIENCE)).WhichOneof("type") != "script_finished":
            pass
