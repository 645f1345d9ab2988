"""Shards of a sweep, and batches as files: the same bytes, nothing lost or trusted, no secret repeated."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from support.sweeps import Lab, small_task

from memviz.errors import InputError
from memviz.store import Store
from memviz.sweeps.asks import Share
from memviz.sweeps.batches import BatchFiles
from memviz.sweeps.running import run_shard, run_sweep, status
from memviz.tasks.base import Context

TABLES = ("rows", "sequences", "positions")


def shared(lab: Lab, place: str = "batches") -> Context:
    return replace(lab.context(Store(lab.folder / "unused", 10**9)), batches=BatchFiles(str(lab.folder / place)))


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / f"{name}.parquet").read_bytes() for name in TABLES}


def test_shards_and_a_whole_sweep_write_the_same_bytes(lab: Lab) -> None:
    rows = lab.rows(10, lengths=(32, 24))
    task = small_task(lab.jsonl(rows), positions=True, contexts=(8, 16), context_modes=("sliding", "anchored"))
    whole = lab.sweep(task, "whole", batch=4)
    context, out = shared(lab), lab.folder / "out"
    assert status(task, context, out, 4)[0] == 0
    n = len(list((lab.folder / "batches" / "prepared").iterdir()))
    assert n == 1, "the rows are prepared once"
    computed = [run_shard(task, context, out, Share(number, 3), 4) for number in (1, 2, 3)]
    n_distinct = whole.manifest["provenance"]["batches_computed"]
    assert sum(each[0] for each in computed) == n_distinct, "no batch is computed by two shards"
    assert min(each[0] for each in computed) > n_distinct / 5
    assert not list(out.glob("*.parquet")) and not list(out.glob(".part-*"))
    assert run_shard(task, context, out, Share(2, 3), 4)[0] == 0
    there, in_all = status(task, context, out, 4)
    assert there == in_all
    (gone := next((lab.folder / "batches").glob("[0-9a-f][0-9a-f]/*"))).unlink()
    assert status(task, context, out, 4)[0] < in_all, gone
    made = run_sweep(task, context, out, 4).manifest["provenance"]
    assert made["batches_computed"] <= 1 and bytes_of(out) == bytes_of(whole.folder)
    assert not (lab.folder / "unused").exists() or not list((lab.folder / "unused").glob("blobs/*/*"))


def test_prepared_rows_are_those_of_the_very_file(lab: Lab) -> None:
    context = shared(lab)
    source = lab.jsonl(lab.rows(6))
    run_shard(small_task(source), context, lab.folder / "out", Share(1, 2))
    Path(source).write_text(Path(source).read_text() + "nonsense\n")
    assert run_sweep(small_task(source), context, lab.folder / "out").manifest["rows"]["n_malformed"] == 1


def test_a_batch_is_a_file_that_anybody_reads_and_its_hash_is_checked(tmp_path: Path) -> None:
    files = BatchFiles(str(tmp_path / "batches"))
    key, arrays = "ab" * 32, {"x": np.arange(6, dtype=np.float32), "y": np.array(3)}
    assert files.get(key) is None and not files.delete(key) and files.keys() == set()
    files.put(key, arrays, {"seconds": 0.5, "note": "é"})
    path = tmp_path / "batches" / "ab" / f"{key}.safetensors"
    assert files.keys() == {key} and [*path.parent.iterdir()] == [path]
    np.testing.assert_array_equal(load_file(path)["x"], arrays["x"])
    found, about = files.get(key) or pytest.fail("not there")
    assert about == {"seconds": 0.5, "note": "é"} and found["x"].tobytes() == arrays["x"].tobytes()
    whole = path.read_bytes()
    for place in (20, whole.index(b"seconds"), len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert files.get(key) is None, place
    for length in (0, 5, 40, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert files.get(key) is None, length
    assert files.delete(key) and not path.exists()


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIASECRET:hidden@bucket/x",
        "s3://bucket/x?access_key=AKIASECRET&secret_key=hidden",
        "s3://bucket/x?session_token=hidden",
        "s3://bucket/x?endpoint_override=http://AKIASECRET:hidden%40127.0.0.1:9",
        "gs://hidden@bucket/x",
        "https://bucket/x#hidden",
        "ftp://hidden/x",
    ],
)
def test_a_url_with_secrets_or_of_no_use_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError, match=r"URL for batches may name|cannot be kept at") as refused:
        BatchFiles(url)
    assert "hidden" not in str(refused.value) and "AKIA" not in str(refused.value)


def test_a_sweep_that_does_not_fit_says_so_before_it_starts(lab: Lab) -> None:
    task = small_task(lab.jsonl(lab.rows(12)))
    store = Store(lab.folder / "other", 10**9)
    run_sweep(task, lab.context(store), lab.folder / "whole", 4)
    used = store.stats().n_bytes
    small = Store(lab.folder / "small", used // 2)
    with pytest.raises(InputError, match=r"take about 0\.0\d MB, and the store .* has room for 0\.0\d MB: .*--batches"):
        run_sweep(task, lab.context(small), lab.folder / "out", 4)
    assert small.stats().n_results == 0
    files = shared(lab, "files")
    run_sweep(task, files, lab.folder / "out", 4)
    on_disk = sum(path.stat().st_size for path in (lab.folder / "files").glob("[0-9a-f][0-9a-f]/*"))
    assert on_disk < BatchFiles(str(lab.folder / "files")).room()  # type: ignore[operator]


def test_a_share_is_checked() -> None:
    for number, n in ((0, 3), (4, 3)):
        with pytest.raises(InputError, match="give 1/3 to 3/3"):
            Share(number, n)
