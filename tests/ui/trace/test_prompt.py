"""What a prompt is made of on the Trace page: where its context ends, and texts that are uploaded."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from support.pages import choose_text, open_settings, set_number
from support.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_border_of_the_context_moves(first_visit: dict[str, object], server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace")
    open_settings(page)
    page.get_by_text("Where the context ends").click()
    slider, number = (
        page.get_by_role("slider", name="Tokens of context"),
        page.get_by_role("spinbutton", name="Context"),
    )
    slider.locator(".token").nth(10).click()
    expect(number).to_have_value("10")
    for key, value in (("ArrowRight", "11"), ("PageUp", "19"), ("Home", "1"), ("ArrowLeft", "1"), ("ArrowUp", "2")):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", value)
        expect(number).to_have_value(value)
    expect(slider).to_be_focused()
    expect(slider.locator(".first")).to_have_attribute("data-index", "2")
    set_number(page, "Context", 7)
    expect(slider).to_have_attribute("aria-valuenow", "7")


def test_uploaded_texts(first_visit: dict[str, object], server: Server, page: Page) -> None:
    page.goto(f"{server.url}/trace")
    choose_text(page, "Text of your own")
    files = page.locator("input[type=file]")
    text = "Naïve “quotes”, a tab\t, and <b>no</b> markup 🤦🏽.\n" * 8
    files.set_input_files({"name": "mine.txt", "mimeType": "text/plain", "buffer": text.encode()})
    expect(page.get_by_role("textbox", name="Text")).to_have_value(text)
    expect(page.get_by_text("Not computed yet")).to_be_visible()
    files.set_input_files({"name": "old.txt", "mimeType": "text/plain", "buffer": "caf\xe9".encode("latin-1")})
    expect(page.get_by_text("old.txt is not UTF-8 (byte 3): save it as UTF-8")).to_be_visible()
    expect(page.get_by_role("textbox", name="Text")).to_have_value(text)
