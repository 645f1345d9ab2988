"""The ASGI app that `streamlit run app.py` serves: security headers, a readiness route, and an orderly log."""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memviz import __version__
from memviz.settings import SettingsError, quiet_libraries, settings
from memviz.ui import early

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


async def ready(_: Request) -> JSONResponse:
    """Whether this server can serve pages (200) or not (503), and why not."""
    try:
        settings().cache.mkdir(parents=True, exist_ok=True)
    except (SettingsError, OSError) as error:
        return JSONResponse({"ready": False, "reason": str(error)}, status_code=503)
    return JSONResponse({"ready": True, "version": __version__})


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, object]]:
    quiet_libraries()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("memviz").setLevel(logging.INFO)
    yield {}


app = st.App(
    SCRIPT,
    lifespan=lifespan,
    routes=[Route("/ready", ready), *early.ROUTES],
    middleware=[Middleware(SecurityHeaders)],
)
