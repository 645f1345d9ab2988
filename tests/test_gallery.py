"""The gallery against what ships with it: results there and right, links that open them, and no model needed."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from support.pages import FIRST_EXAMPLES, open_example
from support.serving import ROOT, Server, free_port, start_server
from support.suite import SMALLEST, STEPS
from support.visitor import Visitor

from memviz.catalog import CARD, SUITE_MODELS, find_model, read_card, ship_card
from memviz.gallery import GALLERY, Example, examples, open_store, tour
from memviz.measures import compute_all
from memviz.settings import Settings, load_settings
from memviz.tasks.base import Context, stored, task_from
from memviz.tasks.causes import HeadsTask
from memviz.tasks.ladder import LadderTask
from memviz.tasks.trace import TraceTask
from memviz.ui.common import every_page
from memviz.ui.server import rehearsal

SECONDS = 1_000
TRACES = [example for example in examples() if example.page == "trace"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(cache=tmp_path / "cache", offline=True)


def test_every_finding_has_its_steps_and_every_example_its_pictures() -> None:
    assert {example.finding for example in examples()} >= {1, 2, 3, 4}
    assert len({example.name for example in examples()}) == len(examples()) > 10
    for example in examples():
        assert (ROOT / "pages" / f"{example.page}.py").is_file() and example.note and example.title
        for dark in (False, True):
            drawn = ElementTree.fromstring(example.thumbnail(dark).read_text("utf-8"))
            assert drawn.tag.endswith("}svg") and len(drawn) >= 5


@pytest.mark.parametrize("example", TRACES, ids=lambda example: example.name)
def test_a_run_is_there_and_the_note_says_its_numbers(example: Example, settings: Settings) -> None:
    store = open_store(settings)
    task = task_from(store.get_request(str(example.query["run"])) or {}, TraceTask)
    run = stored(task, Context(settings, store))
    assert run is not None and run.provenance["dtype"] == "float32"
    values = {name: float(value[0]) for name, value in compute_all(run.trace).items()}
    said = {
        "memorization_score": re.findall(r"M = (\d\.\d+)", example.note),
        "longest_common_prefix": re.findall(r"a prefix of (\d+)", example.note),
        "entropy_jump": [
            text.replace("\N{MINUS SIGN}", "-") for text in re.findall(r"[\N{MINUS SIGN}+]\d\.\d+", example.note)
        ],
    }
    for name, numbers in said.items():
        assert [values[name]] * len(numbers) == pytest.approx([float(text) for text in numbers], abs=0.0051), name
    assert len(re.findall(r"\d\.\d", example.note)) == len(said["memorization_score"]) + len(said["entropy_jump"])
    assert not (settings.cache / "results").exists()  # reading writes nothing


LADDERS = [example for example in examples() if example.page == "compare"]


@pytest.mark.parametrize("example", LADDERS, ids=lambda example: example.name)
def test_a_comparison_is_there_and_the_note_says_its_scores(example: Example, settings: Settings) -> None:
    store = open_store(settings)
    scores = {}
    for task in task_from(store.get_request(str(example.query["run"])) or {}, LadderTask).tasks:
        run = stored(task, Context(settings, store))
        assert run is not None
        scores[task.model] = float((run.trace.generated_ids == run.trace.continuation_ids).mean())
    named = re.findall(r"(\d\.\d\d) under ([a-z]+-[\d.]+m)", example.note)
    if named:
        assert [scores[model] for _, model in named] == pytest.approx([float(text) for text, _ in named], abs=0.0051)
    else:
        said = [float(text) for text in re.findall(r"\d\.\d\d", example.note)]
        assert list(scores.values()) == pytest.approx(said, abs=0.0051)


HEADS = [example for example in examples() if "heads" in example.note]


@pytest.mark.parametrize("example", HEADS, ids=lambda example: example.name)
def test_heads_are_there_and_the_note_says_what_they_cost(example: Example, settings: Settings) -> None:
    store = open_store(settings)
    found = stored(task_from(store.get_request(str(example.query["run"])) or {}, HeadsTask), Context(settings, store))
    assert found is not None
    (most,) = re.findall(r"costs (\d+\.\d\d) nats", example.note)
    lost = found.whole_logprob.mean() - found.zero_logprob.mean(axis=1)
    assert lost.max() == pytest.approx(float(most), abs=0.0051)
    numbers = [int(text) for text in re.findall(r"(?<![\d.])\d+(?![\d.])", example.note)]

    def leading(match: np.ndarray) -> int:
        return next((t for t, right in enumerate(match) if not right), len(match))

    n_matches = leading(found.whole_match)
    if n_matches:
        n = sum(2 * (n_matches - leading(each)) >= n_matches for each in found.zero_match)
        assert numbers == [n_matches, n, len(found.layer)] and 0 < n <= len(found.layer) / 8, "few"
    else:
        assert numbers == [len(found.layer)] and example.prompt.endswith("never trained on")


def test_shipped_cards_are_those_that_are_made_anew(settings: Settings, tmp_path: Path) -> None:
    from memviz.engine.preparing import prepare

    for name in (SMALLEST, STEPS[4]):
        shipped = read_card(find_model(name, settings), settings)
        copy = tmp_path / "models" / name
        copy.mkdir(parents=True)
        for file in (SUITE_MODELS / name).iterdir():
            if file.name != CARD:
                (copy / file.name).write_bytes(file.read_bytes())
        elsewhere = load_settings(cache=settings.cache, offline=True, model_roots=(copy.parent,))
        made = prepare(find_model(name, elsewhere), elsewhere)
        assert shipped is not None and made.folder == str(copy)
        for field in ("name", "label", "revision", "weights", "n_parameters", "vocab_size", "n_positions", "eos_ids"):
            assert getattr(made, field) == getattr(shipped, field)


def test_a_shipped_card_is_not_believed_of_other_weights(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "suite" / SMALLEST
    folder.mkdir(parents=True)
    for file in (SUITE_MODELS / SMALLEST).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr("memviz.catalog.sources.SUITE_MODELS", folder.parent)
    model = find_model(SMALLEST, settings)
    card = read_card(model, settings)
    assert card is not None and card.folder == str(folder)
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "model.safetensors").write_bytes(content)
    assert read_card(model, settings) is None
    ship_card(card)
    assert read_card(model, settings) is None


def test_the_store_is_small_and_read_only_parts_stay_as_they_are(settings: Settings) -> None:
    files = {path: path.stat().st_mtime_ns for path in (GALLERY / "store").rglob("*") if path.is_file()}
    assert sum(path.stat().st_size for path in files) < 15_000_000
    store = open_store(settings)
    store.put("0" * 64, {"x": np.zeros(1)}, {})
    shipped = str(TRACES[0].query["run"])
    assert store.get("0" * 64) is not None and store.get_request(shipped) is not None
    assert store.clear()[0] == 1
    assert store.get("0" * 64) is None and store.get_request(shipped) is not None
    assert {path: path.stat().st_mtime_ns for path in files} == files


FURTHER = [
    each
    for each in examples()
    if each.link not in FIRST_EXAMPLES.values() and each not in tour() and each.name != "noheads"
]
"""The tour's own are opened by its test; the second example of heads opens as the first does."""


@pytest.mark.parametrize(
    "example",
    [FURTHER[0], *(pytest.param(example, marks=pytest.mark.wide) for example in FURTHER[1:])],
    ids=lambda example: example.name,
)
def test_an_example_opens_without_any_work(example: Example, server: Server, page: Page) -> None:
    open_example(page, server, example.link)


def test_a_card_leads_to_its_page(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/gallery")
    page.get_by_text("All examples").click()
    page.get_by_role("link", name=TRACES[0].title).click()
    expect(page).to_have_url(re.compile(f"/trace.*run={TRACES[0].query['run']}"))
    expect(page.locator("[role=option][aria-label^=index]").first).to_be_visible(timeout=30 * SECONDS)


@pytest.mark.wide
def test_what_draws_figures_is_fetched_while_the_gallery_is_read(server: Server, page: Page) -> None:
    with page.expect_request(re.compile("/static/js/PlotlyChart")):
        page.goto(f"{server.url}/gallery")
    expect(page.locator(".st-key-unseen .js-plotly-plot")).to_be_attached()
    expect(page.get_by_test_id("stSelectbox")).to_be_hidden()


@pytest.mark.wide
@pytest.mark.slow
def test_the_server_opens_the_gallery_itself_once(tmp_path: Path) -> None:
    told = re.compile(r"opened the gallery's examples once in [\d.]+ s")
    env = {"MEMVIZ_CACHE": str(tmp_path / "cache"), "MEMVIZ_OFFLINE": "true"}
    with (
        start_server(ROOT / "app.py", env=env, log=tmp_path / "log") as server,
        Visitor(server.url) as visitor,
        Visitor(server.url, "gallery"),
    ):
        visitor.until(lambda: told.search(server.log.read_text()), 300)
        assert len(told.findall(server.log.read_text())) == 1
        assert "Uncaught" not in server.log.read_text()


def test_a_server_that_cannot_be_reached_from_itself_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"server.address": "0.0.0.0", "server.port": free_port(), "server.baseUrlPath": "/memviz/"}
    real = rehearsal.st.get_option
    monkeypatch.setattr(rehearsal.st, "get_option", lambda name: options[name] if name in options else real(name))
    with caplog.at_level("INFO", logger="memviz"):
        rehearsal.open_examples()
    assert "the gallery's examples are read when they are first opened" in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_nothing_is_warmed_up_where_the_operator_says_so(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    monkeypatch.setattr(every_page, "_warm_up_later", lambda: started.append("now"))
    monkeypatch.setattr(every_page, "settings", lambda: load_settings(warm_up=wanted))
    every_page.warm_up()
    assert bool(started) == wanted
