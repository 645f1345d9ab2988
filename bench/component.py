"""Drawing times of the linked component in headless Chromium: first draw, hover, pin, mode and fill, per row length.

Each time is scripting plus forced style and layout in the page, the median of several; bytes are the data's JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path

from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.chromium import chromium
from support.traces import pieces_of, random_trace

from memviz.figures.linked import TRACE, Marks, linked_data

LENGTHS = (64, 1000)
FRAME = 1000 / 60  # ms

MEASURE = """
async ([source, css, data, repeats]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
  const times = { "first draw": [], hover: [], pin: [], mode: [], fill: [] };
  const frames = [];
  window.requestAnimationFrame = (act) => frames.push(act); // run at once below, so that their work is counted
  const timed = (name, act) => {
    const start = performance.now();
    act();
    for (const frame of frames.splice(0)) frame();
    document.body.offsetHeight; // style and layout too
    times[name].push(performance.now() - start);
  };
  for (let i = 0; i < repeats; i++) {
    const host = document.createElement("div");
    const shadow = host.attachShadow({ mode: "open" });
    const style = document.createElement("style");
    style.textContent = css;
    shadow.append(style);
    document.body.replaceChildren(host);
    let cleanup;
    timed("first draw", () => { cleanup = module.default({ data, parentElement: shadow, setStateValue() {} }); });
    const tokens = [...shadow.querySelectorAll(".token")];
    const some = (n) => tokens[(n * 37 + 5) % tokens.length];
    const over = { bubbles: true, composed: true, pointerType: "mouse" };
    for (let n = 0; n < 20; n++) timed("hover", () => some(n).dispatchEvent(new PointerEvent("pointerover", over)));
    for (let n = 0; n < 5; n++) timed("pin", () => some(n).click());
    for (const mode of ["teacher_forced", "free_running"]) {
      timed("mode", () => shadow.querySelector(`[value=${mode}]`).click());
    }
    const select = shadow.querySelector("select");
    for (const fill of ["rank", "match"]) {
      select.value = fill;
      timed("fill", () => select.dispatchEvent(new Event("change", { bubbles: true })));
    }
    await new Promise((done) => setTimeout(done, 50));
    cleanup();
  }
  return times;
}
"""


def measure(page: Page, length: int, repeats: int) -> tuple[int, dict[str, list[float]]]:
    """Bytes of the data, and milliseconds of every act."""
    trace = random_trace(24, length - 24)
    marks = Marks(first_divergence=40, resynchronised=42, change_points=(30, 50), memorized_end=40)
    data = linked_data(trace, 0, pieces_of(trace), marks=marks)
    page.set_content("<!doctype html><body></body>")
    times = page.evaluate(MEASURE, [TRACE.js(), TRACE.css(), data, repeats])
    return len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()), times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 940})
        for length in LENGTHS:
            n_bytes, times = measure(page, length, args.repeats)
            print(f"{length} tokens, {n_bytes / 1000:.0f} kB of data; ms as median (most), a frame is {FRAME:.1f}:")
            for name, values in times.items():
                print(f"  {name:10} {statistics.median(values):6.1f} ({max(values):.1f})")


if __name__ == "__main__":
    main()
