"""The Compare page's files: every row as JSON, table, token ids and command lines."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from memviz.export import command, document, ids_file, table
from memviz.tasks.ladder import LadderTask, step_of
from memviz.ui.several import RunRow


def _facts(row: RunRow) -> dict[str, Any]:
    return {"n_parameters": row.card.n_parameters, "step": step_of(row.model), "seed": row.model.seed}


def ladder_document(task: LadderTask, rows: Sequence[RunRow]) -> str:
    """The ladder as JSON: one document of format 1 a model (docs/trace.md), with its size, step and seed."""
    done = [{**_facts(row), **document(row.result, row.tokenizer)} for row in rows if row.result]
    return json.dumps({"format": 1, "comparison": task.hash, "axis": task.axis, "rows": done}, allow_nan=False)


def ladder_table(rows: Sequence[RunRow]) -> pd.DataFrame:
    """One line a model and index, as the Trace page's table, with the model in front."""
    parts = []
    for row in rows:
        if row.result:
            part = table(row.result, row.tokenizer)
            for place, (name, value) in enumerate({"model": row.model.name, **_facts(row)}.items()):
                part.insert(place, name, value)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def commands(rows: Sequence[RunRow], aligned: bool, name: str) -> tuple[dict[str, str], str]:
    """Ids files by name, and the command lines that repeat every row from them."""
    files, lines = {}, []
    for row in rows:
        file = f"{name}.ids.json" if aligned else f"{name}-{row.model.slug}.ids.json"
        files[file] = ids_file(row.task)
        lines.append(command(row.task, file).replace("--out trace.json", f"--out {row.model.slug}.json"))
    return files, "\n".join(lines)


def packed(files: Mapping[str, str], name: str) -> tuple[Callable[[], str | bytes], str]:
    """What makes one download of some files, and its name: the file itself, or all of them in a .zip."""
    if len(files) == 1:
        ((file, content),) = files.items()
        return lambda: content, file

    def zipped() -> bytes:
        with io.BytesIO() as buffer:
            with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
                for file, content in files.items():
                    archive.writestr(file, content)
            return buffer.getvalue()

    return zipped, f"{name}.ids.zip"
