"""Who must sign in, by the operator's secrets.toml; tests/ui/server/test_gate.py holds it on servers."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit
from streamlit import config
from streamlit.runtime.secrets import Secrets
from streamlit.testing.v1 import AppTest


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[auth\n", "secrets.toml cannot be read, so nobody can sign in"),
        ('[other]\nx = "y"\n', None),
    ],
    ids=["broken", "not asked for"],
)
def test_nobody_passes_where_it_may_have_been_asked_for(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, sentence: str | None
) -> None:
    path, option = tmp_path / "secrets.toml", config.get_option
    path.write_text(content)
    for module in (config, streamlit):
        monkeypatch.setattr(module, "get_option", lambda key: [str(path)] if key == "secrets.files" else option(key))
    monkeypatch.setattr(Secrets, "_maybe_install_file_watchers", lambda self: None)
    monkeypatch.setattr(streamlit, "secrets", Secrets())
    for page in ("overview", "trace", "population") if sentence else ("glossary",):
        app.switch_page(f"../pages/{page}.py").run()
        said = " ".join(each.value for each in (*app.markdown, *app.error))
        assert ("sign in" in said) == bool(sentence) and (sentence or "") in said
        assert not app.exception and not (sentence and app.button)
