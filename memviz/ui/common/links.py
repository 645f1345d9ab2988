"""A page's address says what it shows: one way to follow a link, and one to keep what is shown in the address.

Following a link never starts work. What is not stored here is said to be unknown, and the page goes on without a link.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st

from memviz.catalog.former import former
from memviz.errors import MemvizError
from memviz.tasks.base import Task, task_from
from memviz.ui.common.process import store
from memviz.ui.common.texts import told

LINK_LENGTH = 16
"""Characters of a request's hash in a link."""
CHOSEN_LENGTH = 12
"""Characters of the hash by which a link names a sweep or a predictor among those that are kept."""
INDEX = re.compile("[0-9]{1,9}")
T = TypeVar("T", bound=Task[Any])


def keep_request(task: Task[Any], parameter: str = "run") -> str:
    """Store what a task asks under its hash and name it in the address; the name."""
    store().put_request(task.hash, task.request())
    name = st.query_params[parameter] = task.hash[:LINK_LENGTH]
    return name


def link_to(task: Task[Any]) -> dict[str, str]:
    """The address's parameters of a page that shows a task, which is stored for it."""
    store().put_request(task.hash, task.request())
    return {"run": task.hash[:LINK_LENGTH]}


def find_task(kind: type[T], name: str) -> T | None:
    """The stored task of a name, None where there is none. Raises MemvizError."""
    request = store().get_request(name)
    return task_from(request, kind) if request else None


def linked_task(kind: type[T], what: str, parameter: str = "run") -> T | None:
    """The task that the address names; says why there is none where it names one."""
    name = st.query_params.get(parameter)
    if not name:
        return None
    try:
        task = find_task(kind, name)
    except MemvizError as error:
        st.warning(f"This link cannot be followed: {told(error)}")
        return None
    if task is not None:
        return task
    said = former(name)
    st.warning(
        f"{said[0].upper()}{said[1:]}."
        if said
        else f"This link names {what} {told(name[:LINK_LENGTH])}, which is not stored here: "
        "it was made elsewhere, or the cache was cleared."
    )
    return None


@dataclass(frozen=True)
class PageLink(Generic[T]):
    """The link of a page whose widgets make one task: they are filled from a new link, and leave it once changed."""

    page: str
    """What the keys of the widgets begin with."""
    inputs: tuple[str, ...]
    """The widgets that decide the task."""
    what: str
    """What the task is, in a word."""
    kind: type[T]
    parameter: str = "run"

    @property
    def name(self) -> str | None:
        """What the link of this page was when it was last followed or made."""
        followed = st.session_state.get(self._key)
        return followed[0] if followed else None

    def linked(self) -> T | None:
        """The task that the address names, whatever the widgets say."""
        return linked_task(self.kind, self.what, self.parameter)

    def followed(self, fill: Callable[[T], None]) -> T | None:
        """The task that the address names, while the widgets say what it says; `fill` sets them where it is new."""
        task = self.linked()
        if task is None:
            return None
        name, before = st.query_params[self.parameter], st.session_state.get(self._key)
        if before is None or before[0] != name:
            fill(task)
            self._remember(name)
        elif self._said() != before[1]:
            del st.session_state[self._key]  # the same link may come back
            for parameter in (self.parameter, "tok"):
                st.query_params.pop(parameter, None)
            return None
        return task

    def keep(self, task: T) -> None:
        """Put a task that was asked for into the address."""
        self._remember(keep_request(task, self.parameter))

    def name_again(self, task: T) -> None:
        """Put a task that was asked for into the address again, where clicks came too fast for it to stay."""
        if self.name == task.hash[:LINK_LENGTH] and self.parameter not in st.query_params:
            st.query_params[self.parameter] = self.name

    @property
    def _key(self) -> str:
        return f"{self.page}_followed"

    def _said(self) -> dict[str, Any]:
        return {name: st.session_state.get(f"{self.page}_{name}") for name in self.inputs}

    def _remember(self, name: str) -> None:
        st.session_state[self._key] = (name, self._said())


def newly_chosen(parameter: str, known: Collection[str], what: str) -> str | None:
    """What a link chooses among what is kept here, once; says so where it is not kept."""
    asked = st.query_params.get(parameter)
    if not asked or asked == st.session_state.get(f"{parameter}_followed"):
        return None
    if asked in known:
        return asked
    st.warning(f"This link is about {what} {told(asked[:32])}, which is not kept here; this is another one.")
    return None


def keep_chosen(parameter: str, name: str) -> None:
    """Name what is chosen in the address; bound widgets would write their label."""
    st.session_state[f"{parameter}_followed"] = st.query_params[parameter] = name


def index_in(query: Mapping[str, str], parameter: str = "tok") -> int | None:
    """The index that a link asks for, such as that of a token; None where it asks for none or for what is no index."""
    said = query.get(parameter, "")
    return int(said) if INDEX.fullmatch(said) else None


def pinned_token() -> dict[str, str]:
    """The address's pinned token, to be taken along to another page."""
    token = index_in(st.query_params)
    return {} if token is None else {"tok": str(token)}
