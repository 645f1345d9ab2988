"""Many visitors at once: 20 WebSocket sessions and 2 real browsers all press Run, while another only reads.

Printed are how long each waited for its results and how evenly the waits fall, the server's memory, and how long a
stored result takes to be read meanwhile, as a ratio to the same in the idle server. Ends with 1 where anything is lost.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from support.chromium import chromium
from support.pages import open_settings
from support.serving import ROOT, Server, start_server
from support.visitor import Visitor

from memviz.settings import load_settings
from memviz.store import Store

FIRST_CONTEXT, CONTINUATION = 8, 24  # other than what the page asks by itself, which is stored before
READS_IDLE = 15
PATIENCE = 600.0
"""Seconds; a result that has not come by then is lost."""


class Crowd:
    """What the visitors found, collected from their threads."""

    def __init__(self, server: Server, n_visitors: int, n_rounds: int) -> None:
        self.server, self.n_rounds = server, n_rounds
        self.waits: dict[int, list[float]] = {}
        self.runs: dict[str, int] = {}
        """Run of a link -> context tokens that were asked for."""
        self.began: float | None = None
        """When all had opened the page and started to press."""
        self.together = threading.Barrier(n_visitors, self._begin)

    def _begin(self) -> None:
        self.began = time.monotonic()

    def context(self, visitor: int, turn: int) -> int:
        """Each round of each visitor asks something else."""
        return FIRST_CONTEXT + visitor * self.n_rounds + turn

    def note(self, visitor: int, turn: int, seconds: float, run: str) -> None:
        self.waits.setdefault(visitor, []).append(seconds)
        self.runs[run] = self.context(visitor, turn)

    def visit(self, number: int) -> None:
        """One session: other sizes each round, Run, until its own result is on the page."""
        with Visitor(self.server.url, "trace") as visitor:
            visitor.until(lambda: can_run(visitor), PATIENCE)
            self.together.wait(PATIENCE)
            for turn in range(self.n_rounds):
                visitor.set("number_input", "Context", self.context(number, turn))
                visitor.set("number_input", "Continuation", CONTINUATION)
                visitor.rerun()
                visitor.until(lambda: "Not computed yet" in visitor.text, PATIENCE)
                start = time.monotonic()
                visitor.press("Run")
                visitor.until(lambda: visitor.all("metric"), PATIENCE)
                self.note(number, turn, time.monotonic() - start, visitor.parameters["run"][0])

    def browse(self, number: int) -> None:
        """The same in Chromium."""
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 1440, "height": 1000})
            page.set_default_timeout(1000 * PATIENCE)
            page.goto(f"{self.server.url}/trace")
            page.get_by_test_id("stMetric").first.wait_for()  # the first row was run before
            self.together.wait(PATIENCE)
            for turn in range(self.n_rounds):
                open_settings(page)
                field = page.get_by_role("spinbutton", name="Context")
                field.fill(str(self.context(number, turn)))
                field.press("Enter")
                page.get_by_text("Not computed yet").wait_for()
                start = time.monotonic()
                page.get_by_role("button", name="Run", exact=True).click()
                page.get_by_test_id("stMetric").first.wait_for()
                page.wait_for_url(re.compile("run="))
                self.note(number, turn, time.monotonic() - start, re.findall("run=([0-9a-f]+)", page.url)[0])


def can_run(visitor: Visitor) -> bool:
    button = visitor.find("button", "Run")
    return button is not None and not button.disabled


def read(server: Server, query: str) -> float:
    """Seconds from opening a link in a new session to its result."""
    start = time.monotonic()
    with Visitor(server.url, "trace", query) as visitor:
        visitor.until(lambda: visitor.all("metric"), PATIENCE)
        return time.monotonic() - start


def stored_link(server: Server) -> str:
    """The address of a result, computed once; the first run also indexes the training data."""
    with Visitor(server.url, "trace") as visitor:
        visitor.until(lambda: can_run(visitor), PATIENCE)
        visitor.press("Run")
        visitor.until(lambda: visitor.all("metric"), PATIENCE)
        link = visitor.query
    log = server.log
    wait_for(lambda: all(text in log.read_text() for text in ("queued: index", "queued: prepare")))
    wait_for(
        lambda: (
            len(re.findall(r"job \d+ queued", log.read_text()))
            == len(re.findall(r" (done|failed) after", log.read_text()))
        )
    )
    return link


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not come to rest")
        time.sleep(0.2)


def memory(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


def lost(crowd: Crowd, cache: Path, n_expected: int, errors: list[str]) -> list[str]:
    """What is wrong with the results, in sentences."""
    found = errors[:]
    n_waits = sum(map(len, crowd.waits.values()))
    if n_waits != n_expected or len(crowd.runs) != n_expected:
        found.append(f"{n_waits} results of {n_expected} came, under {len(crowd.runs)} links")
    store = Store(cache / "results", load_settings().cache_limit)
    for run, n_context in crowd.runs.items():
        request = store.get_request(run)
        if request is None or len(request["context_ids"]) != n_context:
            found.append(f"link {run} is not the run that its visitor asked for")
    if store.stats().n_results < n_expected + 1:
        found.append(f"the store holds {store.stats().n_results} results of {n_expected + 1}")
    return found


def say_waits(crowd: Crowd, seconds: float) -> None:
    waits = [wait for each in crowd.waits.values() for wait in each]
    means = [statistics.mean(each) for each in crowd.waits.values()]
    print(
        f"{len(waits)} results for {len(crowd.waits)} visitors in {seconds:.1f} s; waits: mean "
        f"{statistics.mean(waits):.2f} s, median {statistics.median(waits):.2f}, longest {max(waits):.2f}"
    )
    print(
        f"between visitors: mean waits from {min(means):.2f} to {max(means):.2f} s, "
        f"longest to mean {max(means) / statistics.mean(means):.2f}"
    )


def measure(server: Server, cache: Path, n_sessions: int, n_browsers: int, n_rounds: int) -> list[str]:
    """Print the figures; what was lost."""
    link = stored_link(server)
    process = psutil.Process(server.process.pid)
    idle = [read(server, link) for _ in range(READS_IDLE)]
    before, peak, busy = memory(process), 0, []
    crowd = Crowd(server, n_sessions + n_browsers, n_rounds)
    with ThreadPoolExecutor(n_sessions + n_browsers) as pool:
        futures: list[Future[None]] = [pool.submit(crowd.browse, number) for number in range(n_browsers)]
        futures += [pool.submit(crowd.visit, n_browsers + number) for number in range(n_sessions)]
        while crowd.began is None and not any(future.done() for future in futures):
            time.sleep(0.02)
        while not all(future.done() for future in futures):
            busy.append(read(server, link))
            peak = max(peak, memory(process))
    seconds = time.monotonic() - (crowd.began or 0)
    errors = [f"a visitor gave up: {error}" for future in futures if (error := future.exception())]
    if crowd.waits:
        say_waits(crowd, seconds)
    ratio = statistics.median(busy) / statistics.median(idle)
    print(
        f"reading a stored result meanwhile: median {statistics.median(busy):.2f} s, worst {max(busy):.2f} of "
        f"{len(busy)}; idle server {statistics.median(idle):.2f} s, worst {max(idle):.2f} of {len(idle)}; "
        f"ratio of medians {ratio:.2f}"
    )
    print(
        f"server memory: {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most, {memory(process) / 1e6:.0f} after"
    )
    return lost(crowd, cache, (n_sessions + n_browsers) * n_rounds, errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--browsers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each visitor, one after the other")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        environment = {"MEMVIZ_CACHE": str(cache), "MEMVIZ_OFFLINE": "true"}
        with start_server(ROOT / "app.py", env=environment, log=Path(folder) / "server.log") as server:
            problems = measure(server, cache, options.sessions, options.browsers, options.rounds)
            if "Traceback" in server.log.read_text():
                problems.append("the log has a traceback")
    for problem in problems:
        print(f"LOST: {problem}")
    print("nothing lost" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
