"""The population pages by AppTest: without sweeps, and on sweeps of the bundled suite made here."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from support.suite import SMALLEST, STEPPED, STEPS

from memviz import ui
from memviz.catalog import find_model
from memviz.corpus.known import index_of
from memviz.demo.suite import SUITE_FOLDER
from memviz.jobs import Status
from memviz.population import (
    FrequencyTask,
    align,
    boundary_differences,
    labels_of,
)
from memviz.population.first_view import CURVES, DIFFERENCES
from memviz.population.membership import judged, membership_points
from memviz.settings import settings
from memviz.sweeps import (
    RowSet,
    SweepTask,
    read_sweep,
    run_sweep,
)
from memviz.sweeps.kept import SHIPPED, outdated
from memviz.tasks.base import Context, answer, task_from
from memviz.tokenizer import Tokenizer

PAGES = ("population", "transitions", "boundary", "membership")

pytestmark = pytest.mark.usefixtures("nothing_shipped")


@pytest.mark.parametrize("name", PAGES)
def test_without_a_sweep_a_page_says_how_to_make_one(app: AppTest, name: str) -> None:
    app.run()
    app.switch_page(f"../pages/{name}.py").run()
    assert not app.exception
    assert "There is no finished sweep yet" in app.info[0].value
    assert ui.worker().n_active == 0


def test_a_sweep_from_the_page_is_a_job_that_can_be_cancelled_and_goes_on(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/sweeps.py").run()
    assert not app.exception
    app.number_input(key="sweep_sample").set_value(7).run()
    app.button(key="sweep_run").click().run()
    assert not app.exception
    request = ui.store().get_request(app.query_params["run"])
    assert request is not None
    task = task_from(request, SweepTask)
    assert task.rows.sample == 7 and task.positions
    job = ui.worker().job(task.hash)
    assert job is not None and job.status == Status.QUEUED and job.kept
    assert any("--sample 7" in code.value for code in app.code)
    next(button for button in app.button if button.label == "Cancel").click().run()
    assert job.status == Status.CANCELLED
    app.run()
    assert "Batches that were done are kept" in app.info[0].value
    next(button for button in app.button if button.label == "Run").click().run()
    again = ui.worker().job(task.hash)
    assert again is not job and again is not None and again.status == Status.QUEUED


def test_a_sweep_without_models_is_one_sentence(app: AppTest) -> None:
    app.run()
    app.switch_page("../pages/sweeps.py").run()
    app.multiselect(key="sweep_models").set_value([]).run()
    assert not app.exception
    assert "a sweep needs a model" in app.error[0].value


def test_a_link_to_a_sweep_starts_nothing(app: AppTest) -> None:
    models = tuple(model.name for model in ui.bundled_models()[:1])
    task = SweepTask(models, contexts=(4,), continuations=())
    ui.store().put_request(task.hash, task.request())
    app.run()
    app.query_params["run"] = task.hash[:16]
    app.switch_page("../pages/sweeps.py").run()
    assert not app.exception
    assert "Run" in [button.label for button in app.button]
    assert ui.worker().n_active == 0


def test_frequencies_that_ship_are_drawn_and_nothing_is_to_be_counted(app: AppTest, tmp_path: Path) -> None:
    own = tmp_path / "cache" / "sweeps" / ("b" * 64)
    shutil.copytree(SHIPPED, own)
    for name in (CURVES, DIFFERENCES):
        table = pd.read_parquet(own / name)
        known = table[table["quantity"].str.startswith("entropy_free")]
        pd.concat([table, known.assign(quantity="frequency_1")]).to_parquet(own / name)
    app.query_params["sweep"] = own.name[:12]
    app.switch_page("../pages/boundary.py").run()
    assert not app.exception and not [each for each in app.button if each.label == "Count them"]
    assert len([table for table in app.dataframe if "edge moved, less all rows" in table.value]) == 2
    app.segmented_control(key="split").set_value("frequency").run()
    assert not app.exception and [each for each in app.button if each.label == "Count them"], "of single rows"
    app.segmented_control(key="split").set_value("entropy").run()
    assert not app.exception and not [each for each in app.button if each.label == "Count them"]
    app.segmented_control(key="n").set_value("2").run()
    assert [each for each in app.button if each.label == "Count them"], "where they do not ship it is offered"


@pytest.mark.slow
def test_the_boundary_page_counts_what_each_model_had_seen(app_at_work: AppTest) -> None:
    app, names = app_at_work, (STEPPED, STEPS[0])
    task = SweepTask(names, RowSet(buckets=(64,), sample=12), contexts=(8,), continuations=(32,), positions=True)
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    app.run()
    app.switch_page("../pages/boundary.py").run()
    assert not app.exception
    for tokens, kind in (("true", "other"), ("generated", "stream")):
        app.segmented_control(key="tokens").set_value(tokens).run()
        app.segmented_control(key="count").set_value(kind).run()
        said = " ".join(element.value for element in app.info)
        assert "The n-grams of these 12 rows" in said and f"{tokens} tokens" in said
        next(button for button in app.button if button.label == "Count them").click().run()
        assert not app.exception
        deadline = time.monotonic() + 120
        while ui.worker().n_active and time.monotonic() < deadline:
            time.sleep(0.05)
        app.run()
        assert not app.exception and not app.info and not app.error
        quantity = "frequency_1" if tokens == "true" else "frequency_1_generated"
        tables = [table.value for table in app.dataframe if "edge moved, less all rows" in table.value]
        assert len(tables) == 2, "entropy and frequency"
        sweep = read_sweep(task.folder(settings()))
        corpus = index_of(find_model(names[0], settings()), Tokenizer(SUITE_FOLDER / "corpus", []), settings())
        assert corpus is not None
        for model, until in zip(names, (None, int(STEPS[0].partition("@step")[2]) - 1), strict=True):
            generated = (model, "sliding", 32) if tokens == "generated" else None
            found = answer(FrequencyTask(sweep, corpus, kind, until, generated), Context(settings(), ui.store())).result
            given = {"generated" if generated else "frequencies": found}
            lines = boundary_differences([align(sweep, model, **given)], quantity)
            labels = labels_of(sweep)
            shown = tables[1][tables[1]["model"] == labels[model]]["difference"].tolist()
            expected = [1000 * value for value in lines["jump"]]
            assert [cell.split(" ")[0] for cell in shown] == [
                "–" if value != value else f"{value:+.2f}" for value in expected
            ]


@pytest.mark.slow
def test_membership_and_what_stands_beside_m_are_the_librarys(app: AppTest) -> None:
    task = SweepTask((SMALLEST,), RowSet(buckets=(0, 16, 64), sample=48), contexts=(), continuations=(32,))
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    sweep = read_sweep(task.folder(settings()))
    app.run()
    app.switch_page("../pages/membership.py").run()
    assert "are of fewer than 20 rows and not drawn" in app.info[0].value
    app.toggle(key="small").set_value(True).run()
    assert not app.exception and not app.info and not app.error
    expected = judged(membership_points(sweep.sequences))
    assert app.dataframe[0].value["AUROC"].str.split(" ").str[0].tolist() == [f"{a:.3f}" for a in expected["auroc"]]
    app.switch_page("../pages/population.py").run()
    assert not app.exception and not any("M alone is known" in caption.value for caption in app.caption)
    manifest = json.loads((sweep.folder / "manifest.json").read_text())
    columns = manifest["tables"]["sequences"]["columns"]
    for name in [name for name in columns if name.startswith(("common_run", "min_k"))]:
        del columns[name]
    (sweep.folder / "manifest.json").write_text(json.dumps(manifest))  # as an older sweep's
    app.run()
    assert not app.exception
    assert any("M alone is known here: this sweep was made before memviz kept" in each.value for each in app.caption)
    app.switch_page("../pages/membership.py").run()
    assert not app.exception and "made before memviz kept Min-20 %++" in app.info[0].value
    assert set(app.dataframe[0].value["statistic"]) == {"Perplexity", "zlib"}


@pytest.mark.slow
def test_a_sweep_whose_file_was_written_since_can_be_run_again(app: AppTest, tmp_path: Path) -> None:
    path, model = tmp_path / "rows.jsonl", SMALLEST
    text = " ".join(f"word{i}" for i in range(40))
    path.write_text(json.dumps({"text": text}) + "\n")
    task = SweepTask((model,), RowSet(str(path)), contexts=(8,), continuations=(8,), context_at=8, continuation_at=8)
    ui.store().put_request(task.hash, task.request())
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    app.run()
    app.query_params["run"] = task.hash[:16]
    app.switch_page("../pages/sweeps.py").run()
    assert not app.exception and app.success[0].value == "Finished earlier; nothing to do."
    path.write_text(json.dumps({"text": f"other {text}"}) + "\n")
    app.run()
    assert not app.exception and not app.success
    assert "has been written since" in app.warning[0].value
    next(button for button in app.button if button.label == "Run again").click().run()
    assert not app.exception
    job = ui.worker().job(task.hash)
    assert job is not None and job.status == Status.QUEUED
    old = task.finished(settings())
    assert old is not None
    run_sweep(task, Context(settings(), ui.store()), task.folder(settings()))
    new = task.finished(settings())
    assert new is not None and outdated(new, settings()) is None
    assert new.manifest["rows"]["sha256"] != old.manifest["rows"]["sha256"]
    manifest = task.folder(settings()) / "manifest.json"
    for said, change in (("version of memviz", ("engine", -1)), ("other weights", ("models", [
        {**new.manifest["models"][0], "weights": "0" * 64}
    ]))):  # fmt: skip
        manifest.write_text(json.dumps(new.manifest | dict([change])))
        changed = task.finished(settings())
        assert changed is not None and said in (outdated(changed, settings()) or "")
