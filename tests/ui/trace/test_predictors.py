"""Which predictor speaks on the Trace page: the bundled one, until one fitted here is chosen, which is then named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from streamlit.testing.v1 import AppTest
from support.suite import LARGEST

from memviz.gallery import examples
from memviz.predictor.files import ABOUT
from memviz.predictor.known import NAME, SHIPPED, read_known
from memviz.predictor.tables import write_tables


def fit_of_ones_own(cache: Path) -> str:
    """A predictor as a fit leaves it, here a copy of a bundled one; its id."""
    known = read_known(SHIPPED / f"{LARGEST}-published", shipped=True)
    folder = cache / "predictors" / ("f" * 64)
    shutil.copytree(known.folder, folder)
    (folder / ABOUT).write_text(json.dumps(known.about | {"id": "f" * 64}), "utf-8")
    (folder / NAME).write_text("my own", "utf-8")
    tables = known.tables()
    for table in vars(tables).values():
        if "predictor" in table:
            table["predictor"] = "f" * 64
    write_tables(tables, folder)
    return "f" * 64


def test_a_fit_of_ones_own_speaks_only_where_it_is_chosen(app: AppTest, tmp_path: Path) -> None:
    name = fit_of_ones_own(tmp_path / "cache")[:12]
    app.run()
    app.query_params["run"] = next(each for each in examples() if each.name == "predicted").query["run"]
    app.switch_page("../pages/trace.py").run()
    assert not app.exception
    box = app.selectbox(key="by")
    assert box.value == "" and box.options == ["the bundled predictors", "published: my own"]
    assert not any("Fitted here" in caption.value for caption in app.caption)
    box.set_value(name).run()
    assert not app.exception and any(
        re.match(r"Fitted here: published.*my own", caption.value) for caption in app.caption
    )
    app.query_params["fits"] = "shipped"
    app.run()
    assert not any("Fitted here" in caption.value for caption in app.caption)


def test_a_link_names_who_speaks_and_says_where_it_is_not_kept(app: AppTest, tmp_path: Path) -> None:
    name = fit_of_ones_own(tmp_path / "cache")[:12]
    app.run()
    app.query_params["run"] = next(each for each in examples() if each.name == "predicted").query["run"]
    app.query_params["by"] = name
    app.switch_page("../pages/trace.py").run()
    assert not app.exception and app.selectbox(key="by").value == name and name in app.query_params["by"]
    assert any(caption.value.startswith("Fitted here: published") for caption in app.caption)
    app.selectbox(key="by").set_value("").run()
    assert not any(caption.value.startswith("Fitted here") for caption in app.caption)
    assert "by" not in app.query_params
    app.query_params["by"] = "0" * 12
    app.run()
    assert any("predictor 000000000000, which is not kept here" in warning.value for warning in app.warning)
    assert not any(caption.value.startswith("Fitted here") for caption in app.caption)
