"""The study's numbers are typed in: they must be whole, and say what the study's words say."""

from __future__ import annotations

from memviz.population.reported import DIRECTIONS, reported_accuracies, reported_frequencies


def test_jumps_have_the_signs_that_the_study_describes() -> None:
    table = reported_frequencies()
    assert len(table) == 4 * 3 and table.notna().all(axis=None)
    for group, sign in (("memorized", 1), ("half", 1), ("unmemorized", -1)):
        of_group = table[table["group"] == group]
        assert (sign * of_group["jump"] > 0).all()
        assert (sign * (of_group["continuation"] - of_group["context"]) > 0).all()
        assert DIRECTIONS["frequency", group] == ("rises" if sign > 0 else "falls")


def test_accuracies_lie_in_the_ranges_that_the_study_names() -> None:
    table = reported_accuracies()
    assert len(table) == 6 * 4
    assert (table["token_accuracy"].min(), table["token_accuracy"].max()) == (0.774, 0.821)
    assert (table["full_accuracy"].min(), table["full_accuracy"].max()) == (0.047, 0.109)
    means = table.groupby("m")[["token_accuracy", "full_accuracy"]].mean()
    assert means["token_accuracy"].is_monotonic_increasing and means["full_accuracy"].is_monotonic_decreasing
