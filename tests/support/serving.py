"""A Streamlit server for tests: started on a free port of 127.0.0.1, ended by its own process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEST_CACHE = ROOT / "build" / "test-cache"
"""Where the embedded model is kept converted, from run to run."""


@dataclass(frozen=True)
class Server:
    url: str
    """Without a slash at the end."""
    log: Path
    """What the server prints, both streams."""
    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    """What it was started with, for commands that share its cache."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def start_server(
    script: Path = ROOT / "app.py",
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    timeout: float = 240,
    address: str = "127.0.0.1",
) -> Iterator[Server]:
    """Serve `script` until the block ends; it has begun when it answers, be it that it cannot serve.

    env: added to the environment. timeout: seconds to become ready; RuntimeError with the log otherwise.
    """
    port = port or free_port()
    log = log or script.with_suffix(".log")
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.headless=true"]
    command += [f"--server.address={address}", f"--server.port={port}", "--browser.gatherUsageStats=false"]
    with log.open("wb") as out:
        environment = {**os.environ, **(env or {})}
        process = subprocess.Popen(command, cwd=script.parent, env=environment, stdout=out, stderr=subprocess.STDOUT)
    host = "[::1]" if address == "::" else "127.0.0.1"
    server = Server(f"http://{host}:{port}", log, process, environment)
    try:
        _wait(server, timeout)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(server: Server, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/ready", timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(
        f"no healthy server at {server.url} in {timeout:g} s; its log:\n{server.log.read_text()[-4000:]}"
    )
