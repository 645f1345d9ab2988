"""Which columns of a table hold ids, text and the rows' names: those that were named, else those documented here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from memviz.errors import InputError
from memviz.rows.layout import IDS, TEXT, File, Layout

USUAL_IDS = ("ids", "input_ids", "tokens")
"""Looked for where neither the column of ids nor that of text was named and is there."""
USUAL_NAMES = ("index", "id")
"""Looked for, in this order, where no column of row names was asked for."""
Holds = Callable[[str], bool]
"""Whether what a column holds can be what it is looked for."""


class Columns(NamedTuple):
    """Names of the columns that are read; `name` is None where rows have none."""

    ids: str
    text: str
    name: str | None


def usable(layout: Layout, present: Collection[str]) -> bool:
    """Whether columns of these names may give rows."""
    usual = USUAL_IDS if _is_open(layout) else ()
    return not {layout.ids_column, layout.text_column, *usual}.isdisjoint(present)


def _is_open(layout: Layout) -> bool:
    return layout.ids_column == IDS and layout.text_column == TEXT


def columns_of(file: File, present: Collection[str], holds_ids: Holds, holds_names: Holds) -> Columns | None:
    """The columns of a row or table that has those of `present`, None where it has none that give rows.

    Says which were not asked for. Raises InputError where two could be meant.
    """
    layout, ids = file.layout, file.layout.ids_column
    if {ids, layout.text_column}.isdisjoint(present):
        usual = [name for name in USUAL_IDS if _is_open(layout) and name in present and holds_ids(name)]
        if len(usual) > 1:
            raise InputError(f"{file.path} has columns {' and '.join(usual)}: name one of them with --ids-column")
        if not usual:
            return None
        ids = usual[0]
        file.note(f"token ids are in column {ids!r}")
    name = layout.id_column
    if name is None and not layout.whole:
        name = next((each for each in USUAL_NAMES if each in present and holds_names(each)), None)
        if name is not None:
            file.note(f"rows are named by column {name!r}")
    return Columns(ids, layout.text_column, name)


def columns_of_table(
    file: File, present: Sequence[str], holds_ids: Holds, holds_names: Holds, hint: str = ""
) -> Columns:
    """The same of a table whose columns are all known. Raises InputError, also for what was named and is not there."""
    layout = file.layout
    found = columns_of(file, present, holds_ids, holds_names)
    if found is None:
        raise InputError(
            f"{file.path} has neither a column {layout.ids_column!r} nor {layout.text_column!r}; it has "
            f"{shown(present)}{hint}: name the column with --ids-column or --text-column"
        )
    named = {name for name, usual in ((layout.ids_column, IDS), (layout.text_column, TEXT)) if name != usual}
    wanted = [*named, *([found.name] if found.name else []), *layout.labels]
    lacking = next((name for name in wanted if name not in present), None)
    if lacking is not None:
        raise InputError(f"{file.path} has no column {lacking!r}; it has {shown(present)}")
    read = [found.ids if found.ids in present else found.text, *wanted]
    twice = next((name for name in read if list(present).count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{file.path} has {list(present).count(twice)} columns called {twice!r}: rename all but one")
    return found


def shown(present: Collection[str]) -> str:
    return ", ".join(present)[:200] or "none"
