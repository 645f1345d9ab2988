"""The ASGI app: headers on every answer, readiness, and a start without torch."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import streamlit
from serving import ROOT, Server, start_server


def get(url: str) -> tuple[int, dict[str, str], bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()


@pytest.mark.parametrize("path", ["/", "/trace", "/ready", "/_stcore/health", "/nowhere"])
def test_every_answer_carries_the_security_headers(server: Server, path: str) -> None:
    _, headers, _ = get(server.url + path)
    policy = headers["content-security-policy"]
    for rule in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'", "connect-src 'self'"):
        assert rule in policy
    assert "http" not in policy and "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_the_policy_allows_streamlits_own_inline_script(server: Server) -> None:
    _, headers, _ = get(server.url)
    index = (Path(streamlit.__file__).parent / "static" / "index.html").read_text("utf-8")
    inline = re.search(r"<script>(.*?)</script>", index, re.DOTALL)
    assert inline
    digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in headers["content-security-policy"]


def test_ready_says_so(server: Server) -> None:
    status, _, body = get(f"{server.url}/ready")
    assert status == 200 and json.loads(body)["ready"] is True


def test_not_ready_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    env = {"MEMVIZ_CACHE": str(tmp_path / "file" / "cache")}
    with start_server(ROOT / "app.py", env=env, log=tmp_path / "log") as broken:
        status, _, body = get(f"{broken.url}/ready")
    answer = json.loads(body)
    assert status == 503 and answer["ready"] is False and "file/cache" in answer["reason"]


def test_pages_import_no_torch() -> None:
    """What the first page needs, imported as the server does it."""
    code = (
        "import sys, memviz.ui, memviz.export, memviz.passages\n"
        "print(sorted(name for name in ('torch', 'transformers', 'umap', 'numba') if name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"


def test_script_runs_leave_the_import_path_alone() -> None:
    """Where they change it, a thread that imports at that moment can miss a folder of installed packages."""
    code = (
        "import sys, app\n"
        "from streamlit.runtime.scriptrunner.exec_code import modified_sys_path\n"
        "before = list(sys.path)\n"
        "with modified_sys_path(str(app.app.script_path)):\n"
        "    print(sys.path == before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "True"
