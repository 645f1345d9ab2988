"""Sweeps: many rows of text asked of many models, at many sizes of context and continuation.

`rowset.py` says which rows, `sources.py` and `preparing.py` bring them on disk, `task.py` is the request, `plan.py` its
index arithmetic, `running.py` runs it, `tables.py` documents and makes its columns, `results.py` reads it back,
`kept.py` has the task and where the cache keeps it.
"""

from memviz.sweeps.kept import SweepTask
from memviz.sweeps.results import Sweep, read_sweep
from memviz.sweeps.rowset import RowSet, read_row_set, row_sets, save_row_set
from memviz.sweeps.running import run_sweep
from memviz.sweeps.saved import delete_row_set, rename_row_set
from memviz.sweeps.task import sweep_command

__all__ = [
    "RowSet",
    "Sweep",
    "SweepTask",
    "delete_row_set",
    "read_row_set",
    "read_sweep",
    "rename_row_set",
    "row_sets",
    "run_sweep",
    "save_row_set",
    "sweep_command",
]
