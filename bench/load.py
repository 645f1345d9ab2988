"""Many visitors at once: 20 WebSocket sessions and 2 real browsers all press Run, while another only reads.

Printed are how long each waited for its results and how evenly the waits fall, the server's memory, and how long a
stored result takes to be read meanwhile, as a ratio to the same in the idle server. With --mixed, how long short traces
of three visitors take from their turn on while a sweep, a map, a fit and causes of a prompt run for four others. Ends
with 1 where anything is lost, or a short trace had no result in time.
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
from datetime import datetime
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
PATIENCE = 600.0  # seconds; what has not come by then is lost
N_SHORT, MOST_SHORT = 3, 30  # visitors who ask short traces beside long jobs, and how many each
LONG: dict[str, tuple[str, str, dict[str, int], str]] = {
    "sweep": ("sweeps", "", {"Sample": 100}, "Run"),
    "map": ("map", "of=suite-0.3m&beside=none&reducer=UMAP&points=2%2C000&sweep=suite", {}, "Make the UMAP"),
    "predictor": ("predictor", "view=Train&sweep=suite", {"Rows": 400}, "Train"),
    "occlusion": ("causes", "", {"Replacements a token": 64}, "Run"),
}
"""Kind of a long job -> page, query, numbers to be set, and the button."""
IN_TIME, PAUSE = 5.0, 1.0
"""Seconds within which a short job whose turn it is has its result, and between two of one visitor."""
JOB = re.compile(r"^(\S+ \S+) INFO memviz\.jobs\.worker: job (\d+) (?:queued: (\w+)|(\w+) after ([\d.]+) s)$", re.M)


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
                seconds = ask(visitor, self.context(number, turn))
                self.note(number, turn, seconds, visitor.parameters["run"][0])

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


def ask(visitor: Visitor, n_context: int, patience: float = PATIENCE) -> float:
    """Trace with so much context; seconds from Run to the result on the page."""
    visitor.set("number_input", "Context", n_context)
    visitor.set("number_input", "Continuation", CONTINUATION)
    visitor.rerun()
    visitor.until(lambda: "Not computed yet" in visitor.text, patience)
    start = time.monotonic()
    visitor.press("Run")
    visitor.until(lambda: visitor.all("metric"), patience)
    return time.monotonic() - start


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
    read_log = server.log.read_text
    wait_for(lambda: all(text in read_log() for text in ("queued: index", "queued: prepare")))
    wait_for(lambda: (text := read_log()).count(" queued: ") == len(jobs_of(text)))
    return link


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the server does not come to rest")
        time.sleep(0.2)


def lost(crowd: Crowd, cache: Path, n_expected: int, errors: list[str]) -> list[str]:
    """What is wrong with the results, in sentences."""
    found, n_waits = errors[:], sum(map(len, crowd.waits.values()))
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
    mean = statistics.mean(waits)
    print(f"{len(waits)} results for {len(crowd.waits)} visitors in {seconds:.1f} s")
    print(
        f"waits: mean {mean:.2f} s, {in_words(waits)}; between visitors: mean waits from {min(means):.2f} to", end=" "
    )
    print(f"{max(means):.2f} s, longest to mean {max(means) / statistics.mean(means):.2f}")


def measure(server: Server, cache: Path, n_sessions: int, n_browsers: int, n_rounds: int) -> list[str]:
    """Print the figures; what was lost."""
    link = stored_link(server)
    process = psutil.Process(server.process.pid)
    idle = [read(server, link) for _ in range(READS_IDLE)]
    before, peak, busy = process.memory_info().rss, 0, []
    crowd = Crowd(server, n_sessions + n_browsers, n_rounds)
    with ThreadPoolExecutor(n_sessions + n_browsers) as pool:
        futures: list[Future[None]] = [pool.submit(crowd.browse, number) for number in range(n_browsers)]
        futures += [pool.submit(crowd.visit, n_browsers + number) for number in range(n_sessions)]
        while crowd.began is None and not any(future.done() for future in futures):
            time.sleep(0.02)
        while not all(future.done() for future in futures):
            busy.append(read(server, link))
            peak = max(peak, process.memory_info().rss)
    seconds = time.monotonic() - (crowd.began or 0)
    errors = [f"a visitor gave up: {error}" for future in futures if (error := future.exception())]
    if crowd.waits:
        say_waits(crowd, seconds)
    ratio = statistics.median(busy) / statistics.median(idle)
    print(f"reading a stored result meanwhile: {in_words(busy)} of {len(busy)};", end=" ")
    print(f"idle server: {in_words(idle)} of {len(idle)}; ratio of medians {ratio:.2f}")
    said = [
        f"{n / 1e6:.0f} MB {when}"
        for n, when in ((before, "before"), (peak, "at most"), (process.memory_info().rss, "after"))
    ]
    print(f"server memory: {', '.join(said)}")
    return lost(crowd, cache, (n_sessions + n_browsers) * n_rounds, errors)


def long_run(server: Server, kind: str, is_over: Callable[[], bool]) -> None:
    """A visitor who starts what runs long and stays."""
    page, query, numbers, button = LONG[kind]
    with Visitor(server.url, page, query) as visitor:
        visitor.until(lambda: all(visitor.find("number_input", label) for label in numbers), PATIENCE)
        for label, value in numbers.items():
            visitor.set("number_input", label, value)
        visitor.rerun()
        visitor.settle(PATIENCE)
        visitor.until(lambda: (found := visitor.find("button", button)) and not found.disabled, PATIENCE)
        visitor.press(button)
        visitor.until(is_over, PATIENCE)


def short_runs(server: Server, number: int, is_over: Callable[[], bool]) -> list[float]:
    """A visitor who asks one short trace after another; seconds of each until it was on the page."""
    found: list[float] = []
    with Visitor(server.url, "trace") as visitor:
        visitor.until(lambda: can_run(visitor), PATIENCE)
        while not is_over() and len(found) < MOST_SHORT:
            found.append(ask(visitor, FIRST_CONTEXT + number * MOST_SHORT + len(found), 60))
            time.sleep(PAUSE)
    return found


def jobs_of(log: str) -> list[tuple[str, float, float, float]]:
    """Kind, and seconds at which it was asked, started and ended, of every job that has ended."""
    asked: dict[str, tuple[str, float]] = {}
    found = []
    for said, number, kind, _, seconds in JOB.findall(log):
        at = datetime.strptime(said, "%Y-%m-%d %H:%M:%S,%f").timestamp()
        if kind:
            asked[number] = kind, at
        else:
            found.append((*asked[number], at - float(seconds), at))
    return found


def mixed(server: Server, seconds: float) -> list[str]:
    """Print how long short traces took beside long jobs; what was not in time."""
    stored_link(server)
    read_log, over, end = server.log.read_text, threading.Event(), time.monotonic() + seconds
    n_before = len(jobs_of(read_log()))
    with ThreadPoolExecutor(len(LONG) + N_SHORT) as pool:
        try:
            futures = [pool.submit(long_run, server, kind, over.is_set) for kind in LONG]
            wait_for(lambda: any(map(Future.done, futures)) or all(f"queued: {kind}\n" in read_log() for kind in LONG))
            asking = [pool.submit(short_runs, server, number, over.is_set) for number in range(N_SHORT)]
            while time.monotonic() < end and not LONG.keys() <= {job[0] for job in jobs_of(read_log())}:
                time.sleep(1)
        finally:
            over.set()
    jobs = jobs_of(read_log())[n_before:]
    short = [job for job in jobs if job[0] == "trace"]
    turns = [max(asked, *(done for *_, done in short if done <= start), asked) for _, asked, start, _ in short]
    took = [done - turn for (*_, done), turn in zip(short, turns, strict=True)]
    on_page = [each for future in asking if not future.exception() for each in future.result()]
    errors = [f"a visitor gave up: {error}" for each in (*futures, *asking) if (error := each.exception())]
    for kind, _, start, done in (job for job in jobs if job[0] in LONG):
        beside = [each for turn, each in zip(turns, took, strict=True) if start < turn < done]
        print(
            f"{kind}, ended after {done - start:.0f} s: {len(beside)} short traces had their turn; {in_words(beside)}"
        )
    print(f"all {len(took)} short traces, from their turn to their result: {in_words(took)}")
    print(f"from Run until it was on the page, others' turns included: {in_words(on_page)}")
    late = [f"a short trace had its result {each:.1f} s after its turn" for each in took if each > IN_TIME]
    return errors + late + ([] if took else ["no short trace ran"])


def in_words(waits: list[float]) -> str:
    return f"median {statistics.median(waits):.2f} s, longest {max(waits):.2f}" if waits else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--browsers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each visitor, one after the other")
    parser.add_argument("--mixed", type=float, default=0, help="seconds of short traces beside long jobs, instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        environment = {"MEMVIZ_CACHE": str(cache), "MEMVIZ_OFFLINE": "true", "MEMVIZ_AUTORUN": "false"}
        with start_server(ROOT / "app.py", env=environment, log=Path(folder) / "server.log") as server:
            sizes = options.sessions, options.browsers, options.rounds
            problems = mixed(server, options.mixed) if options.mixed else measure(server, cache, *sizes)
            if "Traceback" in server.log.read_text():
                problems.append("the log has a traceback")
    for problem in problems:
        print(f"LOST: {problem}")
    print("nothing lost" if not problems else f"{len(problems)} problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
