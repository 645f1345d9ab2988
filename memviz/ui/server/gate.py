"""What stands before Streamlit: only paths and messages that pages use, and only of those who have signed in."""

from __future__ import annotations

import asyncio
import html
import json
import logging
from collections import Counter
from typing import Any

import streamlit as st
from google.protobuf.message import DecodeError
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import get_cookie_with_chunks, get_origin_from_redirect_uri
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.user_info import generate_login_redirect_url
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from memviz.ui.common.sign_in import is_wanted
from memviz.ui.server import attendance

log = logging.getLogger(__name__)
CORE = "/_stcore/"
UPLOAD = "/_stcore/upload_file/"
USED = ("/_stcore/health", "/_stcore/host-config", "/_stcore/stream", UPLOAD, "/_stcore/bidi-components/")
"""What pages use of Streamlit's own routes; its metrics and its agents' routes are closed."""
OPEN = ("/ready", "/auth/login", "/auth/logout", "/oauth2callback")
"""What is answered to those who have not signed in."""
READ = ("GET", "HEAD", "OPTIONS")
MESSAGES = ("rerun_script", "stop_script", "app_heartbeat", "file_urls_request", "backend_operation_request")
OPERATIONS = ("deferred_file", "dataframe_chunk")
MOST_SOCKETS = 200
"""Pages open at once, of all visitors."""
MOST_OF_AN_ADDRESS = 50
"""Of one address that is not this machine's own, where a proxy may stand for many."""
MOST_UPLOADS = 6
"""Files that a session may have uploaded, or be uploading."""
UPLOAD_BYTES = 2 * 1024 * 1024
"""Of a request that uploads, its wrapping included."""
UPLOAD_SECONDS = 60.0
"""Within which it must have come."""
_STRANGER = """<!doctype html><html lang="en"><meta charset="utf-8"><title>memviz</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:28rem;padding:0 1rem}</style>
<h1>memviz</h1><p>This server is for those who sign in.</p><p>%s</p></html>"""


class Gate:
    """Lets through what pages of this server ask; anything else changes no byte and no job."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._base = "/" + st.get_option("server.baseUrlPath").strip("/")
        self._sockets = Counter[str]()
        self._uploading = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(self._base if self._base != "/" else "")
        is_socket = scope["type"] == "websocket"
        if path not in OPEN and not may_enter(scope):
            answer = _shut if is_socket else _to_stranger(scope, path)
        elif path.startswith(CORE) and not path.startswith(USED):
            answer = _shut if is_socket else _said(404, "There is nothing here.")
        elif is_socket:
            answer = self._stream
        elif path.startswith(UPLOAD) and scope["method"] == "PUT":
            answer = self._upload
        elif scope["method"] in READ or (path.startswith(UPLOAD) and scope["method"] == "DELETE"):
            answer = self._app
        else:
            answer = _said(405, "This server is only read.")
        await answer(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A page's socket: messages that pages send reach Streamlit, others are dropped."""
        address = (scope.get("client") or ("",))[0]
        is_own = address in ("", "127.0.0.1", "::1")
        if self._sockets.total() >= MOST_SOCKETS or (not is_own and self._sockets[address] >= MOST_OF_AN_ADDRESS):
            log.warning("%d pages are open, as many as there may be: another was refused", self._sockets.total())
            await _shut(scope, receive, send)
            return
        is_shut = False

        async def used() -> Message:
            nonlocal is_shut
            while True:
                message = await receive()
                if message["type"] != "websocket.receive":
                    return message
                use = is_used(message.get("bytes"))
                if use:
                    return message
                if use is None:
                    is_shut = True
                    await send({"type": "websocket.close", "code": 1003})  # no message of the protocol
                    return {"type": "websocket.disconnect", "code": 1003}

        async def send_on(message: Message) -> None:
            if not is_shut:
                await send(message)

        self._sockets[address] += 1
        try:
            await self._app(scope, used, send_on)
        finally:
            self._sockets = self._sockets - Counter([address])
            attendance.look()

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A file for a session: read whole, within the limits, before Streamlit sees any of it."""
        session = scope["path"].partition(UPLOAD)[2].partition("/")[0]
        if not attendance.is_there(session):
            await _said(400, "No page of this session is open.")(scope, receive, send)
            return
        if self._uploading[session] + attendance.n_uploads(session) >= MOST_UPLOADS:
            await _said(429, f"A page keeps at most {MOST_UPLOADS} uploaded files: remove one.")(scope, receive, send)
            return
        self._uploading[session] += 1
        try:
            body = await _body(receive)
            if body is None:
                await _said(413, "A text of at most 2 MB can be uploaded, within a minute.")(scope, receive, send)
                return
            messages = [{"type": "http.request", "body": body, "more_body": False}]

            async def again() -> Message:
                return messages.pop() if messages else await receive()

            await self._app(scope, again, send)
            attendance.know(session)
        finally:
            self._uploading = self._uploading - Counter([session])


async def _body(receive: Receive) -> bytes | None:
    """A request's body, None where it is too long, too slow or broken off."""
    parts, n_bytes, is_whole = [], 0, False
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            while not is_whole:
                message = await receive()
                parts.append(message.get("body", b""))
                n_bytes += len(parts[-1])
                if n_bytes > UPLOAD_BYTES or message["type"] == "http.disconnect":
                    return None
                is_whole = not message.get("more_body", False)
    except TimeoutError:
        return None
    return b"".join(parts)


def is_used(data: bytes | None) -> bool | None:
    """Whether pages send such a message; None where it is none of the protocol."""
    try:
        message = BackMsg.FromString(data or b"\x00")
    except DecodeError:
        return None
    kind = message.WhichOneof("type")
    if kind == "backend_operation_request":
        asked = message.backend_operation_request
        return any(asked.HasField(operation) for operation in OPERATIONS)
    return kind in MESSAGES


def may_enter(scope: Scope) -> bool:
    """Whether a visitor has signed in, or need not. Nobody has where the cookie's secret cannot be read."""
    if not is_wanted():
        return True
    if not st.secrets.load_if_toml_exists():
        return False
    secret, cookies = st.secrets["auth"].get("cookie_secret"), HTTPConnection(scope).cookies
    if not secret or secret != get_cookie_secret():
        return False

    def signed(name: str) -> bytes | None:
        value = cookies.get(name)
        return decode_signed_value(secret, name, value.encode("latin-1", "replace")) if value else None

    try:
        user: Any = json.loads(get_cookie_with_chunks(signed, USER_COOKIE_NAME) or b"null")
    except ValueError:
        return False
    is_ours = isinstance(user, dict) and user.get("origin") == get_origin_from_redirect_uri()
    return is_ours and user.get("is_logged_in") is True


def _to_stranger(scope: Scope, path: str) -> ASGIApp:
    """The way to sign in where a page was asked for, else a refusal."""
    if scope["method"] != "GET" or path.startswith((CORE, "/static/", "/media/", "/early/", "/component/")):
        return _said(401, "Sign in first.")
    if not st.secrets.load_if_toml_exists():
        said = "The server's secrets.toml cannot be read, so nobody can sign in: its operator has to mend it."
    else:
        try:
            said = f'<a href="{html.escape(generate_login_redirect_url("default"))}">Sign in</a>'
        except Exception as error:  # whatever a package that is not there, or a wrong section, raises
            log.error("nobody can sign in: %s", error)
            said = "Its sign-in is not set up whole: its operator has to mend it (docs/sharing.md)."
    return HTMLResponse(_STRANGER % said, status_code=401, headers={"cache-control": "no-store"})


def _said(status: int, sentence: str) -> ASGIApp:
    return PlainTextResponse(sentence + "\n", status_code=status, headers={"connection": "close"})


async def _shut(_: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1008})  # policy violation
