"""Batches in a bucket: moto's S3 server on 127.0.0.1, in an environment of its own, with credentials in variables."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest
from support.extras import environment
from support.serving import free_port
from support.sweeps import Lab, small_task

from memviz.errors import Failure
from memviz.store import Store
from memviz.sweeps.asks import Share
from memviz.sweeps.batches import BatchFiles
from memviz.sweeps.running import run_shard, run_sweep, status

MOTO = "moto[server,s3]==5.2.5"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    port = free_port()
    python = environment("moto", MOTO)
    server = subprocess.Popen(
        [python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAINTHEENVIRONMENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden-in-the-environment")
    try:
        for _ in range(300):
            try:
                request = urllib.request.Request(f"http://127.0.0.1:{port}/memviz", method="PUT")
                urllib.request.urlopen(request, timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.2)
        yield f"s3://memviz/of-a-sweep?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.wide
@pytest.mark.slow
def test_shards_through_a_bucket_write_the_tables_of_one_process(bucket: str, lab: Lab) -> None:
    task = small_task(lab.jsonl(lab.rows(10, lengths=(32, 24))), positions=True)
    whole = lab.sweep(task, "whole", batch=4)
    context, out = (
        replace(lab.context(Store(lab.folder / "unused", 10**9)), batches=BatchFiles(bucket)),
        lab.folder / "out",
    )
    assert status(task, context, out, 4)[0] == 0
    for number in (1, 2):
        run_shard(task, context, out, Share(number, 2), 4)
    there, n = status(task, context, out, 4)
    assert there == n > 0
    files = context.batches
    assert isinstance(files, BatchFiles)
    key = sorted(files.keys())[0]
    files._write(files._path(key), b"damaged")
    made = run_sweep(task, context, out, 4)
    assert made.manifest["provenance"]["batches_computed"] <= 1
    for name in ("rows", "sequences", "positions"):
        assert (out / f"{name}.parquet").read_bytes() == (whole.folder / f"{name}.parquet").read_bytes()
    said = (out / "manifest.json").read_text()
    assert not [each for each in ("AKIA", "hidden-in", "s3://", "endpoint_override") if each in said]


@pytest.mark.wide
@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_said_without_its_secrets(bucket: str) -> None:
    files = BatchFiles(bucket.replace("memviz/", "absent/"))
    with pytest.raises(Failure, match=r"the batches in s3://absent/of-a-sweep cannot be written") as failed:
        files.put("ab" * 32, {}, {})
    assert "hidden" not in str(failed.value) and "AKIA" not in str(failed.value)
