"""The tour on the real pages, from first to last by keys; what its links mean beside a sweep and a fit of one's own."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from playwright.sync_api import Page, expect
from streamlit.testing.v1 import AppTest
from support.pages import MINUTES, settle
from support.serving import Server
from support.suite import LARGEST

from memviz.gallery import tour
from memviz.predictor.known import known_predictors
from memviz.settings import load_settings
from memviz.sweeps.kept import SHIPPED
from memviz.ui.common.widgets import bound, forget_bound
from memviz.ui.gallery.tour import link_of
from memviz.ui.trace import predictors


@pytest.mark.parametrize("last", [3, pytest.param(11, marks=pytest.mark.wide)])
def test_it_leads_from_first_to_last_by_keys_and_starts_nothing(last: int, server: Server, page: Page) -> None:
    stops = tour()
    assert len(stops) == 11 and [each.finding for each in stops] == sorted(each.finding for each in stops)
    queued = len(re.findall(r"job \d+ queued: (?!prepare)", server.log.read_text()))
    page.goto(f"{server.url}/population?domains=bible&m=64")  # what was chosen before is no part of the tour
    expect(page.get_by_role("heading", name="Population", level=1)).to_be_visible(timeout=MINUTES)
    settle(page)
    page.get_by_test_id("stSidebarNavLink").filter(has_text="Gallery").click()
    page.get_by_role("link", name=re.compile("Take the tour")).click()
    bar = page.locator(".st-key-tour")
    for number, stop in enumerate(stops[:last], 1):
        expect(bar).to_contain_text(f"{number} of 11 · {stop.title}", timeout=MINUTES)
        expect(page).to_have_url(re.compile(f"/{stop.page}\\?.*tour={number}(&|$)"))
        expect(page.locator("[data-toured]")).to_be_visible(timeout=MINUTES)
        expect(page).not_to_have_url(re.compile("[?&](domains|m)="))
        expect(page.get_by_text("not computed yet", exact=False)).to_have_count(0)
        settle(page)
        if number < last:
            page.keyboard.press("ArrowRight")
    if last == len(stops):
        expect(bar.get_by_role("link", name="end of the tour")).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(bar).to_contain_text(f"{last - 1} of 11", timeout=MINUTES)
    assert len(re.findall(r"job \d+ queued: (?!prepare)", server.log.read_text())) == queued


def test_its_links_mean_the_shipped_sweep_beside_one_of_ones_own(app: AppTest, tmp_path: Path) -> None:
    own = tmp_path / "cache" / "sweeps" / ("a" * 64)
    shutil.copytree(SHIPPED, own)
    app.query_params["sweep"] = own.name[:12]
    app.switch_page("../pages/transitions.py").run()
    assert app.selectbox(key="sweep").value == own.name[:12]
    stop = next(each for each in tour() if each.page == "transitions")
    for name, value in link_of(stop, 3).items():
        app.query_params[name] = value
    app.run()
    assert app.selectbox(key="sweep").value == "suite" and not app.exception


def test_its_links_mean_the_shipped_predictors_beside_a_fit_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = [each for each in known_predictors(load_settings()) if each.shipped]
    fitted = next(each for each in shipped if each.setting == "published" and each.model == LARGEST)
    own = replace(fitted, shipped=False, about={**fitted.about, "id": "f" * 64})
    card = SimpleNamespace(weights=fitted.weights)
    task = SimpleNamespace(context_ids=(0,) * 32, decoding=SimpleNamespace(greedy=True), n_leading=lambda card: 0)
    monkeypatch.setattr(predictors, "known_now", lambda: [own, *shipped])
    monkeypatch.setattr(predictors, "objection", lambda *_: None)
    queries = (
        ({}, fitted.id),
        ({"fits": "shipped"}, fitted.id),
        ({"by": "f" * 12}, own.id),
        ({"by": "0" * 12}, fitted.id),
    )
    for query, expected in queries:
        monkeypatch.setattr(predictors.st, "query_params", query)
        assert predictors.usable(card, task)[0]["published"].id == expected
    monkeypatch.setattr(predictors.st, "query_params", {"by": "f" * 12})
    assert predictors.usable(card, task)[0]["published"].id == own.id
    bound(predictors.BY)  # Membership has a widget of this name
    forget_bound()
    assert predictors.usable(card, task)[0]["published"].id == own.id, "the link says so still"
    monkeypatch.setattr(predictors, "known_now", lambda: [own])
    forget_bound()
    monkeypatch.setattr(predictors.st, "query_params", alone := {})
    assert predictors.usable(card, task)[0]["published"].id == own.id and alone == {"by": "f" * 12}
    assert all(each.query.get("fits") == "shipped" for each in tour() if each.page == "trace")
    assert next(each for each in tour() if each.page == "predictor").query["predictor"] == fitted.id[:12]
