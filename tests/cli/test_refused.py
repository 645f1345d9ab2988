"""Names, places, disks and settings that cannot be used: one sentence each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.cli import CommandLine
from support.model_folders import TEXT

MORE_SPACE = "free space or set MEMVIZ_CACHE or --out to another folder"
TRACE = ["trace", "--model", "tiny", "--out", "out.json"]
TEXT_FILE = [*TRACE, "--text-file", "text.txt"]


@pytest.mark.parametrize(
    "name", ["../tiny", "..", "/etc", "~/tiny", "./tiny", "a/../b", r"a\b", "owner/name@../x", "é\n"]
)
def test_names_that_are_paths(cli: CommandLine, name: str) -> None:
    sentence = f"model {name!r} is not a name: give a name of `memviz models`, or put the folder under a root of "
    sentence += "MEMVIZ_MODEL_ROOTS and give the folder's name"
    for words in (["trace", "--model", name, "--text-file", "text.txt", "--out", "o.json"], ["models", "add", name]):
        assert cli.refused(*words) == sentence


@pytest.mark.parametrize("name", ["nope", "", "tiny ", "pythia-3b-deduped", "pythia-14m-deduped@stepX", "a/b/c"])
def test_names_that_nothing_has(cli: CommandLine, name: str) -> None:
    sentence = cli.refused("trace", "--model", name, "--text-file", "text.txt", "--out", "o.json")
    assert sentence.startswith(f"model {name!r} is unknown: known are tiny, tiny-bos, ")
    assert ", smollm2-135m, gemma-3-270m, pythia-" in sentence
    assert sentence.endswith("a hub id like owner/name@revision, or a folder under a root of MEMVIZ_MODEL_ROOTS")


@pytest.mark.parametrize("name", ["pythia-70m-deduped", "pythia-410m-deduped@step1000", "owner/name@v1"])
def test_models_of_the_hub_that_are_not_here(cli: CommandLine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cli.folder / "hub"))
    sentence = f"{name} is not on this machine: fetch it with `memviz models add {name}`"
    words = ("trace", "--model", name, "--text-file", "text.txt", "--out", "o.json")
    assert cli.refused(*words) == sentence
    sentence = f"{name} cannot be fetched while MEMVIZ_OFFLINE is set: unset it and try again"
    assert cli.refused("models", "add", name) == sentence


def test_where_the_result_cannot_go(cli: CommandLine) -> None:
    (cli.folder / "folder").mkdir()
    words = ["trace", "--model", "tiny", "--text-file", "text.txt", "--context", 5, "--out"]
    sentence = "--out none/out.json: its folder does not exist; make it first"
    assert cli.refused(*words, "none/out.json") == sentence
    assert cli.refused(*words, "text.txt/out.json").endswith("its folder does not exist; make it first")
    assert cli.refused(*words, "folder") == "--out folder is no file: name a file"
    assert cli.refused(*words, "/dev/null") == "--out /dev/null is no file: name a file"
    assert cli.run(*words, "x" * 255).code == 0
    name = "x" * 256
    assert cli.refused(*words, name).endswith(f"{name} cannot be used: File name too long")


def test_a_disk_that_fills_while_the_result_is_written(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.write("out.json", "before")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    words = ("--context", "5")
    assert cli.run(*TEXT_FILE, *words).code == 0
    cli.write("out.json", "before")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        ended = cli.run(*TEXT_FILE, *words)
    assert ended == (1, "", f"memviz: no space left in {cli.folder.resolve()}: {MORE_SPACE}\n")
    assert cli.listing() == {"text.txt": TEXT.encode(), "out.json": b"before"}


def test_a_cache_that_cannot_be_written(cli: CommandLine) -> None:
    cache = cli.folder / "text.txt" / "cache"
    cli.setenv(MEMVIZ_CACHE=cache)
    remedy = "(Not a directory); make it a writable folder or set MEMVIZ_CACHE or --out to another"
    assert cli.refused(*TEXT_FILE, "--context", 5, code=1) == f"{cache} cannot be written {remedy}"
    assert cli.refused("models", "add", "tiny", code=1) == f"{cache} cannot be written {remedy}"
    assert cli.run("store", "stats").code == 0 and cli.run("models").code == 0


def test_a_disk_that_is_full_when_the_result_is_kept(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    sentence = cli.refused(*TEXT_FILE, "--context", 9, code=1)
    assert sentence.startswith(
        f"no space left in {cli.cache / 'results'}, 0.1 MB needed: free space or set MEMVIZ_CACHE"
    )


def test_a_model_too_large_for_memory(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memviz.engine.loading.free_memory", lambda device: 123_000_000)
    sentence = "tiny needs about 1.0 GB in float32; 0.1 GB are free on cpu: choose a smaller model or another dtype"
    assert cli.refused(*TEXT_FILE, "--context", 11) == sentence


def test_unknown_settings_and_unusable_values(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMVIZ_CASH", "1")
    assert cli.refused(*TEXT_FILE).startswith(
        "MEMVIZ_CASH is not a setting of memviz; the settings are MEMVIZ_ALLOWED_HOSTS, "
    )
    monkeypatch.delenv("MEMVIZ_CASH")
    monkeypatch.setenv("MEMVIZ_DTYPE", "int8")
    assert cli.refused("models").startswith("setting dtype = 'int8' cannot be used: ")


def test_what_the_option_parser_refuses(cli: CommandLine) -> None:
    assert cli.refused("nope") == "No such command 'nope'."
    assert cli.refused("store") == "Missing command."
    assert cli.refused("trace", "--out", "o.json") == "Missing option '--model'."
    assert cli.refused(*TRACE) == "give either --text-file or --ids-file"
    assert cli.refused(*TEXT_FILE, "--context", "many").startswith("Invalid value for '--context': ")
    assert cli.refused(*TEXT_FILE, "--contxt", "4").startswith("No such option: --contxt")


def test_an_error_nobody_thought_of_is_one_line_too(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for error, sentence in (
        (RuntimeError("a\nb"), "a b"),
        (KeyError(), "KeyError"),
        (OSError(5, "EIO", "f"), "f cannot be used (Input/output error): if it was removed, start again"),
    ):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("memviz.cli.tracing.find_model", fail)
        assert cli.refused(*TEXT_FILE, code=1) == sentence


def test_interrupted(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("memviz.engine.tracing._decode", interrupt)
    assert cli.refused(*TEXT_FILE, "--context", 12, code=130) == "interrupted; no file was left half-written"
