"""A real server while its disk fills, its cache or a model goes, or it is killed: each ends with a sentence."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.model_folders import ready_model
from support.serving import ROOT, Server, free_port, start_server
from support.visitor import Visitor

from memviz.settings import load_settings
from memviz.store import Store
from memviz.sweeps.kept import kept_sweeps, unfinished

WORDS = "We the People of the United States, in Order to form a more perfect Union, establish Justice, insure"
FULL = """
import errno, os
_fsync, _flag = os.fsync, {flag!r}
def fsync(number):
    if os.path.exists(_flag):
        raise OSError(errno.ENOSPC, "No space left on device")
    return _fsync(number)
os.fsync = fsync
"""
"""What a process does with it that imports it first: its disk is full while there is a file `flag`."""
OWN_TEXT = "Text of your own"


@contextmanager
def serving(folder: Path, port: int | None = None) -> Iterator[Server]:
    """A server with its cache and models in a folder; the disk is full while there is a file `full` in it."""
    (folder / "first").mkdir(exist_ok=True)
    (folder / "first" / "sitecustomize.py").write_text(FULL.format(flag=str(folder / "full")))
    env = {"MEMVIZ_CACHE": str(folder / "cache"), "MEMVIZ_MODEL_ROOTS": str(folder / "models")}
    env |= {"MEMVIZ_OFFLINE": "true", "MEMVIZ_WARM_UP": "false", "PYTHONPATH": str(folder / "first")}
    with start_server(ROOT / "app.py", port, env, folder / "server.log") as server:
        yield server


def choose(visitor: Visitor, model: str, n_context: int = 12, n_steps: int = 8) -> None:
    """Have a model read `WORDS`."""
    visitor.until(lambda: visitor.find("selectbox", "Text"))
    visitor.set("selectbox", "Model", model)
    visitor.set("selectbox", "Text", OWN_TEXT)
    visitor.rerun()
    visitor.until(lambda: visitor.find("text_area", "Text"))
    visitor.set("text_area", "Text", WORDS)
    visitor.set("number_input", "Context", n_context)
    visitor.set("number_input", "Continuation", n_steps)
    visitor.rerun()
    visitor.settle()
    if visitor.find("button", f"Get {model} ready"):
        visitor.press(f"Get {model} ready")
        visitor.until(lambda: "must be read once" not in visitor.text and visitor.all("alert"))
        visitor.rerun()
    visitor.until(lambda: (run := visitor.find("button", "Run")) and not run.disabled)


def press_run(visitor: Visitor, seconds: float = 60) -> None:
    """Until there is a result."""
    visitor.press("Run")
    visitor.until(lambda: visitor.all("metric"), seconds)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("survival")
    ready_model("tiny", folder / "models", folder / "cache")
    ready_model("going", folder / "models", folder / "cache", family="gpt_neox")  # other weights, and so other results
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as server:
        yield server
        assert "Traceback" not in server.log.read_text()


@pytest.mark.wide
def test_the_cache_may_go_while_the_server_runs(server: Server, folder: Path) -> None:
    with Visitor(server.url, "trace") as visitor:
        choose(visitor, "tiny")
        press_run(visitor)
        link = visitor.query
        shutil.rmtree(folder / "cache")
        visitor.rerun()
        visitor.until(lambda: visitor.find("button", "Get tiny ready"))
        assert "tiny must be read once before it can be used" in visitor.text
        with Visitor(server.url, "trace", link) as other:
            other.until(
                lambda: "which is not stored here: it was made elsewhere, or the cache was cleared" in other.text
            )
        visitor.press("Get tiny ready")
        visitor.until(lambda: visitor.find("button", "Run") and not visitor.find("button", "Run").disabled)
        press_run(visitor)
        assert visitor.query == link
    with Visitor(server.url, "trace", link) as other:
        other.until(lambda: other.all("metric"))


@pytest.mark.parametrize("page", ["population", "sweep", "predictor", "map"])
def test_pages_of_the_cache_without_it(server: Server, folder: Path, page: str) -> None:
    """Folders of sweeps, predictors and row sets that are half there, then gone."""
    for name in ("sweeps", "predictors", "row-sets", "corpora"):
        (folder / "cache" / name / ("0" * 64)).mkdir(parents=True, exist_ok=True)
        (folder / "cache" / name / "strange").mkdir(exist_ok=True)
    with Visitor(server.url, page) as visitor:
        visitor.settle()
        assert not visitor.all("exception")
        for name in ("sweeps", "predictors", "row-sets", "corpora"):
            shutil.rmtree(folder / "cache" / name)
        visitor.rerun()
        visitor.settle()
        assert not visitor.all("exception") and "not kept here" not in visitor.text


@pytest.mark.wide
def test_a_model_may_go_while_the_server_runs(server: Server, folder: Path) -> None:
    with Visitor(server.url, "trace") as visitor:
        choose(visitor, "going")
        press_run(visitor)
        link = visitor.query
        visitor.set("number_input", "Context", 13)
        visitor.rerun()
        visitor.settle()
        shutil.rmtree(folder / "models" / "going")
        visitor.press("Run")
        visitor.until(lambda: "going" in visitor.text and "unknown" in visitor.text)
        assert "a folder under a root of MEMVIZ_MODEL_ROOTS" in visitor.text.replace("\\", "")
        assert not visitor.all("exception") and not visitor.all("metric")
    with Visitor(server.url, "trace", link) as other:  # the stored result cannot be read without its tokenizer
        other.until(lambda: "model 'going' is unknown" in other.text.replace("\\", ""))
        assert not other.all("exception")


def test_a_full_disk(server: Server, folder: Path) -> None:
    with Visitor(server.url, "trace") as visitor:
        choose(visitor, "tiny", n_context=10)
        (folder / "full").write_text("")
        visitor.press("Run")
        try:
            visitor.until(lambda: "no space left in" in visitor.text)
            assert "free space or set MEMVIZ_CACHE" in visitor.text.replace("\\", "")
            assert not visitor.all("metric") and not visitor.all("exception")
            assert not list((folder / "cache").rglob("*.tmp"))
        finally:
            (folder / "full").unlink()
        press_run(visitor)


def test_a_cache_that_cannot_be_written(server: Server, folder: Path) -> None:
    """Keeping the request fails on the page itself, before there is a job."""
    with Visitor(server.url, "trace") as visitor:
        choose(visitor, "tiny", n_context=9)
        index = folder / "cache" / "results" / "index"
        index.rename(index.with_name("moved"))
        index.write_text("no folder")
        try:
            visitor.press("Run")
            visitor.until(lambda: "cannot be written" in visitor.text.replace("\\", ""))
            assert "make it a writable folder or set MEMVIZ_CACHE" in visitor.text.replace("\\", "")
            assert not visitor.all("exception")
        finally:
            index.unlink()
            index.with_name("moved").rename(index)
        press_run(visitor)


@pytest.mark.parametrize("delay", [pytest.param(0.0, marks=pytest.mark.wide), 0.7])
def test_a_server_that_is_killed_while_it_computes(tmp_path: Path, delay: float) -> None:
    ready_model("endless", tmp_path / "models", tmp_path / "cache", limit=200_000)
    ready_model("tiny", tmp_path / "models", tmp_path / "cache")
    port = free_port()
    with serving(tmp_path, port) as server, Visitor(server.url, "trace") as visitor:
        choose(visitor, "tiny")
        press_run(visitor)
        kept = visitor.query
        visitor.set("checkbox", "Decode only", True)
        visitor.set("selectbox", "Model", "endless")
        visitor.set("number_input", "Continuation", 50_000)
        visitor.rerun()
        visitor.settle()
        visitor.press("Run")
        visitor.until(lambda: visitor.find("button", "Cancel"))
        lost = visitor.query
        time.sleep(delay)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    assert lost != kept
    store = Store(tmp_path / "cache" / "results", 10**9)
    assert store.stats().n_results == 1 and store.verify() == []
    store.close()
    with serving(tmp_path, port) as server:
        with Visitor(server.url, "trace", lost) as visitor:
            visitor.until(lambda: "Not computed yet: press **Run**" in visitor.text)
            assert visitor.parameters == {"run": lost.removeprefix("run=").split("&")[:1]}
            assert not visitor.all("metric") and not visitor.all("exception")
        with Visitor(server.url, "trace", kept) as visitor:
            visitor.until(lambda: visitor.all("metric"))
        assert "Traceback" not in server.log.read_text()
    settings = load_settings(cache=tmp_path / "cache")
    assert unfinished(settings) == [] and len(kept_sweeps(settings)) == 1
