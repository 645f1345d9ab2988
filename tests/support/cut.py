"""Which texts on a page are cut: they are wider than what holds them, which hides what sticks out."""

from __future__ import annotations

from playwright.sync_api import Page

CUT = """() => {
  const found = [];
  const look = (root) => root.querySelectorAll("*").forEach((element) => {
    if (element.shadowRoot) look(element.shadowRoot);
    const own = [...element.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    const seen = element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    if (!own || !seen || element.closest(ALLOWED)) return;
    for (let box = element; box && box !== root; box = box.parentElement) {
      const {overflowX} = getComputedStyle(box);
      if (overflowX === "auto" || overflowX === "scroll") return;
      if (overflowX !== "hidden" && overflowX !== "clip") continue;
      const range = document.createRange();
      range.selectNodeContents(element);
      const [text, frame] = [range.getBoundingClientRect(), box.getBoundingClientRect()];
      if (frame.width > 2 && text.width > 0 && (text.right > frame.right + 1.5 || text.left < frame.left - 1.5)) {
        found.push(`${element.textContent.trim().slice(0, 60)} (${element.className})`);
        return;
      }
    }
  });
  look(document.querySelector("[data-testid=stMainBlockContainer]"));
  return found;
}"""
ALLOWED = ".unseen, .st-key-unseen, .piece, .tip, svg, canvas, [data-testid=stDataFrame], .chip"
"""Not seen, or cut on purpose where the whole is said elsewhere: tokens in cells, figures, tables that scroll."""


def cut_texts(page: Page) -> list[str]:
    return page.evaluate(CUT.replace("ALLOWED", repr(ALLOWED)))  # type: ignore[no-any-return]
