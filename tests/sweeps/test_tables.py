"""Every column is documented, in the words of the code."""

from __future__ import annotations

from support.serving import ROOT

from memviz.sweeps import SweepTask
from memviz.sweeps.sums import SUM_COLUMNS
from memviz.sweeps.tables import POSITION_COLUMNS, ROW_COLUMNS, schema_of, sequence_columns


def test_every_column_is_in_the_document_and_in_the_schema() -> None:
    document = (ROOT / "docs" / "sweeps.md").read_text()
    sequences = sequence_columns(SweepTask(("a",), contexts=(32,), continuations=(32,)))
    for columns in (ROW_COLUMNS, sequences, POSITION_COLUMNS, SUM_COLUMNS):
        for name, (kind, text) in columns.items():
            assert f"| `{name}` | {kind} | {text} |" in document, name
        for field in schema_of(columns, {}):
            assert field.metadata[b"description"].decode() == columns[field.name][1]
