"""Runs on the Trace page that wait: watched by two, left by whom they were of, and in the way of nobody who reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from playwright.sync_api import BrowserContext, Page, expect
from support.pages import MINUTES, PREAMBLE, SECONDS, n_jobs, press_run, strip
from support.serving import Server
from support.waiting import until

from memviz.catalog import find_model, read_card
from memviz.settings import load_settings
from memviz.store import Store
from memviz.tasks.trace import task_of_text, tokenizer_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def asked(first_visit: dict[str, object], trace_link: str, server: Server) -> Iterator[Callable[[int], str]]:
    """The address of a request to go on for some tokens after a passage, which nobody has run.

    The server's only device is held meanwhile as by another process, so that a run waits for as long as a test needs.
    """
    from memviz.engine.devices import choose_device, place_of  # torch

    cache = Path(server.environment["MEMVIZ_CACHE"])
    settings = load_settings(cache=cache)
    card = read_card(find_model(str(first_visit["model"]), settings), settings)
    assert card is not None

    def address(n_tokens: int) -> str:
        task = task_of_text(PREAMBLE, card, tokenizer_of(card, settings), n_continuation=n_tokens, with_truth=False)
        store = Store(cache / "results", settings.cache_limit)
        store.put_request(task.hash, task.request())
        store.close()
        return f"{server.url}/trace?run={task.hash[:16]}"

    lock = FileLock(cache / "locks" / f"{place_of(choose_device('auto'))}.lock")
    with lock.acquire(timeout=60):
        yield address


def waiting(page: Page, n_tokens: int) -> None:
    expect(page.get_by_text(f"decoding {n_tokens} tokens")).to_be_visible(timeout=2 * MINUTES)


def cancel(page: Page) -> None:
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled; nothing was kept")).to_be_visible(timeout=MINUTES)


def test_a_second_session_joins_a_run_and_cancel_stops_it(
    asked: Callable[[int], str], server: Server, page: Page, another: Page, screenshots: Path
) -> None:
    page.goto(asked(20))
    before = n_jobs(server)
    press_run(page)
    waiting(page, 20)
    expect(page).to_have_url(re.compile("run="))
    another.goto(page.url)
    waiting(another, 20)
    another.screenshot(path=screenshots / "joined.png")
    assert n_jobs(server) == before + 1
    cancel(another)
    expect(page.get_by_text("Cancelled; nothing was kept")).to_be_visible(timeout=MINUTES)


@pytest.fixture(scope="module")
def deserted(asked: Callable[[int], str], server: Server, window: BrowserContext) -> Iterator[dict[str, Any]]:
    """Runs, one after the other: left by its only session; left by one of two; left alone but to be kept."""
    alone, first, keeper, second = pages = [window.new_page() for _ in range(4)]
    names = []
    for page, n_tokens in ((alone, 21), (first, 22), (keeper, 23)):
        page.goto(asked(n_tokens))
        press_run(page)
        waiting(page, n_tokens)
        names.append(re.findall(r"job (\d+) queued: trace", server.log.read_text())[-1])
    expect(first).to_have_url(re.compile("run="))
    second.goto(first.url)
    waiting(second, 22)
    keeper.get_by_text("Go on when nobody watches").click()
    expect(keeper.get_by_role("switch", name="Go on when nobody watches")).to_be_checked()
    expect(keeper).to_have_url(re.compile("run="))
    kept = keeper.url
    keeper.wait_for_timeout(1 * SECONDS)  # the switch's own answer cannot be seen
    for page in pages[:3]:
        page.close()
    yield {"jobs": names, "page": second, "kept": kept}
    second.close()


def test_reading_does_not_wait_for_computing(deserted: dict[str, Any], server: Server, traced: Page) -> None:
    page = traced
    expect(page.get_by_text(re.compile("[2-9] in the queue"))).to_be_visible()
    strip(page).nth(26).click()
    expect(page).to_have_url(re.compile("tok=26"), timeout=30 * SECONDS)
    before = n_jobs(server)
    press_run(page)
    page.get_by_text("Export", exact=True).click()
    expect(page.get_by_role("button", name="JSON")).to_be_visible(timeout=30 * SECONDS)
    expect(strip(page)).to_have_count(64)
    assert n_jobs(server) == before, "what is stored is not computed again"


def test_a_run_ends_with_its_last_session_and_no_sooner(deserted: dict[str, Any], server: Server) -> None:
    lonely, joined, kept = deserted["jobs"]
    page = deserted["page"]
    until(lambda: f"job {lonely} cancelled" in server.log.read_text(), "the end of the run that was left")
    for other in (joined, kept):
        assert not re.search(rf"job {other} (cancelled|done|failed)", server.log.read_text())
    cancel(page)
    page.goto(deserted["kept"])
    waiting(page, 23)
    cancel(page)
