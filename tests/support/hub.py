"""A small hub of models and data sets on 127.0.0.1, for huggingface_hub's own client."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

REPO = "((?:datasets/)?[^/]+/[^/]+)"


@dataclass
class Hub:
    """Repositories by name: revisions to commits, commits to files. What was asked is kept.

    A data set's name is datasets/OWNER/NAME.
    """

    repos: dict[str, dict[str, str]] = field(default_factory=dict)
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By commit."""
    closed: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Repository -> status and error code it answers with."""
    cuts: dict[str, list[int]] = field(default_factory=dict)
    """File -> after how many bytes its next answers break off."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Files that were got, with their ranges."""
    url: str = ""

    def put(self, repo: str, folder: Path, revision: str = "main", **more: bytes) -> str:
        """Publish a folder's files as a revision; its commit."""
        files = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        files |= {name.replace("__", "/").replace("_dot_", "."): content for name, content in more.items()}
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.repos.setdefault(repo, {})[revision] = commit
        self.files[commit] = files
        return commit


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a body waits 40 ms for its header to be acknowledged

        def log_message(self, *_: Any) -> None:
            return

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_POST(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = urllib.parse.unquote(self.path.partition("?")[0]).replace("/api/models/", "/api/")
            if found := re.fullmatch(rf"/api/{REPO}/revision/(.+)", path):
                repo, commit = self._commit(found[1], found[2])
                if commit:
                    files = [{"rfilename": name, **_entry(name, c)} for name, c in hub.files[commit].items()]
                    self._json({"id": repo, "sha": commit, "siblings": files})
            elif found := re.fullmatch(rf"/api/{REPO}/tree/([0-9a-f]{{40}})(/.*)?", path):
                inside = (found[3] or "/").strip("/")
                self._json([_entry(n, c) for n, c in hub.files[found[2]].items() if n.startswith(inside)])
            elif found := re.fullmatch(rf"/api/{REPO}/paths-info/([^/]+)", path):
                asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
                names = urllib.parse.parse_qs(asked).get("paths") or json.loads(asked)["paths"]
                commit = self._commit(found[1], found[2])[1]
                if commit:
                    self._json([_entry(n, c) for n, c in hub.files[commit].items() if n in names])
            elif found := re.fullmatch(rf"/{REPO}/resolve/([^/]+)/(.+)", path):
                _, commit = self._commit(found[1], found[2])
                if commit:
                    self._file(commit, found[3], with_body)
            else:
                self._error(404, "EntryNotFound")

        def _commit(self, repo: str, revision: str) -> tuple[str, str | None]:
            """The commit of a revision, None where an error was answered."""
            if repo in hub.closed:
                self._error(*hub.closed[repo])
            elif repo not in hub.repos:
                self._error(404, "RepoNotFound")
            elif revision in hub.repos[repo].values() or revision in hub.repos[repo]:
                return repo, hub.repos[repo].get(revision, revision)
            else:
                self._error(404, "RevisionNotFound")
            return repo, None

        def _file(self, commit: str, name: str, with_body: bool) -> None:
            content = hub.files[commit].get(name)
            if content is None:
                self._error(404, "EntryNotFound")
                return
            asked = self.headers.get("Range")
            first = int(re.match(r"bytes=(\d+)-", asked)[1]) if asked else 0
            etag = _sha(content) if name.endswith(".safetensors") else _oid(content)
            self.send_response(206 if asked else 200)
            self.send_header("ETag", f'"{etag}"')
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - first))
            if asked:
                self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            if not with_body:
                return
            hub.asked.append((name, asked or ""))
            cut = hub.cuts[name].pop(0) if hub.cuts.get(name) else None
            self.wfile.write(content[first : None if cut is None else first + cut])
            if cut is not None:
                self.close_connection = True

        def _json(self, content: Any) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _error(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", f"said by the hub: {code}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


def _entry(name: str, content: bytes) -> dict[str, Any]:
    """A file as the hub lists it."""
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _oid(content)}
    if name.endswith(".safetensors"):
        entry["lfs"] = {"oid": _sha(content), "sha256": _sha(content), "size": len(content), "pointerSize": 134}
    return entry


def _oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
