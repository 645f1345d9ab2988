"""The Map and Dynamics pages: by AppTest without sweeps, in Chromium on a small sweep of the bundled suite."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.spatial
from playwright.sync_api import Locator, Page, expect
from streamlit.testing.v1 import AppTest
from support.pages import MINUTES, download, memviz, press_run, settle, strip
from support.serving import Server
from support.suite import SMALLEST

from memviz import ui
from memviz.catalog import known_models
from memviz.maps import MapTask, Scope
from memviz.maps.layout import Registration, register_points
from memviz.records import BEFORE_NORM
from memviz.settings import load_settings
from memviz.sweeps import Sweep, read_row_set, read_sweep
from memviz.ui.map.form import layer_at
from memviz.ui.map.frame import same_spread, unexplained
from memviz.ui.map.report import map_command


@pytest.mark.usefixtures("nothing_shipped")
@pytest.mark.parametrize("name", ["map", "dynamics"])
def test_without_a_sweep_a_page_says_how_to_make_one(app: AppTest, name: str) -> None:
    app.run()
    app.switch_page(f"../pages/{name}.py").run()
    assert not app.exception
    assert "There is no finished sweep yet" in app.info[0].value
    assert ui.worker().n_active == 0


def test_the_page_opens_on_a_map_with_an_empty_cache_and_starts_nothing(app: AppTest) -> None:
    app.switch_page("../pages/map.py").run()
    assert not app.exception and not app.info and not app.warning
    assert any("n = 10,000 points: 1,250 rows" in each.value for each in app.caption)
    assert ui.worker().n_active == 0


def test_a_registered_map_keeps_its_turn_and_centre_at_the_spread_of_the_first() -> None:
    rng = np.random.default_rng(0)
    moving, fixed = rng.normal(size=(50, 2)) * 3 + 5, rng.normal(size=(50, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    shrunk = Registration(turn, 0.01, fixed.mean(axis=0) - 0.01 * moving.mean(axis=0) @ turn, 0.9, 50)
    moved = same_spread(shrunk, moving, fixed).apply(moving)
    np.testing.assert_allclose(moved.mean(axis=0), fixed.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(moved.var(axis=0).sum(), fixed.var(axis=0).sum(), rtol=1e-5)
    direction = (moving - moving.mean(axis=0)) @ turn
    np.testing.assert_allclose(np.corrcoef((moved - moved.mean(axis=0)).ravel(), direction.ravel())[0, 1], 1, atol=1e-6)


def test_what_a_drawn_map_leaves_unexplained_is_said_of_the_picture() -> None:
    rng = np.random.default_rng(1)
    fixed = rng.normal(size=(60, 2))
    moving = fixed @ np.array([[0.0, 1.0], [-1.0, 0.0]]) * 4 + rng.normal(size=(60, 2)) * 3
    best = register_points(moving, fixed)
    drawn = same_spread(best, moving, fixed).apply(moving)
    left = unexplained(drawn, fixed)
    _, _, disparity = scipy.spatial.procrustes(fixed, moving)
    assert best.residual == pytest.approx(disparity)
    assert left == pytest.approx(2 * (1 - np.sqrt(1 - disparity)), abs=1e-5) and left > best.residual


@pytest.mark.parametrize(
    ("said", "of_first", "last", "expected"),
    [("6", 12, 6, 3), ("11", 12, 6, BEFORE_NORM), ("23", 24, 6, BEFORE_NORM), ("1", 24, 6, 1), ("last", 12, 6, None)],
)
def test_a_layer_within_is_never_the_one_after_the_norm(
    said: str, of_first: int, last: int, expected: int | None
) -> None:
    assert layer_at(said, of_first, last) == expected


def test_the_command_line_names_everything_that_decides_a_map() -> None:
    task = MapTask(SMALLEST, Scope("a sweep", 16, 24, n_rows=50), layer=-1, steps=(-1, 3), reducer="umap")
    command = map_command(task)
    for part in ("'a sweep'", "--layer=-1", "--step=-1,3", "--reducer umap", "--k 16", "--m 24", "--sample 50"):
        assert part in command


# In the browser


@dataclass(frozen=True)
class Swept:
    """A sweep in the server's cache, and what a link calls it."""

    sweep: Sweep
    name: str

    @property
    def models(self) -> list[str]:
        return list(self.sweep.task.models)


@pytest.fixture(scope="session")
def mapped(server: Server) -> Swept:
    """Two small whole models of the bundled suite on a sample of its planted rows."""
    cache = Path(server.environment["MEMVIZ_CACHE"])
    found = [m for m in known_models(load_settings(cache=cache)) if m.index == "suite" and m.step == m.n_steps]
    smallest = sorted((m for m in found if not m.seed), key=lambda m: (m.n_parameters or 0, m.name))[:2]
    folder = cache / "sweeps" / "mappedmapped"
    models = ",".join(model.name for model in smallest)
    sizes = ("--contexts", "32", "--continuations", "32")
    memviz(server, "sweep", "--models", models, *sizes, "--sample", "80", "--parts", "planted", "--out", folder)
    return Swept(read_sweep(folder), folder.name[:12])


def drawing(page: Page) -> Locator:
    return page.locator(".map[data-drawn]")


@pytest.fixture
def drawn(mapped: Swept, server: Server, page: Page) -> Page:
    """Both models beside each other, computed by the first test that asks for it."""
    page.set_default_timeout(3 * MINUTES)
    page.goto(f"{server.url}/map?sweep={mapped.name}&of={mapped.models[1]}&beside={mapped.models[0]}")
    compute(page, drawing(page))
    expect(page.get_by_text("Trustworthiness").last).to_be_visible()  # the growing map is drawn before
    settle(page)
    return page


def compute(page: Page, figure: Locator) -> None:
    """Ask for what a page draws, unless a test before has."""
    button = page.get_by_role("button", name="Compute", exact=True)
    expect(button.or_(figure).first).to_be_visible(timeout=3 * MINUTES)
    if button.count():
        button.click()
    expect(figure).to_be_visible(timeout=4 * MINUTES)


def lasso(page: Page, pane: int = 0) -> None:
    """Draw a rectangle around the middle of a pane."""
    box = page.locator(".map .area").nth(pane).bounding_box()
    assert box
    corners = [(0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8)]
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


@pytest.mark.browser
@pytest.mark.slow
def test_a_lasso_lists_its_sequences_keeps_them_and_comes_back(drawn: Page, server: Server, screenshots: Path) -> None:
    lasso(drawn)
    status = drawn.locator(".map .count")
    expect(status).to_have_text(re.compile(r"^\d+ sequences selected$"))
    n = int(status.inner_text().split()[0])
    listed = drawn.get_by_text(re.compile(f"^Selected on the map: {n} sequences?$"))
    expect(listed).to_be_visible(timeout=MINUTES)
    drawn.screenshot(path=screenshots / "lasso.png", full_page=True)
    drawn.get_by_role("button", name="Keep these rows").click()
    drawn.get_by_role("textbox", name="Name of the row set").fill("lassoed")
    drawn.keyboard.press("Enter")
    drawn.get_by_role("button", name="Save", exact=True).click()
    expect(drawn.get_by_text("Saved: sweep it from")).to_be_visible(timeout=MINUTES)
    saved = read_row_set("lassoed", load_settings(cache=Path(server.environment["MEMVIZ_CACHE"])))
    assert saved.rows is not None and len(saved.rows) == n
    drawn.keyboard.press("Escape")
    table = drawn.get_by_test_id("stDataFrame").first.bounding_box()
    assert table
    drawn.mouse.click(table["x"] + 20, table["y"] + 55)
    drawn.get_by_role("button", name="Open in Trace").click()
    expect(drawn).to_have_url(re.compile(r"/trace\?run=[0-9a-f]{16}"), timeout=MINUTES)
    expect(drawn.get_by_text(f"row {saved.rows[0]} of")).to_be_visible(timeout=2 * MINUTES)
    press_run(drawn)
    expect(strip(drawn)).to_have_count(64, timeout=2 * MINUTES)
    drawn.get_by_test_id("stSidebarNavLink").filter(has_text="Map").click()
    expect(drawing(drawn)).to_be_visible(timeout=2 * MINUTES)
    expect(drawn.locator(".map .count")).to_have_text(f"{n} sequences selected", timeout=MINUTES)
    drawn.get_by_role("button", name=re.compile("layer: last")).click()
    drawn.get_by_text("Show the Trace page's prompt as a path").click()
    expect(drawn).to_have_url(re.compile("prompt=[0-9a-f]{16}"), timeout=MINUTES)
    drawn.screenshot(path=screenshots / "path.png", full_page=True)


@pytest.mark.browser
@pytest.mark.slow
def test_a_link_shows_the_same_map_and_starts_nothing(drawn: Page, server: Server, another: Page) -> None:
    drawn.locator(".map input[type=range]").press("ArrowLeft")
    expect(drawn).to_have_url(re.compile(r"step=\d+"), timeout=MINUTES)
    said = drawn.locator(".map output").inner_text()
    before = server.log.read_text().count("queued: map")
    another.goto(drawn.url)
    expect(drawing(another)).to_be_visible(timeout=2 * MINUTES)
    assert another.locator(".map output").inner_text() == said
    assert another.locator(".map figcaption").all_inner_texts() == drawn.locator(".map figcaption").all_inner_texts()
    assert server.log.read_text().count("queued: map") == before


@pytest.mark.browser
@pytest.mark.slow
def test_the_data_are_the_points_and_the_command_makes_them_again(
    drawn: Page, mapped: Swept, server: Server, tmp_path: Path
) -> None:
    drawn.get_by_role("button", name="Save as", exact=True).click()
    got = pd.read_csv(io.BytesIO(download(drawn, "CSV")))
    assert got.groupby("model")["row"].nunique().to_dict() == dict.fromkeys(mapped.models, 80)
    command = drawn.get_by_test_id("stCode").inner_text().strip().splitlines()[0]
    words = command.replace("memviz ", "", 1).split()
    words[words.index("--out") + 1] = str(tmp_path / "again")
    memviz(server, *words)
    again = pd.read_parquet(tmp_path / "again.parquet")
    first = got[got["model"] == mapped.models[1]].reset_index(drop=True)
    np.testing.assert_allclose(again[["x", "y"]], first[["x", "y"]], atol=1e-4)


@pytest.mark.browser
@pytest.mark.wide
@pytest.mark.slow
def test_the_dynamics_page_draws_every_model(mapped: Swept, server: Server, page: Page, screenshots: Path) -> None:
    page.set_default_timeout(3 * MINUTES)
    page.goto(f"{server.url}/dynamics?sweep={mapped.name}")
    compute(page, page.locator(".js-plotly-plot").first)
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=4 * MINUTES)
    settle(page)
    titles = page.locator(".js-plotly-plot .annotation-text").all_inner_texts()
    assert len(titles) == len(mapped.models)
    page.screenshot(path=screenshots / "dynamics.png", full_page=True)
    page.get_by_role("button", name="Save as").first.click()
    got = pd.read_csv(io.BytesIO(download(page, "CSV")))
    assert got["model"].nunique() == 2 and set(got["variant"]) == {"all", "without loops", "loops"}
