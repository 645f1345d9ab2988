"""What the Compare page says of the training steps that showed a text."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace as Facts

import pytest
from support.corpus import exposed

from memviz.ui.compare import steps

ROW = [3, 1, 4, 1, 5]
TIMES = 150
"""More than the places that an index lists by itself."""


@pytest.mark.parametrize("known", [True, False])
def test_every_step_is_marked_and_unknown_ones_are_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    stream = exposed([ROW] * TIMES, [(row, None) for row in range(TIMES)])
    if not known:
        stream = type(stream)(stream.rows, [segment._replace(step=0) for segment in stream.segments])
    corpus = stream.corpus(tmp_path / "index")
    monkeypatch.setattr(steps, "samples", lambda: None)
    monkeypatch.setattr(steps, "corpus_of", lambda model, tokenizer: corpus)
    row = Facts(
        task=Facts(context_ids=ROW[:3], continuation_ids=ROW[3:], n_leading=lambda card: 0),
        card=Facts(leading_ids=[]),
        model=Facts(n_steps=TIMES),
        tokenizer=None,
    )
    found = steps.steps_of([row], [])  # type: ignore[list-item]
    assert f"{TIMES} times in test" in found["said"]
    assert found["exposures"] == ([segment.step for segment in stream.segments] if known else None)
    assert found["said"].endswith("as marked." if known else "does not say at which steps.")
