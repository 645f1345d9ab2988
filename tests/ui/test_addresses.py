"""Addresses tell the truth: what a page writes into its own replaces its entry, pages push, tabs have names."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from support.pages import MINUTES, open_settings, settle
from support.serving import Server
from support.suite import SIZES


def to_page(page: Page, title: str) -> None:
    page.get_by_test_id("stSidebarNavLink").filter(has_text=title).click()
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible(timeout=MINUTES)
    settle(page)


def test_back_undoes_one_page_and_parameters_belong_to_theirs(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/sweeps")
    expect(page.get_by_role("heading", name="Sweeps", level=1)).to_be_visible(timeout=MINUTES)
    settle(page)
    to_page(page, "Transitions")
    expect(page).to_have_url(f"{server.url}/transitions?sweep=suite")
    expect(page).to_have_title(f"Transitions · {len(SIZES)} models · memviz")
    settle(page)  # a list that is open closes where its page is drawn again
    open_settings(page)
    settle(page)
    box = page.get_by_role("combobox", name=re.compile("Continuation m"))
    box.click()
    page.get_by_role("option", name="64").click()
    expect(page).to_have_url(re.compile("[?&]m=64"))
    settle(page)
    to_page(page, "Glossary")
    expect(page).to_have_url(f"{server.url}/glossary")
    expect(page).to_have_title("Glossary · memviz")
    page.go_back()
    expect(page.get_by_role("heading", name="Transitions", level=1)).to_be_visible(timeout=MINUTES)
    expect(page).to_have_url(re.compile(r"/transitions\?(sweep=suite&m=64|m=64&sweep=suite)$"))
    settle(page)
    page.go_back()
    expect(page.get_by_role("heading", name="Sweeps", level=1)).to_be_visible(timeout=MINUTES)
    expect(page).to_have_url(f"{server.url}/sweeps")
