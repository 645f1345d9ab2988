"""Sums of a large sweep on the Boundary page: what a sweep lacks is kept, a failure is asked again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from memviz.errors import InputError
from memviz.ui.boundary import curves


@pytest.mark.parametrize(("error", "n_asked"), [(InputError("lacks them"), 1), (OSError("gone"), 2)])
def test_only_what_a_sweep_lacks_is_kept(error: Exception, n_asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()

    def fail(sweep: Any, filters: Any, model: str, k: int, m: int) -> None:
        asked.append(model)
        raise error

    monkeypatch.setattr(curves, "summed", fail)
    monkeypatch.setattr(curves, "has_sums", lambda sweep: True)
    view: Any = SimpleNamespace(sweep=None, filters=None, m=32, models=("a",), asked=(str(error),))
    for _ in range(2):
        with pytest.raises(type(error), match=str(error)):
            curves.source_of(view, "a", 32, None, curves.ENTROPIES[0])
    assert len(asked) == n_asked
