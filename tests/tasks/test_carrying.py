"""Linked results taken to another store: the same arrays, links that open there; other files are refused."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.suite import SIZES

from memviz.errors import InputError
from memviz.gallery import examples, open_store
from memviz.settings import Settings, load_settings
from memviz.store import Store
from memviz.tasks.base import Context, key_of, stored, task_from
from memviz.tasks.carrying import ABOUT, bring, carry
from memviz.tasks.ladder import LadderTask
from memviz.tasks.lens import lens_of

RUN = next(str(each.query["run"]) for each in examples() if each.page == "layers")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(cache=tmp_path / "cache", offline=True)


@pytest.fixture
def file(settings: Settings, tmp_path: Path) -> Path:
    path = tmp_path / "out.zip"
    assert carry([RUN], Context(settings, open_store(settings)), path) == 2 * len(SIZES)  # each with its layers
    return path


def test_a_link_opens_in_another_store_as_it_did(file: Path, settings: Settings, tmp_path: Path) -> None:
    here, there = open_store(settings), Store(tmp_path / "there", 10**9)
    names, n = bring(file, there)
    assert n == 2 * len(SIZES) and any(name.startswith(RUN) for name in names)
    task = task_from(there.get_request(RUN) or {}, LadderTask)
    for one in task.tasks:
        run = stored(one, Context(settings, there))
        assert run is not None and there.get_request(one.hash) == one.request()
        assert stored(lens_of(one), Context(settings, there)) is not None
        key = key_of(one, Context(settings, here)) or ""
        (mine, about), (theirs, same) = here.get(key) or ({}, {}), there.get(key) or ({}, {})
        assert about == same and mine.keys() == theirs.keys()
        for name, array in mine.items():
            np.testing.assert_array_equal(array, theirs[name])


def test_what_is_not_here_is_not_carried(settings: Settings, tmp_path: Path) -> None:
    context = Context(settings, Store(tmp_path / "empty", 10**9))
    with pytest.raises(InputError, match="no request is called 'abcdef12'"):
        carry(["abcdef12"], context, tmp_path / "out.zip")
    request = open_store(settings).get_request(RUN) or {}
    context.store.put_request(task_from(request).hash, request)
    with pytest.raises(InputError, match=f"nothing is stored of {RUN}"):
        carry([RUN], context, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def change(file: Path, about: dict[str, Any]) -> None:
    with zipfile.ZipFile(file) as old:
        content = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(file, "w") as new:
        for name, held in content.items():
            new.writestr(name, json.dumps({**json.loads(held), **about}) if name == ABOUT else held)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"format": 2}, "is of format 2"),
        ({"requests": {"0" * 64: {"task": "trace"}}}, "was changed"),
        ({"results": {"../../x": {}}}, "which is no key"),
        ({"results": {"0" * 64: {}}}, "is no file of"),
        ({"results": 7}, "is no file of"),
    ],
)
def test_other_files_are_refused_and_nothing_is_put(
    about: dict[str, Any], message: str, file: Path, tmp_path: Path
) -> None:
    change(file, about)
    there = Store(tmp_path / "there", 10**9)
    with pytest.raises(InputError, match=message):
        bring(file, there)
    assert there.stats().n_results == 0 and there.get_request(RUN) is None


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK nonsense")
    for name, message in (("x.zip", "is no file of"), ("none.zip", "cannot be read")):
        with pytest.raises(InputError, match=message):
            bring(tmp_path / name, Store(tmp_path / "there", 10**9))
