"""Tiny models of transformers' causal families against its own generate; all of them under the mark `wide`."""

from __future__ import annotations

from collections import Counter

import pytest

from memviz.engine.families import Held, families, hold_families, table

SAMPLE = {
    "bamba": "plain",
    "bart": "exact",
    "bert": "refused",
    "bloom": "exact",
    "falcon_mamba": "exact",
    "gemma3n_text": "plain",
    "gemma4_text": "exact",
    "gpt_oss": "exact",
    "mamba": "exact",
    "minimax": "plain",
    "mixtral": "exact",
    "qwen3": "exact",
    "opt": "exact",
    "qwen3_5_text": "plain",
    "rwkv": "exact",
}
"""Attention of several kinds, experts, states, sizes by layer, caches that are wrong or of their own, masks."""
REASONS = ("sees later tokens", "needs an encoder, image or audio", "transformers' own forward fails on it")


def test_a_sample_of_families() -> None:
    found = {each.family: each for each in hold_families(list(SAMPLE))}
    assert {name: each.outcome for name, each in found.items()} == SAMPLE, found.values()
    assert found["bert"].detail == REASONS[0] and found["minimax"].detail == "whole rows"


@pytest.mark.wide
def test_every_family() -> None:
    held = list(hold_families(families()))
    counts = Counter(each.outcome for each in held)
    assert counts["wrong"] == counts["failed"] == 0, [each for each in held if each.outcome in ("wrong", "failed")]
    assert counts["exact"] + counts["plain"] >= 120 and len(held) >= 180
    assert all(each.detail.startswith(REASONS) for each in held if each.outcome == "refused")


def test_the_table() -> None:
    held = [
        Held("a", "exact"),
        Held("b", "refused", "sees later tokens"),
        Held("c", "exact"),
        Held("d", "plain", "whole rows"),
    ]
    assert table(held).splitlines()[2:] == [
        "| exact | 2 | `a`, `c` |",
        "| plain: whole rows | 1 | `d` |",
        "| refused: sees later tokens | 1 | `b` |",
        "",
        "4 names: 2 exact, 1 plain, 1 refused, 0 wrong, 0 failed.",
    ]
