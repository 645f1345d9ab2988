"""scripts/install.sh against an interpreter that only writes down what it is asked."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.serving import ROOT

STUB = """#!/bin/sh
# Answers as python $STUB_VERSION, as pip with $STUB_SETTINGS, and as uv. Notes venv, pip and uv calls in $STUB_LOG and
# the lock that uv gets in $STUB_LOG-lock; fails where the call contains $STUB_FAILS.
case "$1 $2" in
    "-c "*) echo "${STUB_VERSION:-3.12.1}"; exit ;;
    "-m venv") mkdir -p "$4/bin"; rm -f "$4"/memviz-*; cp "$0" "$4/bin/python"; cp "$0" "$4/bin/uv" ;;
    "-m pip") case "$3" in --version) exit ;; config) echo "${STUB_SETTINGS:-}"; exit ;; esac ;;
esac
echo "$*" >>"$STUB_LOG"
case "$*" in *" -c "*) cp "${*##* -c }" "$STUB_LOG-lock" ;; esac
sleep "${STUB_SECONDS:-0}"
case "$*" in *"${STUB_FAILS:-nothing fails}"*) exit 1 ;; esac
"""
PINS = ("requirements.txt", "requirements-dev.txt", "requirements-first.txt", "constraints.txt")
FILES = (*PINS, "pyproject.toml", "scripts/install.sh")


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
    uv = "pip install --python .venv/bin/python --quiet --compile-bytecode"
    assert calls == [
        "-m venv --clear .venv",
        "-m pip install --disable-pip-version-check --quiet --no-deps --require-hashes -r requirements-first.txt",
        f"{uv} --require-hashes -r requirements.txt -c constraints.txt",
        f"{uv} --no-deps --no-build-isolation -e .",
    ]


def test_the_second_run_does_nothing(checkout: Checkout) -> None:
    checkout.install()
    assert checkout.install() == (0, "", [])
    assert checkout.install(PYTHON="") == (0, "", []), "the environment's own Python is found first"


def test_dev_is_added_once_and_holds_for_both(checkout: Checkout) -> None:
    checkout.install()
    call = checkout.install("--dev")[2][1]
    assert "-r requirements-dev.txt" in call
    assert "--compile-bytecode" not in call, "who develops compiles what is imported, when it is"
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


@pytest.mark.parametrize("fails", ["-m venv", "-r requirements-first.txt", "-r requirements.txt", "-e ."])
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


def names_in(lock: str) -> list[str]:
    return re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)


@pytest.mark.parametrize("place", ["TORCH_INDEX", "find-links"])
def test_torch_of_another_place_is_held_to_its_version_alone(place: str, checkout: Checkout) -> None:
    given = {"TORCH_INDEX": "https://host/cpu"} if place == "TORCH_INDEX" else {}
    call = checkout.install(**given, STUB_SETTINGS="" if given else ":env:.find-links='/wheels'")[2][2]
    assert ("--index https://host/cpu --index-strategy unsafe-best-match" in call) is bool(given)
    assert ("--find-links /wheels" in call) is not bool(given)
    assert "--require-hashes" not in call, "torch's cannot be known; those of the lock are checked all the same"
    whole, lock = (path.read_text() for path in (ROOT / "constraints.txt", Path(f"{checkout.log}-lock")))
    left_out = set(names_in(whole)) - set(names_in(lock))
    assert {"torch", "triton", "nvidia-cublas"} <= left_out
    assert all(re.match("torch$|triton$|cuda-|nvidia-", name) for name in left_out)
    assert all(line in whole for line in lock.splitlines()) and lock.count("--hash=") > 1000
    assert checkout.install()[2] == [], "the index is for a new environment"


def test_pips_own_index_is_asked(checkout: Checkout) -> None:
    settings = ":env:.index-url='https://first/simple'\nglobal.index-url='https://second/simple'\nglobal.cert='/c'"
    assert "--default-index https://first/simple -r" in checkout.install(STUB_SETTINGS=settings)[2][2]


def test_every_locked_package_has_hashes() -> None:
    for path in (ROOT / "constraints.txt", ROOT / "requirements-first.txt"):
        entries = re.split(r"^(?=[\w.-]+==)", path.read_text(), flags=re.MULTILINE)[1:]
        assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == [], path
    pinned = [line.split(";")[0].strip() for name in PINS[:2] for line in (ROOT / name).read_text().splitlines()]
    lock = (ROOT / "constraints.txt").read_text()
    assert [pin for pin in pinned if "==" in pin and f"\n{pin.split()[0].lower()}" not in lock] == []


UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
MAKES = f"""#!/bin/sh
# Python, but environments are made with the real uv and without pip, which does nothing then.
case "$1 $2" in "-m venv") ;; *) exec {sys.executable} "$@" ;; esac
{sys.executable} -m venv --without-pip --clear "$4"
ln -s "{UV}" "$4/bin/uv"
mkdir "$("$4/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pip"
cp {os.devnull} "$("$4/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pip/__main__.py"
"""


def wheel(folder: Path) -> str:
    """A package `tiny` of one module; the sha256 of its file."""
    path, about = folder / "tiny-1.0-py3-none-any.whl", "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("tiny.py", "")
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", f"tiny.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.skipif(UV is None, reason="`make install` brings uv; this environment was made otherwise")
def test_a_package_with_another_hash_than_the_locks_is_refused(checkout: Checkout, tmp_path: Path) -> None:
    """By uv as the script calls it; the same package is installed where the hash is right."""
    right = wheel(tmp_path)
    checkout.python.write_text(MAKES)
    (checkout.folder / "requirements.txt").write_text("tiny==1.0\n")
    given = {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(tmp_path), "UV_CACHE_DIR": str(tmp_path / "uv")}
    for digest, is_there in (("0" * 64, False), (right, True)):
        (checkout.folder / "constraints.txt").write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n")
        code, said, _ = checkout.install(**given)
        assert code != 0 and ("Hash mismatch for `tiny==1.0`" in said) is not is_there, said
        assert bool(list((checkout.folder / ".venv").rglob("tiny.py"))) is is_there


def test_what_is_installed_first_is_refused_with_another_hash(tmp_path: Path) -> None:
    """By pip, whose environment is not changed."""
    right, place = wheel(tmp_path), tmp_path / "requirements-first.txt"
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--find-links", str(tmp_path)]
    for digest, code in (("0" * 64, 1), (right, 0)):
        place.write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n")
        done = subprocess.run(
            [*command, "--no-deps", "--require-hashes", "-r", str(place)], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        assert ("DO NOT MATCH THE HASHES" in done.stderr) is bool(code)


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
