from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import chromium
from support.chromium import NoChromium, find_chromium
from support.serving import ROOT


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked after PATH, in order; both have nothing."""
    asked: list[str] = []
    monkeypatch.setattr(chromium, "_of_playwright", lambda: asked.append("playwright"))
    monkeypatch.setattr(chromium, "_from_apt", lambda environ: asked.append("apt"))
    return asked


def program(folder: Path, name: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_named_one_comes_first(tmp_path: Path, asked: list[str]) -> None:
    named = program(tmp_path / "own", "mine")
    program(tmp_path / "bin", "chromium")
    assert find_chromium({"MEMVIZ_CHROMIUM": str(named), "PATH": str(tmp_path / "bin")}) == named
    assert asked == []


@pytest.mark.parametrize("kind", ["missing", "folder", "not executable"])
def test_a_named_one_that_is_no_program_is_an_error(kind: str, tmp_path: Path, asked: list[str]) -> None:
    named = tmp_path / "mine"
    if kind == "folder":
        named.mkdir()
    elif kind == "not executable":
        named.touch()
    program(tmp_path / "bin", "chromium")
    with pytest.raises(NoChromium, match=f"MEMVIZ_CHROMIUM={named} is not a program; set it to .* or unset it"):
        find_chromium({"MEMVIZ_CHROMIUM": str(named), "PATH": str(tmp_path / "bin")})
    assert asked == []


def test_then_the_path_in_the_order_of_names(tmp_path: Path, asked: list[str]) -> None:
    for name in reversed(chromium.NAMES):
        path = program(tmp_path, name)
        assert find_chromium({"PATH": str(tmp_path)}) == path
    assert asked == []


def test_then_playwrights_own(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> None:
    monkeypatch.setattr(chromium, "_of_playwright", lambda: Path("/own/chrome"))
    assert find_chromium({"PATH": ""}) == Path("/own/chrome")
    assert asked == []


def test_then_apt_and_at_last_one_sentence(asked: list[str]) -> None:
    with pytest.raises(NoChromium, match=r"^no Chromium was found: install one of .* or set MEMVIZ_CHROMIUM") as caught:
        find_chromium({"PATH": ""})
    assert asked == ["playwright", "apt"]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("ci", "uid", "calls"), [("", 0, 0), ("true", 1000, 0), ("true", 0, 2)])
def test_apt_only_as_root_in_ci_and_never_sudo(
    ci: str, uid: int, calls: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(chromium.os, "geteuid", lambda: uid)
    monkeypatch.setattr(chromium.shutil, "which", lambda name, path=None: "/usr/bin/apt-get" if "apt" in name else None)
    monkeypatch.setattr(chromium.subprocess, "run", lambda command, **_: commands.append(command))
    assert chromium._from_apt({"CI": ci, "PATH": ""}) is None
    assert len(commands) == calls
    assert all(command[0] == "apt-get" for command in commands)


@pytest.mark.parametrize(
    ("path", "probe"),
    [("trace/_stcore/health", True), ("_stcore/health", False), ("trace/_stcore/stream", False), ("a.js", False)],
)
def test_only_streamlits_own_probe_may_fail(path: str, probe: bool) -> None:
    assert chromium._is_probe(f"http://127.0.0.1:8501/{path}") is probe


def test_as_a_script_it_fails_with_one_sentence() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "support" / "chromium.py")],
        env={"MEMVIZ_CHROMIUM": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "MEMVIZ_CHROMIUM=/nowhere is not a program; set it to Chromium's path or unset it\n"
