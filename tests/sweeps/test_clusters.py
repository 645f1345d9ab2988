"""Every recipe of docs/clusters.md is run, as its scheduler would run it, and the tables are those of one process."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.serving import ROOT
from test_documents import Block, blocks_of

RECIPES = [block for block in blocks_of(ROOT / "docs" / "clusters.md") if block.marks == ("cluster",)]
SCHEDULERS = {
    "SLURM": [{"SLURM_ARRAY_TASK_ID": str(n + 1), "SLURM_ARRAY_TASK_COUNT": "2"} for n in range(2)],
    "SKYPILOT": [{"SKYPILOT_NODE_RANK": str(n), "SKYPILOT_NUM_NODES": "2"} for n in range(2)],
}
"""What each sets for the processes it starts."""


def run(script: str, folder: Path, **variables: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "MEMVIZ_CACHE": str(folder / "cache")}
    env |= {"OMP_NUM_THREADS": "1", "MEMVIZ_DEVICE": "cpu", "MEMVIZ_OFFLINE": "true"} | variables
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def without_shard(block: Block) -> str:
    """The command as it is without --shard, which writes the tables."""
    words = shlex.split(next(line for line in block.commands if "memviz sweep" in line).replace("'", " "))
    start = words.index("memviz")
    return shlex.join(words[start : words.index("--shard")])


@pytest.mark.wide
@pytest.mark.slow
def test_every_recipe_gives_the_tables_of_one_process(tmp_path: Path) -> None:
    tables = {}
    for number, block in enumerate(RECIPES):
        folder = tmp_path / str(number)
        folder.mkdir()
        whole = without_shard(block)
        run(f"{whole} --status", folder)
        sets = next((sets for name, sets in SCHEDULERS.items() if name in block.text), [{}])
        for variables in sets:
            run(block.text, folder, **variables)
        assert " 0 batches computed, 3 from before" in run(whole, folder)
        tables[number] = (folder / "my-sweep" / "sequences.parquet").read_bytes()
    alone = tmp_path / "alone"
    alone.mkdir()
    run(without_shard(RECIPES[0]).replace("--batches my-batches", ""), alone)
    assert len(RECIPES) == 4
    assert set(tables.values()) == {(alone / "my-sweep" / "sequences.parquet").read_bytes()}
