"""A visitor without a browser: a WebSocket session that speaks Streamlit's protocol; also for bench/load.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect


class Visitor:
    """One session on one page. Not for several threads at once."""

    def __init__(self, url: str, page: str = "", query: str = "", **how: Any) -> None:
        """Open `url` (of the server, without a slash at the end) at a page, "" for the first one, and a query.

        how: for `connect`, such as another origin or headers.
        """
        address = "ws" + url.removeprefix("http") + "/_stcore/stream"
        plenty = {"max_size": None, "max_queue": None, "ping_interval": None, "close_timeout": 1}
        self._connecting = connect(address, **{"subprotocols": ["streamlit"], **plenty, **how})  # type: ignore[arg-type]
        self._page, self._states, self._polls = page, dict[str, WidgetState](), dict[str, tuple[float, float]]()
        self.query = query
        """What the address says now, without a question mark."""
        self.elements: dict[tuple[int, ...], Any] = {}
        """By place: what the page shows."""
        self.n_runs = 0
        """Of the whole page, that have ended."""
        self._is_whole, self._script = True, ""
        self.session = ""
        """Its id."""

    def __enter__(self) -> Visitor:
        self._socket = self._connecting.__enter__()
        self.rerun()
        return self

    def __exit__(self, *error: Any) -> None:
        self._connecting.__exit__(*error)

    # What is shown

    def all(self, kind: str) -> list[Any]:
        """The elements of a kind, such as "button", in the order of the page."""
        places = sorted(place for place, element in self.elements.items() if element.WhichOneof("type") == kind)
        return [getattr(self.elements[place], kind) for place in places]

    def find(self, kind: str, label: str) -> Any:
        """The one of a kind with this label, or None."""
        return next((element for element in self.all(kind) if element.label == label), None)

    @property
    def text(self) -> str:
        """What the page says: alerts, Markdown, exceptions."""
        said = [each.body for kind in ("alert", "markdown") for each in self.all(kind)]
        return "\n".join(
            said + [f"{each.type} {each.message} {list(each.stack_trace)}" for each in self.all("exception")]
        )

    @property
    def parameters(self) -> dict[str, list[str]]:
        return parse_qs(self.query)

    # What is done

    def set(self, kind: str, label: str, value: Any) -> None:
        """Give a widget a value, sent along with the next rerun; `kind` as `find` has it."""
        found = self.find(kind, label)
        name = {"number_input": "double_value", "checkbox": "bool_value"}.get(kind, "string_value")
        self._states[found.id] = WidgetState(id=found.id, **{name: value})

    def press(self, label: str) -> None:
        button = self.find("button", label)
        assert not button.disabled, f"{label} cannot be pressed"
        self.rerun(trigger=button.id)

    def rerun(self, trigger: str = "", fragment: str = "") -> None:
        """Ask for the page, or a fragment of it, with the widgets as they are; `trigger` is the id of a button."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.fragment_id = self.query, fragment
        if self._script:
            state.page_script_hash = self._script
        else:
            state.page_name = self._page
        state.is_auto_rerun = bool(fragment)
        state.widget_states.widgets.extend(self._states.values())
        if trigger:
            state.widget_states.widgets.append(WidgetState(id=trigger, trigger_value=True))
        self.send(message)

    def send(self, message: BackMsg) -> None:
        self._socket.send(message.SerializeToString())

    def until(self, condition: Callable[[], object], seconds: float = 60) -> None:
        """Go on as a browser does, polling fragments, until a condition holds. Raises TimeoutError with the page."""
        deadline = time.monotonic() + seconds
        while not condition():
            now = time.monotonic()
            if now > deadline:
                raise TimeoutError(f"it did not come in {seconds:g} s; shown is:\n{self.text[:2000]}")
            for fragment, (due, interval) in list(self._polls.items()):
                if now >= due:
                    self._polls[fragment] = (now + interval, interval)
                    self.rerun(fragment=fragment)
            try:
                self._take(ForwardMsg.FromString(self._socket.recv(timeout=0.05)))
            except TimeoutError:
                continue

    def settle(self, seconds: float = 60) -> None:
        """Until one more run of the whole page has ended."""
        before = self.n_runs
        self.until(lambda: self.n_runs > before, seconds)

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "new_session":
            self.session = message.new_session.initialize.session_id or self.session
            self._is_whole = not message.metadata.run.fragment_ids
            self._script = message.new_session.page_script_hash or self._script
            if self._is_whole:
                self.elements.clear()
                self._polls.clear()
        elif kind == "delta":
            place = tuple(message.metadata.delta_path)
            if message.delta.WhichOneof("type") == "new_element":
                self.elements[place] = message.delta.new_element
            else:
                self.elements = {each: e for each, e in self.elements.items() if each[: len(place)] != place}
        elif kind == "navigation":
            self._script = message.navigation.page_script_hash or self._script
        elif kind == "auto_rerun":
            interval = message.auto_rerun.interval
            self._polls[message.auto_rerun.fragment_id] = (time.monotonic() + interval, interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                self._polls.pop(fragment, None)
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            self.n_runs += self._is_whole
