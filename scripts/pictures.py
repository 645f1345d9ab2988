"""Draw docs/images/trace.png anew: the running dashboard, photographed in Chromium.

python scripts/pictures.py [MODEL], with a model that `memviz models` says is here.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from chromium import ARGUMENTS, find_chromium  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402
from serving import start_server  # noqa: E402

from memviz.catalog import find_model  # noqa: E402
from memviz.engine.backend import Backend  # noqa: E402
from memviz.engine.preparing import prepare  # noqa: E402
from memviz.passages import PASSAGES  # noqa: E402
from memviz.settings import load_settings, quiet_libraries  # noqa: E402
from memviz.store import Store  # noqa: E402
from memviz.tasks import run_hash, run_trace, task_of_text, tokenizer_of  # noqa: E402


def main(model: str = "smollm2-135m") -> None:
    quiet_libraries()
    settings = load_settings()
    store = Store(settings.cache / "results", settings.cache_limit)
    card = prepare(find_model(model, settings), settings, print)
    text = PASSAGES["U.S. Constitution, preamble (1787)"]
    task = task_of_text(text, card, tokenizer_of(card, settings), 23, 40)
    run_trace(task, Backend(settings), store)
    store.put_request(run_hash(task), task.request())
    pictures = ROOT / "docs" / "images"
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        env = {"MEMVIZ_CACHE": str(settings.cache)}
        with start_server(ROOT / "app.py", env=env, log=Path(scratch) / "log") as server:
            browser = playwright.chromium.launch(executable_path=find_chromium(os.environ), args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1440, "height": 1390})
            page.goto(f"{server.url}/trace?run={run_hash(task)[:16]}&tok=45")
            tokens = page.locator("[role=option][aria-label^=index]")
            expect(tokens).to_have_count(len(task.context_ids) + task.n_steps, timeout=60_000)
            expect(page.get_by_text(re.compile("^Position 45"))).to_be_visible()
            page.wait_for_timeout(1000)
            page.screenshot(path=pictures / "trace.png")
            browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
