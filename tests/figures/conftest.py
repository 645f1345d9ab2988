"""The linked component as a standalone page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect
from support.traces import MARKS, TEXTS, pieces_of, small_trace

from memviz.figures.linked import TRACE, linked_data

Show = Callable[..., None]


@pytest.fixture
def show(page: Page) -> Iterator[Show]:
    """Shows a trace's standalone page; no request of any kind may be made."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))

    def write(trace=None, texts=TEXTS, **given) -> None:  # type: ignore[no-untyped-def]
        trace = trace or small_trace()
        seeds = {name: given.pop(name) for name in ("pinned", "mode", "fill") if name in given}
        data = linked_data(trace, 0, pieces_of(trace, texts), **({"marks": MARKS} | given)) | seeds
        page.set_content(TRACE.page(data, "A trace"))
        expect(page.locator(".token")).to_have_count(trace.n_context + trace.n_continuation)

    yield write
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == []
