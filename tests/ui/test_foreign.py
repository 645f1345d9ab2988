"""What is not ours stays words: no link, image, formula, mark or dialog comes of it, on no page and in no export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from support.chromium import DRAWN
from support.foreign import SWEEP, foreign
from support.pages import MINUTES, download, settle
from support.serving import ROOT, Server, start_server

FAULTS = """() => {
  const found = [], words = [];
  const leads = (value) => {  // a page of this server may have any words in its query
    if (/^\\s*javascript:/i.test(value)) return true;
    try { return new URL(value, document.baseURI).origin !== location.origin && /zq\\.example/i.test(value); }
    catch { return true; }
  };
  const visit = (root) => {
    for (const each of root.querySelectorAll("*")) {
      for (const { name, value } of each.attributes) {
        if (/^(href|xlink:href|src|srcset|action|formaction)$/.test(name) && leads(value))
          found.push(`${each.localName} ${name}=${value} in ${each.parentElement?.textContent.slice(0, 60)}`);
        if (/^on/.test(name)) found.push(`${each.localName} ${name}`);
      }
      if (each.matches(".katex") && /zq/.test(each.textContent)) found.push(`a formula: ${each.textContent}`);
      if (/^(em|i|strong|b|del|s|code|h[1-6])$/.test(each.localName) && /^zq[bcsi]$/.test(each.textContent.trim()))
        found.push(`${each.localName}: ${each.textContent}`);
      if (each.shadowRoot) visit(each.shadowRoot);
    }
    words.push((root.body ?? root).textContent);
  };
  visit(document);
  return { found, isShown: words.some((text) => text.includes("zq")) };
}"""
SAMPLE = "compare"
PAGES = (
    "population", "trace",
    "overview", "layers", "causes", "map", "dynamics", "transitions", "boundary", "membership", "precision",
    "predictor", "sweeps", "gallery", "glossary",
)  # fmt: skip
WITHOUT = ("glossary", "precision", "predictor")
"""Pages that show nothing foreign as they open."""
MOST_FOLDS = 40


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    home = tmp_path_factory.mktemp("foreign")
    settings, links = foreign(home)
    links |= {"overview": "", "gallery": "gallery?shown=Your+tour"}
    env = {"MEMVIZ_CACHE": str(settings.cache), "MEMVIZ_MODEL_ROOTS": str(home / "models"), "MEMVIZ_OFFLINE": "true"}
    with start_server(ROOT / "app.py", env=env | {"MEMVIZ_WARM_UP": "false"}, log=home / "log") as server:
        yield server, links


def unfold(page: Page) -> None:
    """Open every fold, those among them that stand in another."""
    closed = page.locator("[data-testid=stMain] details:not([open]) > summary:visible:not([inert], [inert] *)")
    for _ in range(MOST_FOLDS):
        if not closed.count():
            return
        closed.first.click()
        settle(page)
    raise AssertionError(f"still folded: {closed.all_inner_texts()}")


@pytest.mark.parametrize("name", [SAMPLE, *(pytest.param(name, marks=pytest.mark.wide) for name in PAGES)])
def test_foreign_words_stay_words(
    name: str, hostile: tuple[Server, dict[str, str]], page: Page, browser: Browser, tmp_path: Path
) -> None:
    server, links = hostile
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.goto(f"{server.url}/{links.get(name, f'{name}?sweep={SWEEP[:12]}')}")
    expect(page.get_by_role("heading", level=1).first).to_be_visible(timeout=MINUTES)
    settle(page)
    if name in (SAMPLE, "population", "trace"):
        expect(page.locator(DRAWN).first).to_be_visible(timeout=MINUTES)
    faults, is_shown = list[str](), False

    def look(where: str) -> None:
        nonlocal is_shown
        found = page.evaluate(FAULTS)
        is_shown = is_shown or found["isShown"]
        faults.extend(f"{where}: {each}" for each in found["found"])

    look("as it opens")
    unfold(page)
    look("unfolded")
    for box in page.locator("[data-testid=stPopoverButton]:visible").all():
        box.click()
        look(box.inner_text())
        page.keyboard.press("Escape")
    assert faults == [] and said == []
    assert is_shown is (name not in WITHOUT), "the attack is on the page, as words"
    if name in (SAMPLE, "trace"):
        (tmp_path / "out.html").write_bytes(download(page, "HTML"))
        check_exported(browser, tmp_path / "out.html", ".token, [role=option], [role=gridcell]", True)
    if name != SAMPLE:
        page.get_by_role("button", name="Share").click()
        with page.expect_download() as found:
            page.locator(".share").get_by_role("button", name="Offline HTML", exact=True).click()
        (tmp_path / "view.html").write_bytes(Path(found.value.path()).read_bytes())
        check_exported(browser, tmp_path / "view.html", "h1", name not in WITHOUT)


def check_exported(browser: Browser, file: Path, drawn: str, has_words: bool) -> None:
    """What is saved, opened without a network, has the foreign words that it should have, and as words."""
    window = browser.new_context(offline=True)
    heard: list[str] = []
    alone = window.new_page()
    alone.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
    alone.on("request", lambda request: heard.append(request.url))
    alone.on("console", lambda message: heard.append(message.text))
    alone.goto(file.as_uri())
    expect(alone.locator(drawn).locator("visible=true").first).to_be_visible()
    found = alone.evaluate(FAULTS)
    assert found["found"] == [] and found["isShown"] is has_words
    assert [each for each in heard if not each.startswith(("file:", "blob:", "data:"))] == []
    window.close()
