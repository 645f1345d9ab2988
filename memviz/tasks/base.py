"""What every task shares."""

from __future__ import annotations

from collections.abc import Callable

ENGINE = 1
"""Raised whenever the engine's numbers change, so that older results are computed anew."""
Report = Callable[[int, int], None]
Say = Callable[[str], None]
