"""Values of measures as short strings for cards and tables."""

from __future__ import annotations

import math

from memviz.measures.score import LEVELS

UNKNOWN = "–"
WRITTEN_OUT = 4
"""Powers of ten from which on a number is written as one."""
_RAISED = str.maketrans("0123456789.-", "⁰¹²³⁴⁵⁶⁷⁸⁹·⁻")


def format_value(value: float, unit: str) -> str:
    """A value with its unit (see `registry.UNITS`), such as "0.75", "30 tokens", "-0.19 nats", "275" or "10¹⁷·⁹".

    NaN is an en dash, and an infinite number of samples "never".
    """
    if math.isnan(value):
        return UNKNOWN
    if unit == "log10" and 0 <= value < WRITTEN_OUT:
        return f"{10**value:,.0f}"
    if unit == "log10":
        return "10" + f"{value:.1f}".translate(_RAISED) if math.isfinite(value) else "never"
    if unit == "level":
        return LEVELS[int(value)]
    if unit == "yes/no":
        return "yes" if value else "no"
    if unit == "position":
        return f"t = {value:.0f}"
    if unit == "tokens":
        return f"{value:.0f} token{'' if value == 1 else 's'}"
    if unit == "share":
        return f"{value:.2f}"
    if unit == "ratio":
        return f"{value:.3g}" if value < 1000 else f"{value:.1e}"
    if unit == "z-score":
        return f"{value:.2f}"
    return f"{value:.2f} {unit}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g} {unit}"
