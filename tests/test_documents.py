"""Every command of the documents is run, block by block; what cannot be run here is parsed.

A block of `sh`, `python` or `sql` is run in a folder of its document's own, after the blocks before it, unless its
fence is marked: hub (fetches something), gpu, docker, cluster (tests/sweeps/test_clusters.py runs it), or hours (takes
long). Of those, and of commands in running
text, subcommands, options, targets and files must exist. `make` is never run for real, because its targets serve,
install or test: `make -n` must know what they would do.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer.main
from support.cli import CommandLine
from support.programs import run_program
from support.serving import ROOT
from support.suite import SMALLEST

from memviz import cli
from memviz.catalog import SUITE_MODELS
from memviz.passages import PASSAGES
from memviz.settings import NOT_SETTINGS, PREFIX, Settings, load_settings

DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "cache/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "memviz" / "demo" / "suite").glob("*.md")),
]
MARKS = {"hub", "gpu", "docker", "cluster", "hours"}
RUN = {"sh", "python", "sql"}
DATA = {"", "json", "toml", "text", "nginx", "caddyfile"}
COMMANDS = r"(?:\.venv/bin/)?(?:memviz|python|make|docker|pip|git|streamlit)"
LONG = {"predictor.md", "maps.md", "causes.md", "population.md", "population-pages.md", "clusters.md", "sweeps.md"}
"""Documents whose commands take longer than the README's way through all of memviz."""
PUNCTUATION = "|&;<>()"
OTHERS = {"pip", "uv", "git", "cd", "export", "printf", "seq", "torchrun"}
"""Programs whose words are not looked at."""


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    marks: tuple[str, ...]
    text: str

    @property
    def commands(self) -> list[str]:
        """Lines of a shell script that are neither empty nor a comment, continued ones joined."""
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]

    @property
    def file(self) -> str | None:
        """The name of a file that the block shows, from its first line: `# pages/mine.py`."""
        named = re.match(r"# ([\w./-]+\.(?:py|toml))\n", self.text)
        return named[1] if named else None


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text("utf-8")
    assert len(re.findall(r"^ *```", text, re.MULTILINE)) % 2 == 0, f"{path.name}: a fence is not closed"
    found = []
    for fence in re.finditer(r"^ *```([^\n`]*)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        language, *marks = fence[1].split() or [""]
        found.append(Block(text.count("\n", 0, fence.start()) + 1, language, tuple(marks), fence[2]))
    return found


def without_blocks(path: Path) -> str:
    return re.sub(r"^ *```.*?^ *```$", "\n\n", path.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def in_running_text(path: Path) -> list[str]:
    """Commands between single backticks, lines joined; brackets round optional parts are taken away."""
    parts = without_blocks(path).split("\n\n")
    quoted = [" ".join(code.split()) for part in parts for code in re.findall(r"`([^`]+)`", part)]
    return [re.sub(r"[\[\]]", "", code) for code in quoted if re.match(COMMANDS + " ", code)]


def words_of(command: str) -> list[str]:
    counted = re.sub(r"\$\(\([^()]*\)\)", "1", command)  # a shell's arithmetic is a number
    lexer = shlex.shlex(counted, posix=True, punctuation_chars=PUNCTUATION)
    lexer.whitespace_split = True
    return list(lexer)


def assignments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """NAME=value words in front of a command, and the command."""
    n = next((i for i, word in enumerate(words) if not re.fullmatch(r"\w+=.*", word)), len(words))
    return dict(word.split("=", 1) for word in words[:n]), words[n:]  # type: ignore[misc]


def check_memviz(words: list[str], whole: bool) -> None:
    """Subcommands and options exist; of a whole command, everything that must be given is."""
    command: Any = typer.main.get_command(cli.app)
    while words and hasattr(command, "commands") and not words[0].startswith("-"):
        assert words[0] in command.commands, f"memviz has no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    if whole:
        command.make_context("memviz", list(words))
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    assert {word.partition("=")[0] for word in words if word.startswith("-") and not word[1:2].isdigit()} <= known


def check_python(words: list[str]) -> None:
    """The module or file exists, and a file of ours has the options."""
    if words[0] == "-m":
        assert importlib.util.find_spec(words[1]), f"there is no module {words[1]}"
    elif words[0] != "-c":
        script = (ROOT / words[0]).read_text("utf-8")
        assert all(f'"{word}"' in script for word in words[1:] if word.startswith("--")), words
    for word in words:
        if re.match(r"(tests|bench|scripts)/", word):
            assert (ROOT / word.partition("::")[0]).exists(), f"there is no {word}"


def check(command: str, whole: bool) -> None:
    """Fail where a command names what is not there."""
    given, words = assignments(words_of(command))
    known = {PREFIX + name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    assert {name for name in given if name.startswith(PREFIX)} <= known
    first = next((i for i, word in enumerate(words) if word and set(word) <= set(PUNCTUATION)), len(words))
    match [word.removeprefix(".venv/bin/") for word in words[:first]]:
        case ["memviz", *rest] | ["python", "-m", "memviz", *rest]:
            assert first == len(words), f"{command}: memviz is called without pipes here"
            check_memviz(rest, whole)
        case ["python", *rest]:
            check_python(rest)
        case ["streamlit", "run", script, *_]:
            assert (ROOT / script).is_file()
        case ["make", *rest]:
            subprocess.run(["make", "-n", *rest], cwd=ROOT, check=True, capture_output=True)
        case ["docker", "build" | "buildx" | "run", *rest]:
            settings = [word for before, word in pairwise(rest) if before == "-e"]
            assert {name.partition("=")[0] for name in settings} <= known
        case [program, *_]:
            assert program in OTHERS, f"{command}: what is {program}?"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_fences_say_what_is_run(path: Path) -> None:
    indented = re.findall(rf"^ {{4,}}{COMMANDS} .*$", without_blocks(path), re.MULTILINE)
    assert not indented, f"{path.name}: commands need a fence"
    for block in blocks_of(path):
        where = f"{path.name}, line {block.line}"
        assert block.language in RUN | DATA, where
        assert len(block.marks) <= 1 and set(block.marks) <= MARKS, where
        if block.language in DATA:
            assert not block.marks, where
            assert not re.search(rf"^\s*(\$ )?{COMMANDS} ", block.text, re.MULTILINE), f"{where}: commands need `sh`"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_name_what_exists(path: Path) -> None:
    for block in blocks_of(path):
        if block.language == "sh":
            done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True)
            assert not done.returncode, f"{path.name}, line {block.line}: {done.stderr}"
            for command in block.commands:
                check(command, whole=True)
        elif block.language == "python":
            compile(block.text, f"{path.name}, line {block.line}", "exec")
        elif block.language == "toml":
            tomllib.loads(block.text)
    for command in in_running_text(path):
        check(command, whole=False)


@pytest.mark.parametrize(
    "wrong",
    [
        "memviz trace --modle x",
        "memviz paint",
        "memviz trace --model x",
        "python bench/no.py",
        "curl x",
        "docker run -e MEMVIZ_X=1 y",
    ],
)
def test_a_wrong_command_is_found(wrong: str) -> None:
    with pytest.raises((AssertionError, OSError, typer.TyperException)):
        check(wrong, whole=True)


# What documents name as the reader's own


def prepare(folder: Path) -> None:
    """Texts, ids and a model where documents name some of the reader's."""
    passages = list(PASSAGES.values())
    for name in ("passage.txt", "a.txt"):
        (folder / name).write_text(passages[0], "utf-8")
    (folder / "texts").mkdir()
    (folder / "texts" / "one.txt").write_text(passages[1], "utf-8")
    (folder / "more.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in passages), "utf-8")
    lines = [{"text": text, "times_seen": seen} for seen, text in enumerate(passages)]
    (folder / "fine-tuning.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    (folder / "ids.json").write_text(
        json.dumps({"context_ids": [*range(50, 66)], "continuation_ids": [*range(66, 82)]})
    )
    shutil.copytree(SUITE_MODELS / SMALLEST, folder / "downloads" / "my-model")
    (folder / "downloads" / "my-model" / "memviz.json").unlink()
    (folder / "docs").mkdir()
    for name in ("bench", "scripts", "tests"):
        (folder / name).symlink_to(ROOT / name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all documents."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def line(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    prepare(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return CommandLine(home, tmp_path, capsys, monkeypatch)


def run(command: str, line: CommandLine) -> None:
    """memviz in this process, which has imported torch; everything else by bash."""
    given, words = assignments(words_of(command))
    if words[0] == "make":
        return  # checked by `make -n`
    if words[0] == "memviz":
        with pytest.MonkeyPatch.context() as patch:
            for name, value in given.items():
                patch.setenv(name, value)
            ended = line.run(*words[1:])
        assert ended.code == 0, f"{command}: {ended.err}"
        return
    bash(["bash", "-euo", "pipefail", "-c", command], ROOT if "pytest" in words else line.folder)


def bash(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    assert not done.returncode, f"{command[-1]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.wide] * (path.name in LONG))
        for path in DOCUMENTS
        if {block.language for block in blocks_of(path)} - {""}
    ],
    ids=lambda path: path.name,
)
def test_what_a_document_says_can_be_done(path: Path, line: CommandLine) -> None:
    blocks = blocks_of(path)
    for n, block in enumerate(blocks):
        if block.marks:
            continue
        if block.file is not None:
            target = line.folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, "utf-8")
            if block.file == "memviz.toml":
                line.setenv(MEMVIZ_CONFIG=target)
                load_settings()
            else:
                assert any(block.file in later.text for later in blocks[n + 1 :]), f"{block.file} is never used"
        elif block.language == "sh":
            for command in block.commands:
                run(command, line)
        elif block.language == "python":
            script = line.folder / f"block-{block.line}.py"
            script.write_text(block.text, "utf-8")
            run_program(script)
        elif block.language == "sql":
            assert len(duckdb.sql(block.text).fetchall())
