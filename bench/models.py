"""Getting a model ready: `models add` against the hub client's own download alone, and how long an examination takes.

The hub is a small server on 127.0.0.1, the model the largest that comes along. Both ways run in turn, from nothing.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from huggingface_hub import constants, snapshot_download
from support.hub import Hub, serving

from memviz.catalog import SUITE_MODELS, find_model, read_card
from memviz.engine import preparing
from memviz.engine.devices import choose_device, use_exact_float32
from memviz.engine.examination import examine
from memviz.engine.loading import load_model
from memviz.settings import Settings, load_settings

REPO, MODEL, EXAMINED = "bench/model", "suite-7.6m", "smollm2-135m"


def timed_add(scratch: Path) -> float:
    """Seconds of `models add` without its examination."""
    settings = Settings(cache=scratch / "cache", model_roots=())
    start = time.perf_counter()
    preparing.add_model(find_model(REPO, settings), settings, False, lambda _: None)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    use_exact_float32()
    examined, preparing.examined = preparing.examined, lambda card, *_: card
    ours, alone = [], []
    with serving(Hub()) as hub, tempfile.TemporaryDirectory() as folder:
        constants.ENDPOINT = hub.url
        constants.HUGGINGFACE_CO_URL_TEMPLATE = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        hub.put(REPO, SUITE_MODELS / MODEL)
        for turn in range(options.repeats + 1):
            for times in (ours, alone):
                scratch = Path(folder, "scratch")
                constants.HF_HUB_CACHE = str(scratch / "hub")
                start = time.perf_counter()
                seconds = timed_add(scratch) if times is ours else None
                if seconds is None:
                    snapshot_download(REPO)
                    seconds = time.perf_counter() - start
                shutil.rmtree(scratch)
                times += [seconds] if turn else []  # the first turn imports
    preparing.examined = examined
    ratio = statistics.median(ours) / statistics.median(alone)
    print(f"models add {statistics.median(ours):.2f} s, download alone {statistics.median(alone):.2f} s: {ratio:.2f}")

    settings = load_settings()
    card = read_card(find_model(EXAMINED, settings), settings)
    if card is None:
        print(f"{EXAMINED} is not ready: `memviz models add {EXAMINED}` first, then its examination is timed too")
        return
    loaded, times = load_model(card, "float32", choose_device("cpu")), []
    for _ in range(options.repeats):
        start = time.perf_counter()
        examine(loaded)
        times.append(time.perf_counter() - start)
    print(f"examination of {EXAMINED}: {statistics.median(times):.2f} s")


if __name__ == "__main__":
    main()
