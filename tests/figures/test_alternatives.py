"""The panel of alternatives beside the strip, in Chromium."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect
from support.pages import token

pytestmark = pytest.mark.browser

Show = Callable[..., None]


def test_alternatives_of_the_first_difference_stand_there_before_anybody_points(page: Page, show: Show) -> None:
    show()
    expect(page.locator(".panel strong")).to_have_text("Position 3")
    expect(page.locator(".panel .note")).to_contain_text("Point at a token")
    assert page.locator(".panel li:visible").count() > 1
    token(page, 2).hover()
    expect(page.locator(".panel strong")).to_have_text("Position 2")
    expect(page.locator(".panel .note")).not_to_contain_text("Point at a token")


def test_alternatives_hold_the_true_token_with_its_rank(page: Page, show: Show) -> None:
    show(mode="teacher_forced", pinned=4)
    rows = page.locator(".panel li:visible")
    assert [row.split("\n") for row in rows.all_inner_texts()] == [
        ["1", "<bos>", "0.607", "▸"],
        ["2", "c", "0.223"],
        ["7", "↵", "0.135", "✓"],
    ]
    expect(rows.nth(2)).to_have_class("true far")
    assert page.locator(".panel .note").inner_text().startswith("true token rank 7 · margin 3.0 logits")
    rows.nth(1).hover()
    assert [item.get_attribute("data-j") for item in page.locator(".same").all()] == ["3"]  # where else it stands
