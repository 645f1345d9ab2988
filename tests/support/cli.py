"""The command line called in this process, and what its tests look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from transformers.utils.logging import disable_progress_bar

from memviz import cli


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class CommandLine:
    """`memviz` in a folder of its own; `models` is its model root, `cache` its cache."""

    def __init__(self, home: Path, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.models, self.cache, self.folder = home / "models", home / "cache", folder
        self._capsys, self._patch = capsys, patch
        patch.chdir(folder)
        disable_progress_bar()  # a process of its own does that by its environment, before it imports anything
        self.setenv(OMP_NUM_THREADS=1)  # tiny models are slower with more
        self.setenv(MEMVIZ_CACHE=self.cache, MEMVIZ_MODEL_ROOTS=self.models, MEMVIZ_DEVICE="cpu", MEMVIZ_OFFLINE="true")

    def setenv(self, **values: object) -> None:
        for name, value in values.items():
            self._patch.setenv(name, str(value))
        self.cache = Path(values.get("MEMVIZ_CACHE", self.cache))  # type: ignore[arg-type]

    def run(self, *words: object) -> Ended:
        self._capsys.readouterr()
        self._patch.setattr("sys.argv", ["memviz", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = self._capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ended(left.value.code, out, err)

    def trace(self, *words: object, model: str = "tiny") -> dict[str, Any]:
        """The document of a trace that goes well; stdout and stderr stay empty."""
        ended = self.run("trace", "--model", model, *words, "--out", "out.json")
        assert ended == (0, "", ""), ended
        return parse(self.folder / "out.json")

    def refused(self, *words: object, code: int = 2, after: str = "") -> str:
        """The one line on stderr, after another one if so, of a command that must fail and leave nothing behind."""
        before = self.listing()
        ended = self.run(*words)
        assert (ended.code, ended.out) == (code, ""), ended
        said = ended.err.removeprefix(after)
        assert said.startswith("memviz: ") and said.count("\n") == 1 and said.endswith("\n"), ended.err
        assert self.listing() == before
        return said.removeprefix("memviz: ").removesuffix("\n")

    def listing(self) -> dict[str, bytes]:
        return {
            path.name: path.read_bytes() if path.stat().st_size < 10**7 else b""
            for path in self.folder.iterdir()
            if path.is_file()
        }

    def write(self, name: str, content: object) -> str:
        """A file in the folder: text and bytes as they are, anything else as JSON."""
        path = self.folder / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return name


def parse(path: Path) -> dict[str, Any]:
    """JSON in the strict sense."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{path} holds {name}")

    return json.loads(path.read_text("utf-8"), parse_constant=refuse)
