"""A table of many lines says what it said, its texts as numbers."""

from __future__ import annotations

import pandas as pd
import pytest

from memviz.findings.evidence.material import material_of
from memviz.population import size_fits, summary, transitions
from memviz.population.curves import continuation_points
from memviz.sweeps import read_sweep
from memviz.sweeps.kept import SHIPPED


def test_texts_of_a_large_table_are_categories_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = material_of([read_sweep(SHIPPED)])
    monkeypatch.setattr("memviz.findings.evidence.material.has_sums", lambda sweep: True)
    large = material_of([read_sweep(SHIPPED)])
    assert large.every["domain"].dtype == "category" and plain.every["domain"].dtype == "str"
    assert large.models == plain.models and large.sliding_contexts == plain.sliding_contexts
    for keys in (["model"], ["model", "domain"], ["model", "bucket"]):
        both = [summary(each.points_with_held_out, keys, n_resamples=20) for each in (plain, large)]
        both = [each.astype(dict.fromkeys({*keys} & {"model", "domain"}, "str")) for each in both]
        pd.testing.assert_frame_equal(*both, check_dtype=False)
    continued = [summary(continuation_points(each.trained), ["model", "m"], n_resamples=20) for each in (plain, large)]
    assert (continued[0]["mean"] == continued[1]["mean"]).all()
    fits = [size_fits(each.points, each.n_parameters, n_resamples=20) for each in (plain, large)]
    assert repr(fits[0]) == repr(fits[1]) and fits[0]
    both = [transitions(each.points, each.models, 20) for each in (plain, large)]
    assert [each.counts.tolist() for each in both[0]] == [each.counts.tolist() for each in both[1]]
