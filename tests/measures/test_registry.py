import numpy as np
import pytest

from memviz.measures import MEASURES, compute_all
from memviz.measures.display import format_value
from memviz.measures.registry import UNITS, measure

TRUE = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5]]
GENERATED = [[1, 2, 3, 4, 5], [1, 9, 3, 4, 5]]


def test_every_measure_can_be_shown():
    for name, one in MEASURES.items():
        assert one.name == name
        assert one.label
        assert one.source
        assert one.unit in UNITS
        assert one.help.endswith(".")
        assert "\n" not in one.help


def test_all_of_them_at_once(make_trace):
    values = compute_all(make_trace(GENERATED, TRUE, k=6), [b"a", b"b"])
    assert list(values) == list(MEASURES)
    assert all(value.shape == (2,) and value.dtype == np.float64 for value in values.values())
    unknown = {name for name, value in values.items() if np.isnan(value).all()}
    # two alternatives were kept, fewer than the 40 of top-40 sampling
    assert unknown == {"log10_n_p50_top40", "log10_n_p90_top40"}


def test_a_batch_equals_its_rows(make_trace):
    generator = np.random.default_rng(1)
    logprob = -generator.exponential(1, (2, 5))
    together = compute_all(make_trace(GENERATED, TRUE, k=6, teacher_forced={"logprob": logprob}), [b"a", b"bc"])
    for i, text in enumerate([b"a", b"bc"]):
        alone = compute_all(
            make_trace(GENERATED[i : i + 1], TRUE[i : i + 1], k=6, teacher_forced={"logprob": logprob[i : i + 1]}),
            [text],
        )
        for name, value in alone.items():
            np.testing.assert_allclose(value, together[name][i : i + 1], rtol=1e-12, err_msg=name)


def test_without_truth_only_what_needs_none_is_known(make_trace):
    values = compute_all(make_trace(GENERATED, k=6))
    known = {name for name, value in values.items() if not np.isnan(value).any()}
    assert known == {"n_fragile", "entropy_jump", "entropy_jump_w4_free_running"}
    assert known == {name for name, one in MEASURES.items() if not one.needs_truth}


def test_without_texts_only_zlib_is_unknown(make_trace):
    trace = make_trace(GENERATED, TRUE, k=6)
    with_texts, without = compute_all(trace, [b"a", b"b"]), compute_all(trace)
    changed = {name for name in MEASURES if not np.array_equal(with_texts[name], without[name], equal_nan=True)}
    assert changed == {"zlib_ratio"}


def test_one_token_of_context_and_continuation(make_trace):
    values = compute_all(make_trace([[1]], [[1]], k=1), [b"a"])
    assert values["memorization_score"].tolist() == [1]
    assert np.isnan(values["entropy_jump"]).all()
    assert np.isnan(values["bleu"]).all()


def test_wrong_number_of_texts(make_trace):
    with pytest.raises(ValueError, match=r"^texts: got 1, expected 2, one true continuation per sequence$"):
        compute_all(make_trace(GENERATED, TRUE), [b"a"])


def test_registration_refuses_what_cannot_be_shown():
    def documented(trace):
        """Something."""

    def silent(trace):
        return trace

    with pytest.raises(ValueError, match=r"^measure level is registered twice; give one of the two another name$"):
        measure("level", label="Level", unit="share", source="memviz")(documented)
    with pytest.raises(ValueError, match=r"^measure new: got unit 'furlong', expected one of "):
        measure("new", label="New", unit="furlong", source="memviz")(documented)
    with pytest.raises(ValueError, match=r"^measure new: its function has no docstring, which is its help text$"):
        measure("new", label="New", unit="share", source="memviz")(silent)
    assert "new" not in MEASURES


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.75, "share", "0.75"),
        (30, "tokens", "30 tokens"),
        (1, "tokens", "1 token"),
        (17, "position", "t = 17"),
        (-0.19, "nats", "-0.19 nats"),
        (-0.004, "nats", "-0.004 nats"),
        (0, "nats", "0.00 nats"),
        (2.44, "log10", "275"),
        (17.94, "log10", "10¹⁷·⁹"),
        (-3.06, "log10", "10⁻³·¹"),
        (np.inf, "log10", "never"),
        (4, "level", "very high"),
        (1, "yes/no", "yes"),
        (0, "yes/no", "no"),
        (3.14159, "ratio", "3.14"),
        (1234567.0, "ratio", "1.2e+06"),
        (-1.234, "z-score", "-1.23"),
        (0.0123, "nats/bit", "0.012 nats/bit"),
        (np.nan, "tokens", "–"),
    ],
)
def test_values_as_shown(value, unit, expected):
    assert format_value(float(value), unit) == expected
