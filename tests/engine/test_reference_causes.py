"""The causal views against TransformerLens, whose numbers scripts/reference_causes.py wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny_models import tiny

from memviz.engine.causes import Row
from memviz.engine.contributions import read_contributions
from memviz.engine.heads import read_heads

REFERENCE = json.loads((Path(__file__).parent.parent / "fixtures" / "causes.json").read_text())
CLOSE = {"atol": 1e-4, "rtol": 1e-4}
"""Numbers are of the order of 1 to 10."""


@pytest.mark.parametrize("family", list(REFERENCE))
def test_heads_attention_and_contributions_are_those_of_transformer_lens(family: str) -> None:
    theirs = {name: np.array(values) for name, values in REFERENCE[family].items()}
    m = len(theirs["whole"])
    row = Row(tiny(family), theirs["ids"][:-m].tolist(), theirs["ids"][-m:].tolist())
    heads, written = read_heads(row, 0, lambda n: None), read_contributions(row)
    np.testing.assert_allclose(heads.whole_logprob, theirs["whole"], **CLOSE)
    np.testing.assert_allclose(heads.zero_logprob, theirs["zero"], **CLOSE)
    np.testing.assert_allclose(heads.attention, theirs["attention"], atol=5e-4)  # kept in two bytes
    np.testing.assert_allclose(written.difference, theirs["lead"], **CLOSE)
    np.testing.assert_allclose(written.attention, theirs["attention_written"], **CLOSE)
    np.testing.assert_allclose(written.mlp, theirs["mlp_written"], **CLOSE)
