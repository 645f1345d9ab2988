"""A link's trace is drawn before Streamlit is up, from the store alone, and gives way to the page's own."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Page, expect
from support.pages import MINUTES
from support.serving import ROOT, Server

from memviz.gallery import examples
from memviz.ui.server import early

OWN = '[class*="st-key-linked-"] .trace .token'


def get(server: Server, path: str) -> tuple[int, str]:
    try:
        with urlopen(server.url + path) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_streamlit_is_told_where_its_server_is_before_it_asks(server: Server) -> None:
    pages = sorted(path.stem for path in (ROOT / "pages").glob("*.py") if path.stem != "overview")
    assert len(pages) == 15
    for name in pages:
        status, html = get(server, f"/{name}")
        assert status == 200 and "early/trace" not in html
        assert html.index('src="./early/boot.js"') < html.index('<script type="module"'), name
        link = re.search('<link rel="modulepreload" data-figures href="[.](/static/js/PlotlyChart[^"]+)">', html)
        assert (link is not None) == (name in early.OF_FIGURES), name
        assert link is None or "/early/figures.js" in html
    assert "BACKEND_BASE_URL" in get(server, "/early/boot.js")[1]


def test_what_draws_figures_is_fetched_ahead_and_once(server: Server, page: Page) -> None:
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{server.url}/causes")
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=MINUTES)
    of_figures = [place for place, url in enumerate(asked) if "PlotlyChart" in url]
    assert len(of_figures) == 1, "once, for the page finds it read"
    assert asked.index(f"{server.url}/early/figures.js") > of_figures[0]


def test_the_old_address_of_the_sweeps_leads_to_the_new_one_with_its_parameters(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/sweep?run=0123456789abcdef&sweep=a%26b")
    expect(page.get_by_role("heading", name="Sweeps")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("This link names sweep 0123456789abcdef, which is not stored here")).to_be_visible()
    assert page.url == f"{server.url}/sweeps?run=0123456789abcdef&sweep=a%26b"


@pytest.mark.parametrize("run", ["", "xyz", "../../etc", "abc", "0" * 65])
def test_what_is_no_hash_brings_nothing_along(server: Server, run: str) -> None:
    assert "early/trace" not in get(server, f"/trace?run={run}")[1]
    assert get(server, f"/early/trace.json?run={run}") == (204, "")


def test_an_unknown_run_is_not_drawn_and_a_query_cannot_end_its_tag(server: Server) -> None:
    status, html = get(server, "/trace?run=0123456789abcdef&tok='%22><script>alert(1)</script>")
    assert status == 200
    assert "<script>alert" not in html
    preload = re.search(r'<link rel="preload" as="fetch" crossorigin href="([^"]*)">', html)
    assert preload and "0123456789abcdef" in preload[1]
    assert get(server, "/early/trace.json?run=0123456789abcdef") == (204, "")


def test_a_stored_trace_is_drawn_early_and_replaced_by_the_pages_own(server: Server, page: Page) -> None:
    run = next(str(example.query["run"]) for example in examples() if example.page == "trace")
    status, body = get(server, f"/early/trace.json?run={run}&tok=3&mode=sideways")
    data = json.loads(body)
    assert status == 200 and data["pinned"] == 3 and "mode" not in data
    page.add_init_script(
        "new MutationObserver(() => { window.early ??= document.getElementById('memviz-early')?.dataset.tokens; })"
        ".observe(document, { childList: true, subtree: true, attributes: true });"
    )
    page.goto(f"{server.url}/trace?run={run}&tok=3")
    page.locator(OWN).first.wait_for()
    expect(page.locator("#memviz-early")).to_have_count(0)
    n_tokens = page.locator(OWN).count()
    assert len(data["pieces"]["ids"]) >= n_tokens > 0
    assert int(page.evaluate("window.early")) == n_tokens
    assert page.locator(f'{OWN}[aria-selected="true"]').get_attribute("data-j") == "3"


def test_an_answer_is_made_once_for_all_who_open_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def data(query: dict[str, str]) -> str | None:
        asked.append(f"{query['run']} {query.get('tok')}")
        return None if query["run"] == "gone" else f"picture {len(asked)}"

    monkeypatch.setattr(early, "_data", data)
    monkeypatch.setattr(early, "_drawn", OrderedDict())
    first = early._drawn_once({"run": "a", "tok": "3"})
    assert early._drawn_once({"run": "a", "tok": "3", "fits": "shipped"}) == first == "picture 1"
    assert early._drawn_once({"run": "a", "tok": "4"}) == "picture 2"
    assert early._drawn_once({"run": "gone"}) is None and early._drawn_once({"run": "gone"}) is None
    assert asked == ["a 3", "a 4", "gone None", "gone None"], "what is not stored yet is looked for again"
    for i in range(early.MOST_DRAWN):
        early._drawn_once({"run": f"further {i}"})
    assert len(early._drawn) == early.MOST_DRAWN
    assert early._drawn_once({"run": "a", "tok": "3"}) != first, "the oldest made room"
