"""The ASGI app that `streamlit run app.py` serves: allowed hosts, security headers, a readiness route, a log."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryFile
from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memviz import __version__, disk
from memviz.errors import InputError, MemvizError
from memviz.settings import Settings, quiet_libraries, settings
from memviz.ui.server import early
from memviz.ui.server.connections import keep_bounded
from memviz.ui.server.gate import READ, Gate
from memviz.ui.server.logs import Bounded

SCRIPT = Path(__file__).resolve().parent / "memviz" / "dashboard.py"
# Streamlit puts the script's folder on the import path for the length of each run. Another thread that imports just
# then, as the worker does, can miss a folder; so it is there for good, and last, where its names shadow nothing.
if str(SCRIPT.parent) not in sys.path:
    sys.path.append(str(SCRIPT.parent))


def content_security_policy() -> str:
    """What the pages may load: this server alone, and the installed Streamlit's own inline scripts by their hashes."""
    index = (Path(st.__file__).parent / "static" / "index.html").read_text("utf-8")
    inline = re.findall(r"<script>(.*?)</script>", index, flags=re.DOTALL)
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'" for code in inline]
    return "; ".join(
        (
            "default-src 'self'",
            " ".join(("script-src 'self' blob:", *hashes)),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


class SecurityHeaders:
    """Adds the same headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        headers = {
            "content-security-policy": content_security_policy(),
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
            "cross-origin-opener-policy": "same-origin",
            "permissions-policy": "camera=(), microphone=(), geolocation=()",
        }
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def allowed_hosts() -> frozenset[str]:
    """Names this server answers to, in lower case, without the brackets of IPv6: those of the settings, and its own."""
    try:
        names = settings().allowed_hosts
    except InputError:  # every page says so; a stranger's name is no place to say it
        names = Settings.model_fields["allowed_hosts"].get_default()
    bound = st.get_option("server.address")
    own = {bound} if bound and bound not in ("0.0.0.0", "::") else set()
    return frozenset(name.lower().strip("[]") for name in {*names, *own})


class AllowedHosts:
    """Answers requests under allowed names only: else a page of a stranger's name that leads here could read all.

    What a page sends, on a socket or to be kept, must come from a page of this very server: name and port.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._allowed = app, allowed_hosts()

    def _may(self, url: str) -> bool:
        try:
            name = urlsplit(url).hostname or ""
        except ValueError:
            return False
        parents = ("*." + name.split(".", n)[n] for n in range(1, name.count(".") + 1))
        return not self._allowed.isdisjoint((name, "*", *parents)) and bool(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] in ("http", "websocket") else Headers()
        host, origin = headers.get("host", ""), headers.get("origin")
        if scope["type"] == "http" and not self._may(f"//{host}"):
            sentence = (
                f"This server does not answer to the name {host[:200]!r}: if it is yours, add the name (without port) "
                "to MEMVIZ_ALLOWED_HOSTS and start memviz again.\n"
            )
            await PlainTextResponse(sentence, status_code=400)(scope, receive, send)
        elif scope["type"] == "websocket" and not (self._may(f"//{host}") and is_same(origin, host)):
            await send({"type": "websocket.close", "code": 1008})  # policy violation
        elif scope["type"] == "http" and scope["method"] not in READ and not is_same(origin, host):
            await PlainTextResponse("A page of another server asks.\n", status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def is_same(origin: str | None, host: str) -> bool:
    """Whether a page of an origin is of this server, letter by letter; programs say none.

    Of another spelling Streamlit would ask outside for this machine's address.
    """
    return origin is None or origin in (f"http://{host}", f"https://{host}")


def ready(_: Request) -> JSONResponse:
    """Whether this server can serve pages (200) or not (503), and why not."""
    try:
        cache = settings().cache
        with disk.refusing(cache):
            cache.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=cache) as file:
                file.write(b"ready")
    except (MemvizError, OSError) as error:
        return JSONResponse({"ready": False, "reason": str(error)}, status_code=503)
    return JSONResponse({"ready": True, "version": __version__})


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, object]]:
    quiet_libraries()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("memviz").setLevel(logging.INFO)
    for name in ("", "uvicorn", "streamlit"):
        for handler in logging.getLogger(name).handlers:
            handler.addFilter(Bounded())
    keep_bounded()
    yield {}


app = st.App(
    SCRIPT,
    lifespan=lifespan,
    routes=[Route("/ready", ready), *early.ROUTES],
    middleware=[Middleware(SecurityHeaders), Middleware(AllowedHosts), Middleware(Gate)],
)
