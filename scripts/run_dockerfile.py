"""Run the Dockerfile's steps in a folder, where no Docker is at hand.

usage: run_dockerfile.py FOLDER [ARG=VALUE ...]

COPY and RUN happen below FOLDER with PATH, HOME, PIP_*, UV_* and SSL_* (how packages are reached here) as the whole
environment; then CMD is started and the health check run against it.
Not covered, and said when skipped: the base image, users, volumes.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN_FOLDERS = ("/opt/memviz", "/var/lib/memviz")
"""What the image's paths begin with; each is moved below FOLDER."""
REACH = ("PIP_", "UV_", "SSL_")
HEALTH_PATIENCE = 60  # seconds, as --start-period


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction, arguments) in order, continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def copy(sources: list[str], target: Path) -> None:
    """COPY as Docker does it, minus what .dockerignore names."""
    ignored = [line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split() if line[0] != "!"]

    def skip(_folder: str, names: list[str]) -> set[str]:
        return {name for name in names if any(fnmatch(name, pattern) for pattern in ignored)}

    target.mkdir(parents=True, exist_ok=True)
    for source in map(ROOT.joinpath, sources):
        if source.is_dir():
            shutil.copytree(source, target, ignore=skip, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)


def main(folder: Path, arguments: dict[str, str]) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    text = (ROOT / "Dockerfile").read_text().replace("8501", port).replace("0.0.0.0", "127.0.0.1")
    for own in OWN_FOLDERS:
        text = text.replace(own, f"{folder}{own}")
        Path(f"{folder}{own}").mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith(REACH)}
    environment["HOME"] = str(folder)
    here, health, command = folder, "", ""
    for word, rest in instructions(text):
        print(f"{word} {rest}"[:160], flush=True)
        match word:
            case "ARG":
                name, _, default = rest.partition("=")
                environment[name] = arguments.get(name, default)
            case "ENV":
                for name, value in (pair.split("=", 1) for pair in shlex.split(rest)):
                    environment[name] = value.replace("$PATH", environment["PATH"])
            case "WORKDIR":
                here = Path(rest)
                here.mkdir(parents=True, exist_ok=True)
            case "COPY":
                *sources, target = rest.split()
                copy(sources, here / target)
            case "RUN" if "useradd" not in rest:
                subprocess.run(["/bin/sh", "-c", rest], cwd=here, env=environment, check=True)
            case "HEALTHCHECK":
                health = rest.partition("CMD ")[2]
            case "CMD":
                command = rest
            case _:
                print("  skipped")
    server = subprocess.Popen(json.loads(command), cwd=here, env=environment)
    try:
        deadline = time.monotonic() + HEALTH_PATIENCE
        healthy = False
        while not healthy and time.monotonic() < deadline and server.poll() is None:
            time.sleep(1)
            healthy = not subprocess.run(json.loads(health), cwd=here, env=environment, capture_output=True).returncode
    finally:
        server.terminate()
        server.wait()
    print("healthy" if healthy else "not healthy")
    return 0 if healthy else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]).absolute(), dict(pair.split("=", 1) for pair in sys.argv[2:])))
