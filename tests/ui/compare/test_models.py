"""Which models the Compare page puts together, and what it says of those that are the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest
from support.model_folders import change, write_model

from memviz.catalog import find_model
from memviz.engine.preparing import prepare
from memviz.settings import settings

SAID = r"again, base have the same weights, byte for byte; "


def write_adapter(folder: Path, base: str) -> None:
    folder.mkdir()
    part = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    weights = {f"{part}A.weight": torch.ones(2, 32), f"{part}B.weight": torch.ones(32, 2)}
    save_file(weights, folder / "adapter_model.safetensors")
    about = {"peft_type": "LORA", "base_model_name_or_path": base, "r": 2, "lora_alpha": 4, "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps(about))


@pytest.fixture
def compared(app: AppTest, tmp_path: Path) -> AppTest:
    """The page, with a model, a copy of it, a copy with another configuration, and two adapters, all of them ready."""
    for name in ("base", "again", "other"):
        write_model(tmp_path / "models" / name)
    change(tmp_path / "models" / "other" / "config.json", rms_norm_eps=0.5)
    for name in ("tuned", "tuned-more"):
        write_adapter(tmp_path / "models" / name, "base")
    for name in ("base", "again", "other", "tuned", "tuned-more"):
        prepare(find_model(name, settings()), settings())
    app.run()
    return app


def page(app: AppTest, choice: str, *models: str) -> AppTest:
    app.session_state["compare_choice"], app.session_state["compare_models"] = choice, list(models)
    app.switch_page("../pages/compare.py").run()
    assert not app.exception
    return app


def test_equal_weights_are_said(compared: AppTest) -> None:
    page(compared, "Chosen by hand", "base", "again")
    assert any(info.value == f"{SAID}their rows are computed once." for info in compared.info)
    page(compared, "Chosen by hand", "base", "other")
    assert any("base, other have" in info.value and "configurations differ" in info.value for info in compared.info)
    page(compared, "Chosen by hand", "base", "tuned")
    assert not any("same weights" in info.value for info in compared.info)


def test_a_base_and_its_adapters_are_a_ladder(compared: AppTest) -> None:
    page(compared, "base and its adapters")
    assert "base and its adapters" in compared.selectbox(key="compare_choice").options
    assert "again and its adapters" not in compared.selectbox(key="compare_choice").options
    assert compared.selectbox(key="compare_choice").value == "base and its adapters"
