"""Environments for what the tests' own does not hold: made once in build/, by the wide tests alone."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

from filelock import FileLock
from support.serving import ROOT


def environment(name: str, *requirements: str, beside: bool = False) -> Path:
    """The Python of an environment with some requirements; `beside` this one's packages, under the same lock."""
    folder = ROOT / "build" / name
    python, stamp = folder / "bin" / "python", folder / "made-for"
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not stamp.exists() or stamp.read_text() != " ".join(requirements):
            subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
            if beside:
                inside = next((folder / "lib").glob("python*/site-packages"))
                (inside / "beside.pth").write_text(sysconfig.get_path("purelib"))
            locked = ["-c", _versions(folder / "versions.txt")] if beside else []
            command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements, *locked]
            subprocess.run(command, check=True, cwd=ROOT)
            stamp.write_text(" ".join(requirements))
    return python


def _versions(path: Path) -> Path:
    """The lock without its hashes, with which pip asks for one in every requirement."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    path.write_text("\n".join(line.removesuffix(" \\") for line in lines if line[:1].isalnum()) + "\n", "utf-8")
    return path
