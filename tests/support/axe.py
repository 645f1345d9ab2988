"""What axe says of a page, asked while the page stands still."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page
from support.pages import in_scheme

STREAMLITS_OWN = {"list", "listitem", "duplicate-id-active"}
"""What its sidebar's headings do to their list, and two tables on one page to the names of their cells."""
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa"]}, "resultTypes": ["violations"]}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, "resultTypes": ["violations"]}
"""All that a colour scheme changes."""
MOST_TRIES = 10
LISTEN = """() => {
  window.stirred = 0;
  window.stirring?.disconnect();
  const stirs = ({target: {dataset}}) => dataset.stale === "true" || dataset.testScriptState === "running";
  window.stirring = new MutationObserver((seen) => { window.stirred += seen.filter(stirs).length; });
  const attributeFilter = ["data-stale", "data-test-script-state"];
  window.stirring.observe(document.body, {subtree: true, attributes: true, attributeFilter});
}"""
"""Count from now on how often a script starts and an element goes stale, which fades it."""


def faults_by_axe(page: Page, scheme: str) -> list[tuple[str, list[str]]]:
    """(rule, where) of each rule broken in a colour scheme; of dark, of the rules on colours.

    A page polls while something is under way, and what is asked again may fade meanwhile: what was found on a page
    that stirred is looked for again.
    """
    axe = pytest.importorskip("axe_core_python.sync_playwright")
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    faults: list[tuple[str, list[str]]] = []
    for _ in range(MOST_TRIES):
        in_scheme(page, scheme)
        page.evaluate(LISTEN)
        found = axe.Axe().run(page, options=COLOURS if scheme == "dark" else RULES)["violations"]
        faults = [
            (each["id"], [n["target"] for n in each["nodes"]]) for each in found if each["id"] not in STREAMLITS_OWN
        ]
        if not faults or not page.evaluate("window.stirred"):
            break
    return faults
