"""What is made and kept is counted by folder, and refused beyond the limit rather than deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from memviz.errors import Failure
from memviz.settings import Settings
from memviz.store.sizes import folder_sizes, refuse_more


def test_kept_folders_count_and_results_do_not(tmp_path: Path) -> None:
    for name, n_bytes in (("sweeps/a/rows.parquet", 3000), ("predictors/b/w", 500), ("results/blobs/c", 9000)):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(bytes(n_bytes))
    (tmp_path / "loose").write_bytes(b"1")
    assert folder_sizes(tmp_path) == {"sweeps": 3000, "predictors": 500, "results": 9000}
    refuse_more(Settings(cache=tmp_path, cache_limit=3500))
    with pytest.raises(Failure, match=r"\(sweeps most of them\), more than MEMVIZ_CACHE_LIMIT of 0 MB: delete some of"):
        refuse_more(Settings(cache=tmp_path, cache_limit=3499))
    assert (tmp_path / "sweeps" / "a" / "rows.parquet").exists()
    refuse_more(Settings(cache=tmp_path / "not there"))
    small = Settings(cache=tmp_path, cache_limit=1)
    refuse_more(small, tmp_path.parent / "elsewhere")
    with pytest.raises(Failure, match="delete some of them"):
        refuse_more(small, tmp_path / "corpora" / "mine")
