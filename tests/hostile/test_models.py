"""Model folders that mean harm, from the list of models to a run: refused with one sentence, or shown as text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.hostile import HTML, MODELS, NAMES, Evil, hostile_model, safetensors_bytes
from support.model_folders import write_model
from support.serving import ROOT
from support.tasks import context_of

from memviz.catalog import find_model, known_models, local_models, read_card
from memviz.engine.backend import Backend
from memviz.engine.preparing import prepare
from memviz.errors import InputError
from memviz.jobs import Status, Worker
from memviz.settings import Settings
from memviz.store import Store
from memviz.tasks.base import answer
from memviz.tasks.trace import TraceTask


def sentence_of(task: TraceTask, backend: Backend, store: Store) -> str:
    """What a visitor is told who presses Run."""
    worker = Worker(backend.settings, store, lambda device: backend)
    job = worker.ask(task, "a visitor")
    worker._lanes[0].thread.join(0.01)  # type: ignore[union-attr]
    while job.active:
        worker._lanes[0].thread.join(0.02)  # type: ignore[union-attr]
    assert job.status == Status.FAILED and job.error is not None
    return job.error


@pytest.mark.parametrize("kind", MODELS)
def test_a_folder_is_refused_with_a_sentence(kind: str, settings: Settings, backend: Backend) -> None:
    hostile_model(settings.model_roots[0], kind)
    task = TraceTask("m", (7, 8, 9), (10, 11), 2)
    said = sentence_of(task, backend, Store(settings.cache / "results", 10**8))
    assert re.search(MODELS[kind][1], said), said
    assert "\n" not in said and len(said) < 700 and "something went wrong" not in said
    assert not list((settings.cache / "results").rglob("*.safetensors"))


def test_what_a_pickle_would_have_done(tmp_path: Path) -> None:
    """The harm these tests look for is real."""
    import pickle

    pickle.loads(pickle.dumps(Evil()))  # noqa: S301
    flag = tmp_path / "MEMVIZ_TEST_CODE_RAN"
    assert flag.exists()
    flag.unlink()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_names_and_no_paths(settings: Settings, name: str) -> None:
    write_model(settings.model_roots[0] / "m")
    with pytest.raises(InputError, match=r"^model .* is (not a name: give a name|unknown: known are m, )") as raised:
        find_model(name, settings)
    assert len(str(raised.value)) < 1500 and str(raised.value).isprintable()


@pytest.mark.parametrize("name", ["a b", "-rf", "a..b", "**b** _c_", "名前", "x" * 255])
def test_a_name_that_can_be_a_folder_is_text(settings: Settings, backend: Backend, name: str) -> None:
    write_model(settings.model_roots[0] / name)
    card = prepare(next(iter(local_models(settings))), settings)
    assert card.name == name and read_card(next(iter(local_models(settings))), settings) == card
    inside = [path.relative_to(settings.cache).parts for path in settings.cache.rglob("*")]
    assert {parts[0] for parts in inside} == {"cards"} and all(len(part) < 150 for parts in inside for part in parts)


@pytest.mark.parametrize(
    "name",
    [b"line\nbreak", b"\x1bred", b"not utf-8 \xff", "\u202ereversed".encode(), b"\x7f", HTML.encode(), b"[a](b)"],
)
def test_names_that_cannot_be_shown_are_left_out(settings: Settings, name: bytes) -> None:
    root = settings.model_roots[0]
    write_model(root / "m")
    os.rename(root / "m", os.fsencode(root) + b"/" + name)
    assert next(local_models(settings)).name.startswith("suite-")
    with pytest.raises(InputError, match="is not a name"):
        find_model(os.fsdecode(name), settings)


def test_what_a_folder_says_of_itself(settings: Settings) -> None:
    folder = write_model(settings.model_roots[0] / "m")
    said = {"label": HTML, "corpus": "a\x1b[31mb", "licence": "x" * 10**5, "index": "../../etc", "family": 3}
    said |= {"size": ["a"], "step": 10**300, "n_steps": -1, "seed": True, "n_parameters": 1e99}
    (folder / "memviz.json").write_text(json.dumps(said))
    model = find_model("m", settings)
    assert (model.label, model.licence, model.corpus) == (HTML, "x" * 200, "not known to memviz")
    assert (model.index, model.family, model.size) == (None, None, None)
    assert (model.step, model.n_steps, model.seed, model.n_parameters) == (None, None, 0, None)
    for content in (b"[" * 10**6, b"\xff", b"9" * 10**5, b"{}" * 10**7):
        (folder / "memviz.json").write_bytes(content)
        assert find_model("m", settings).label == "m"


def test_a_root_that_cannot_be_listed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert "smollm2-135m" in {model.name for model in known_models(settings)}


def test_links_that_models_really_have(settings: Settings, backend: Backend, tmp_path: Path) -> None:
    """A folder that is a link, files that are links within the root, and a snapshot of the hub's cache."""
    root, store = settings.model_roots[0], Store(settings.cache / "results", 10**8)
    write_model(tmp_path / "elsewhere" / "m")
    root.mkdir()
    (root / "linked").symlink_to(tmp_path / "elsewhere" / "m")
    write_model(root / "shared")
    (root / "shared" / "tokenizer.json").rename(root / "tokenizer.json")
    (root / "shared" / "tokenizer.json").symlink_to("../tokenizer.json")
    snapshot = write_model(tmp_path / "hub" / "snapshots" / "abc")
    (tmp_path / "hub" / "blobs").mkdir()
    (snapshot / "model.safetensors").rename(tmp_path / "hub" / "blobs" / "w")
    (snapshot / "model.safetensors").symlink_to("../../blobs/w")
    (root / "snapshot").symlink_to(snapshot)
    for name in ("linked", "shared", "snapshot"):
        task = TraceTask(name, (7, 8, 9), (10, 11), 2)
        assert answer(task, context_of(backend, store)).result.trace.generated_ids.shape == (1, 2)


def test_models_without_weights_to_be_trusted_are_listed_with_the_reason(settings: Settings) -> None:
    root = settings.model_roots[0]
    for kind in ("pickle", "header of exabytes", "configuration nested deep"):
        hostile_model(root, kind, kind.replace(" ", "-"))
    (root / "empty").mkdir()
    (root / "empty" / "config.json").write_text("{}")
    (root / "empty" / "model.safetensors").write_bytes(safetensors_bytes({}))
    environment = {**os.environ, "MEMVIZ_CACHE": str(settings.cache), "MEMVIZ_MODEL_ROOTS": str(root)}
    command = [sys.executable, "-m", "memviz", "models"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "a pickle, which can run code when read" in lines["pickle"]
    assert "its header claims 4611686018427387904 bytes" in lines["header-of-exabytes"]
    assert "cannot be read as JSON" in lines["configuration-nested-deep"] and "empty" in lines
