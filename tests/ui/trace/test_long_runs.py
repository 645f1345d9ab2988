"""Long runs on the Trace page: watched by two, left by whom they were of, and in the way of nobody who reads."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from playwright.sync_api import BrowserContext, Page, expect
from support.pages import GRACE, MINUTES, PREAMBLE, SECONDS, n_jobs, press_run, set_number, strip
from support.serving import Server

from memviz.catalog import find_model, read_card
from memviz.settings import load_settings
from memviz.store import Store
from memviz.tasks.trace import task_of_text, tokenizer_of

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def asked(server: Server, model: str, n_tokens: int) -> str:
    """What a link calls a request to go on after a passage, which nobody has run; the server keeps it from now on."""
    settings = load_settings(
        cache=Path(server.environment["MEMVIZ_CACHE"]), model_roots=(Path(server.environment["MEMVIZ_MODEL_ROOTS"]),)
    )
    card = read_card(find_model(model, settings), settings)
    assert card is not None
    task = task_of_text(PREAMBLE, card, tokenizer_of(card, settings), n_continuation=n_tokens, with_truth=False)
    store = Store(settings.cache / "results", settings.cache_limit)
    store.put_request(task.hash, task.request())
    store.close()
    return task.hash[:16]


@pytest.fixture(scope="module")
def device(server: Server) -> Iterator[FileLock]:
    """The server's device, for another memviz process to hold: what is under way then waits, and pages draw nothing."""
    from memviz.engine.devices import choose_device, place_of  # torch

    lock = FileLock(Path(server.environment["MEMVIZ_CACHE"]) / "locks" / f"{place_of(choose_device('auto'))}.lock")
    yield lock
    lock.release(force=True)


def test_a_second_session_joins_a_run_and_cancel_stops_it(
    endless: str, server: Server, device: FileLock, page: Page, another: Page, screenshots: Path
) -> None:
    page.goto(f"{server.url}/trace?run={asked(server, endless, 50_000)}")
    before, other = n_jobs(server), another
    device.acquire()
    press_run(page)
    expect(page.get_by_text("decoding 50000 tokens")).to_be_visible(timeout=MINUTES)
    expect(page).to_have_url(re.compile("run="))
    other.goto(page.url)
    expect(other.get_by_text("decoding 50000 tokens")).to_be_visible(timeout=MINUTES)
    device.release()
    expect(other.get_by_text(re.compile(r"[\d,]+ of [\d,]+ positions"))).to_be_visible(timeout=MINUTES)
    other.screenshot(path=screenshots / "joined.png")
    assert n_jobs(server) == before + 1
    other.get_by_role("button", name="Cancel").click()
    for view in (other, page):
        expect(view.get_by_text("Cancelled; nothing was kept")).to_be_visible(timeout=MINUTES)
    set_number(page, "Continuation", 8)
    press_run(page)
    expect(page.get_by_text("Tokens", exact=True)).to_be_visible(timeout=MINUTES)
    page.screenshot(path=screenshots / "decode-only.png")


@pytest.fixture(scope="module")
def deserted(
    endless: str, trace_link: str, server: Server, device: FileLock, window: BrowserContext
) -> Iterator[dict[str, Any]]:
    """Long runs, one after the other: left by its only session; left by one of two; left alone but to be kept.

    The first of them has the server's worker and waits for the device.
    """
    device.acquire()
    alone, first, keeper, second = pages = [window.new_page() for _ in range(4)]
    names = []
    for page, n_tokens in ((alone, 80000), (first, 79999), (keeper, 79998)):
        page.goto(f"{server.url}/trace?run={asked(server, endless, n_tokens)}")
        press_run(page)
        expect(page.get_by_text(f"decoding {n_tokens} tokens")).to_be_visible(timeout=MINUTES)
        names.append(re.findall(r"job (\d+) queued: trace", server.log.read_text())[-1])
    expect(first).to_have_url(re.compile("run="))
    second.goto(first.url)
    expect(second.get_by_text("decoding 79999 tokens: 1 before it in the queue")).to_be_visible(timeout=MINUTES)
    keeper.get_by_text("Go on when nobody watches").click()
    expect(keeper.get_by_role("switch", name="Go on when nobody watches")).to_be_checked()
    expect(keeper).to_have_url(re.compile("run="))
    kept = keeper.url
    keeper.wait_for_timeout(1 * SECONDS)  # the switch's own answer cannot be seen
    for page in pages[:3]:
        page.close()
    yield {"since": time.monotonic(), "jobs": names, "page": second, "kept": kept}
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


def test_a_run_ends_with_its_last_session_and_no_sooner(
    deserted: dict[str, Any], server: Server, device: FileLock
) -> None:
    device.release()
    lonely, joined, kept = deserted["jobs"]
    page = deserted["page"]
    expect(page.get_by_text(re.compile(r"[\d,]+ of [\d,]+ positions"))).to_be_visible(timeout=2 * MINUTES)
    assert time.monotonic() - deserted["since"] >= GRACE, "it ran until the grace was over"
    log = server.log.read_text()
    assert f"job {lonely} cancelled" in log
    for other in (joined, kept):
        assert f"job {other} queued" in log and not re.search(rf"job {other} (cancelled|done|failed)", log)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled; nothing was kept")).to_be_visible(timeout=MINUTES)
    page.goto(deserted["kept"])
    expect(page.get_by_text(re.compile(r"[\d,]+ of [\d,]+ positions"))).to_be_visible(timeout=MINUTES)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled; nothing was kept")).to_be_visible(timeout=MINUTES)
